// The head of a chapter that stands apart from the story's own views: its number and question, what to try, and those of the
// first screen's settings that it works on. They are the same state: changed here they are changed there.

import { html, render, useLayoutEffect, useMemo, useState } from '../vendor/preact-htm.js';
import { title, wordsOf } from '../lib/format.js';
import { lowRank, lowRanks, MAX_SEED } from '../lib/settings.js';
import { attentionName, Choice, Slider } from '../parts/Settings.js';
import { Ask, Chapter } from './Story.js';

// the state, again only when settings or model change: much else in it follows the pointer
export function useSettings(store) {
  const [state, setState] = useState(store.get());
  useLayoutEffect(() => {
    const follow = (now) => setState((last) => (last.settings === now.settings && last.model === now.model ? last : now));
    follow(store.get());
    return store.subscribe(follow);
  }, [store]);
  return state;
}

// a model of the same classes whose logits are bounded, so that low rank can follow it
const boundedLike = (model, models) => models.find((one) => one.bounded && one.class_names.join() === model.class_names.join());

// the classes of a model for a choice, under their groups where it has any
function classesOf({ class_names: names, class_groups: groups }, named) {
  const found = new Map();
  names.forEach((name, i) => {
    const group = groups[i] ?? '';
    if (!found.has(group)) found.set(group, []);
    found.get(group).push([named(name), String(i)]);
  });
  return [...found].flatMap(([group, options]) => (group ? [[named(group), options]] : options));
}

export function Shared({ store, acts, wants, word, all, language }) {
  const { model, models, settings } = useSettings(store);
  const classes = useMemo(() => classesOf(model, (name) => title(name, all.names, language)), [model, language]);
  const drawn = wants.includes('low_rank') && wants.includes('class'); // a chapter that only counts breaks nothing
  const attention = lowRank(model, settings), breaks = attention.startsWith('poly') && !model.bounded, better = breaks && boundedLike(model, models);
  const number = (name) => (event) => acts.change({ [name]: event.currentTarget.value === '' ? null : Number(event.currentTarget.value) });
  const controls = {
    model: () => html`<${Choice} label=${word('model')} value=${settings.model} options=${models.map((one) => [one.shown, one.name])} onChoose=${acts.choose} />`,
    class: () => html`<${Choice} label=${word('class')} value=${String(settings.class)} options=${classes} onChoose=${(label) => acts.change({ class: Number(label) })} />`,
    style: () => model.style_names.length > 0 && html`<${Choice} label=${word('style')} value=${String(settings.style)}
      options=${[...model.style_names, word('style_any')].map((name, i) => [name, String(i)])} onChoose=${(style) => acts.change({ style: Number(style) })} />`,
    seed: () => html`<label class="vu-field"><span>${word('seed')}</span><input type="number" min="0" max=${MAX_SEED} step="1" value=${settings.seed ?? ''} oninput=${number('seed')} /></label>`,
    guidance: () => html`<${Slider} label=${word('guidance')} value=${settings.guidance} from="0" to="10" step="0.1" onSlide=${(guidance) => acts.change({ guidance })} />`,
    low_rank: () => html`<${Choice} label=${word('low_rank')} value=${attention} options=${lowRanks(model).map((spec) => [attentionName(word, spec), spec])}
      onChoose=${(spec) => acts.change({ attention: spec })} />`,
  };
  return html`<div class="vu-shared" role="group" aria-label=${word('shared')}>${wants.map((name) => html`<div key=${name} data-setting=${name}>${controls[name]()}</div>`)}</div>
    <p class="vu-hint">${word('shared_note')}</p>
    ${drawn && breaks && html`<p class="vu-warning"><span>${word('shared_breaks', { model: model.shown })}</span>
      ${better && html`<button type="button" class="vu-button" onclick=${() => acts.choose(better.name)}>${word('shared_bounded', { model: better.shown })}</button>`}</p>`}`;
}

// `wants` names the settings that are shown, of: model, class, style, seed, guidance, low_rank
export function mountHead(root, first, { name, wants, all, language }) {
  const word = wordsOf(all, language);
  render(html`<${Chapter} id=${name} word=${word} apart=${true}><div class="vu-lead"><${Ask} ...${{ name, all, word }} /><p class="vu-try"><b>${word('try')}</b> ${word(`${name}_try`)}</p></div>
    ${wants.length > 0 && html`<${Shared} store=${first.store} acts=${first.acts} ...${{ wants, word, all, language }} />`}<//>`, root);
}
