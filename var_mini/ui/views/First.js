// The first screen: what to draw, the pyramid of the run, the picture, and the token under the pointer.
//
//   const first = mount(root, { engine, models, model, all, language, languages, sheets, links, calm, told });
//   first.begin(settings);   // settings of a link, or nothing for the recorded run
//
// `all` are the texts of words.json; `sheets(model, style, kind)` is the address of a sheet of thumbnails; `links` are { name: address }
// of the header; `languages(code)` is called when another language is chosen; `told(run)` whenever a run is whole.

import { html, render, useEffect } from '../vendor/preact-htm.js';
import { caption } from '../lib/caption.js';
import { conditionOf } from '../lib/condition.js';
import { title, wordsOf } from '../lib/format.js';
import { whole } from '../lib/run.js';
import { defaults } from '../lib/settings.js';
import { createStore } from '../lib/store.js';
import { useStore } from '../lib/use.js';
import { Drawings } from '../parts/Drawings.js';
import { DICE, icon, PAUSE, PLAY, STOP, TUNE } from '../parts/icons.js';
import { Picture } from '../parts/Picture.js';
import { Pyramid } from '../parts/Pyramid.js';
import { attentionName, Choice, Settings } from '../parts/Settings.js';
import { Things, Thumbnail } from '../parts/Things.js';
import { Token } from '../parts/Token.js';
import { createActions } from './actions.js';

const NEXT = { en: ['zh', '中文'], zh: ['en', 'English'] }; // the other language, by its own name

function Header({ word, language, links, languages }) {
  const [other, name] = NEXT[language];
  return html`<header class="vu-head"><h1>${word('title')}</h1><p>${word('sentence')}</p><nav aria-label=${word('links')}>
    ${Object.entries(links).map(([key, address]) => html`<a key=${key} data-link=${key} href=${address} target="_blank" rel="noopener">${word(`link_${key}`)}</a>`)}
    <button type="button" class="vu-link" lang=${other} onclick=${() => languages(other)}>${name}</button></nav></header>`;
}

function Bar({ state, word, acts }) {
  const { playing, computing, panel } = state;
  return html`<div class="vu-bar">
    ${computing ? html`<button type="button" class="vu-button vu-primary" onclick=${acts.stop}>${icon(STOP)}${word('stop')}</button>`
      : html`<button type="button" class="vu-button vu-primary" id="vm-new" onclick=${acts.dice} title=${word('new_hint')}>${icon(DICE)}${word('new')}</button>`}
    <button type="button" class="vu-button" onclick=${acts.play}>${icon(playing ? PAUSE : PLAY)}${word(playing ? 'pause' : 'play')}</button>
    <button type="button" class="vu-button" id="vm-settings" aria-expanded=${String(panel === 'settings')} onclick=${() => acts.panel('settings')}>${icon(TUNE)}${word('settings')}</button>
    <a class="vu-button vu-down-here" href="#idea">${word('contents')} <span aria-hidden="true">\u2193</span></a>
  </div>`;
}

// a panel closes by Escape and by a click beside it, and gives the focus back to the button that opened it
function usePanel(panel, acts) {
  useEffect(() => {
    if (!panel) return undefined;
    const opener = document.activeElement;
    const beside = (event) => { if (!event.target.closest('.vu-panel, .vu-bar, .vu-open')) acts.panel(''); };
    const escape = (event) => { if (event.key === 'Escape') acts.panel(''); };
    document.addEventListener('pointerdown', beside);
    document.addEventListener('keydown', escape);
    return () => {
      document.removeEventListener('pointerdown', beside);
      document.removeEventListener('keydown', escape);
      if (document.activeElement === document.body) opener?.focus?.();
    };
  }, [panel]);
}

function First({ store, acts, host }) {
  const state = useStore(store), { model, settings, run, shown, language, panel } = state, word = wordsOf(host.all, language);
  const named = (label) => title(model.class_names[label], host.all.names, language);
  const grouped = (group) => title(group, host.all.names, language);
  const styled = (style) => (style < model.style_names.length ? model.style_names[style] : word('style_any'));
  const shownLabel = run?.settings.label ?? settings.class, subject = run?.subject ?? named(settings.class);
  const sheets = host.sheets, stale = acts.stale();
  const facts = !run ? [] : [named(shownLabel), run.settings.style === undefined ? '' : styled(run.settings.style), word('seed_of', { seed: run.settings.seed }),
    state.bestOf > 1 && word('best_of', { count: state.bestOf }), attentionName(word, run.settings.attention ?? 'exact'), conditionOf({ ...run, model: model.shown }, word)].filter(Boolean);
  usePanel(panel, acts);
  return html`<${Header} word=${word} language=${language} links=${host.links} languages=${host.languages} />
    <div class="vu-top"><${Things} ...${{ state, word, named, grouped, acts, sheets }} />
      ${model.style_names.length > 0 && html`<div class="vu-style"><${Choice} label=${word('style')} value=${String(settings.style)}
        options=${[...model.style_names, word('style_any')].map((name, i) => [name, String(i)])} onChoose=${(style) => acts.draw({ style: Number(style) })} /></div>`}
      <${Bar} ...${{ state, word, acts }} />
      ${panel === 'settings' && html`<${Settings} ...${{ state, word, acts }} />`}</div>
    <div class="vu-stage">
      <div class="vu-left">
        <p class=${`vu-caption ${state.problem ? 'vu-problem' : ''}`} role="status">${caption(state, word, word('preparing', { model: model.shown }))}</p>
        <p class="vu-facts" role="status">${stale ? word('stale', { facts: facts.join(' \u00b7 ') }) : facts.join(' \u00b7 ') || '\u00a0'}</p>
        <${Pyramid} ...${{ state, word, acts }} thing=${named(shownLabel)} thumbnail=${html`<${Thumbnail} model=${model} label=${shownLabel} style=${run?.settings.style ?? settings.style} sheets=${sheets} />`} />
      </div>
      <div class="vu-right">
        <${Picture} ...${{ state, word, acts, subject: named(shownLabel) }} />
        <${Drawings} ...${{ state, word, acts }} />
      </div>
      <${Token} ...${{ state, word, acts }} expect ranks=${host.engine.ranks && model.ranked} />
    </div>`;
}

export function mount(root, host) {
  const model = host.models.find((one) => one.name === host.model);
  const store = createStore({ models: host.models, model, language: host.language, settings: defaults(model), run: null, shown: 0, playing: false,
    computing: false, bestOf: 1, drawings: [], problem: '', token: null, pinned: false, attention: null, attentionError: '', code: null, layer: 0, head: 0, panel: '' });
  const acts = createActions(store, host.engine, host);
  store.subscribe(({ run, shown, attention, pinned }) => {
    Object.assign(root.dataset, { drawn: run?.scales.length ?? 0, scales: (run?.sides ?? store.get().model.patch_nums).length, shown, attention: pinned && attention ? 'shown' : '' });
    root.toggleAttribute('data-earlier', acts.stale());
  });
  store.set({});
  render(html`<${First} store=${store} acts=${acts} host=${host} />`, root);
  return {
    store, acts, all: host.all,
    run: () => store.get().run,
    begin(settings) {
      if (!settings) return acts.begin();
      store.set({ model: host.models.find((one) => one.name === settings.model) });
      return acts.draw(settings);
    },
    whole: () => whole(store.get().run),
  };
}
