// One run to be looked into, wherever it comes from: its pyramid, the picture, the token under the pointer, its numbers. Notebooks show
// a trace with it, the page an edited picture and one that was taken apart.
//
//   const explorer = mountExplorer(root, { engine, all, language, calm, texts, changed, chosen });
//   explorer.show(run);   // the JSON of var_mini/view/payload.py; again with more scales while a run goes on
//
// Of the engine it takes what is there: `draw` (a new seed), `attention`, `code`, `blocks`. `texts` stand in place of words of the same
// name; `changed(scale)` hears which scale is shown last, `chosen(token)` that a token was clicked, or Enter pressed on it. The root's own
// property `explorer` is what is returned, so that the run can be asked for wherever the page shows one.

import { html, render, useState } from '../vendor/preact-htm.js';
import { caption } from '../lib/caption.js';
import { conditionOf } from '../lib/condition.js';
import { fill, title, wordsOf } from '../lib/format.js';
import { equal, totalSeconds } from '../lib/run.js';
import { createStore } from '../lib/store.js';
import { useStore } from '../lib/use.js';
import { DICE, icon, PAUSE, PLAY, STOP } from '../parts/icons.js';
import { Canvas } from '../parts/Canvas.js';
import { Picture } from '../parts/Picture.js';
import { pixelsOf, Pyramid } from '../parts/Pyramid.js';
import { attentionName } from '../parts/Settings.js';
import { Token } from '../parts/Token.js';
import { createActions } from './actions.js';
import { Numbers } from './Numbers.js';

const NOTHING = { run: null, settings: {}, shown: 0, playing: false, computing: false, problem: '', token: null, pinned: false, attention: null,
  attentionError: '', code: null, layer: 0, head: 0 };

function factsOf(run, word) {
  const { model, settings, size, sides, tokens, codes } = run;
  const { seed, attention } = settings, drawn = seed === undefined ? [] : [word('seed_of', { seed }), attentionName(word, attention ?? 'exact')];
  const timed = totalSeconds(run) > 0 ? word('times_of', { condition: conditionOf(run, word) }) : '';
  return `${[...drawn, word('run_facts', { model, size, scales: sides.length, tokens, codes })].join(' \u00b7 ')}${timed}`;
}

function More({ run, word, engine }) {
  const [open, setOpen] = useState(false);
  return html`<details class="vu-more" ontoggle=${(event) => setOpen(event.currentTarget.open)}><summary>${word('numbers_title')}</summary>
    ${open && html`<div class="vu-run"><${Numbers} ...${{ run, word, engine }} /></div>`}</details>`;
}

// a picture that was taken apart stands for itself, in what its tokens decode to; one that was drawn begins with a class
function thumbnailOf({ scales, sides, size }, thing) {
  const last = scales.length === sides.length && !scales[0].entropy && pixelsOf(scales.at(-1)).image;
  return last ? html`<${Canvas} side=${size} rgb=${last} label="" kind="vu-tile" />` : html`<i class="vu-tile vu-letter" aria-hidden="true">${thing.slice(0, 1)}</i>`;
}

function Explorer({ store, acts, engine, word, named }) {
  const state = useStore(store), { run, shown, playing, computing, problem } = state;
  if (!run) return '';
  const thing = run.scales.length ? named(run.subject) : '', told = !problem && !playing && run.note; // what whoever made the run says of it
  return html`<div class="vu-look"><div class="vu-maps">
      <p class=${`vu-caption ${problem ? 'vu-problem' : ''}`} role="status">${told || caption(state, word, word('waiting'))}</p>
      <div class="vu-offers">
        <button type="button" class="vu-button" disabled=${!shown} onclick=${acts.play}>${icon(playing ? PAUSE : PLAY)}${word(playing ? 'pause' : 'play')}</button>
        ${engine.draw && (computing ? html`<button type="button" class="vu-button" onclick=${acts.stop}>${icon(STOP)}${word('stop')}</button>`
          : html`<button type="button" class="vu-button vu-dice" title=${word('new_hint')} onclick=${acts.dice}>${icon(DICE)}${word('new')}</button>`)}</div>
      <${Pyramid} ...${{ state, word, acts, thing }} heading=${word('run_subject')} thumbnail=${thumbnailOf(run, thing)} /></div>
    <div class="vu-large"><${Picture} ...${{ state, word, acts, subject: thing }} /><p class="vu-hint">${factsOf(run, word)}</p></div>
    <${Token} ...${{ state, word, acts }} attends=${Boolean(engine.attention)} /><${More} ...${{ run, word, engine }} /></div>`;
}

export function mountExplorer(root, { engine = {}, all, language, calm = false, texts = {}, changed, chosen }) {
  const words = wordsOf(all, language), word = (name, values) => (name in texts ? fill(texts[name], values) : words(name, values));
  const store = createStore(NOTHING), acts = createActions(store, engine, { calm, chosen });
  let last = null;
  root.classList.add('vu', 'vu-explorer');
  const release = store.subscribe(({ run, shown, attention, attentionError, pinned }) => {
    Object.assign(root.dataset, { drawn: run?.scales.length ?? 0, scales: run?.sides.length ?? 0, shown,
      attention: attentionError ? 'failed' : pinned && attention ? 'shown' : '' });
    if (last !== shown) changed?.(shown - 1);
    last = shown;
  });
  render(html`<${Explorer} ...${{ store, acts, engine, word }} named=${(name) => title(name, all.names, language)} />`, root);
  root.explorer = {
    show: (run) => { if (run?.sides && !equal(store.get().run, run)) acts.show(run); },
    choose: (scale, index) => store.set({ token: { scale, index }, pinned: true }),
    run: () => store.get().run,
    close() {
      acts.stop();
      release();
      render(null, root);
    },
  };
  return root.explorer;
}
