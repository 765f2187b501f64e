// A part of a picture drawn anew: the picture to begin with, the mask that is brushed on it, and which tokens of every scale it redraws.

import { html, render, useMemo } from '../vendor/preact-htm.js';
import { createEditing } from '../lib/editing.js';
import { count, NAMES } from '../lib/mask.js';
import { useStore } from '../lib/use.js';
import { Board, Cells } from '../parts/Board.js';
import { Samples } from '../parts/Samples.js';
import { Choice } from '../parts/Settings.js';

const BRUSHES = [1, 2, 3]; // cells of their sides

function Start({ start, word, named, acts, places, onSample }) {
  const subject = [named(start.subject), start.facts].filter(Boolean).join(' \u00b7 ');
  return html`<section class="vu-part ve-start"><h3>${subject ? word('edit_start_of', { subject }) : word('edit_start')}</h3><p class="vu-hint">${word('edit_start_note')}</p>
    <div class="ve-row">${[[word('edit_from_run'), places.run], [word('edit_from_picture'), places.picture], [word('edit_from_result'), places.result]].map(([text, find]) => html`
      <button key=${text} type="button" class="vu-button" onclick=${() => acts.take(find())}>${text}</button>`)}</div>
    <${Samples} samples=${start.samples} ...${{ word, named }} onChoose=${onSample} /></section>`;
}

function Plan({ scales, word }) {
  return html`<ol class="ve-plan" aria-label=${word('edit_plan')}>${scales.map((mask, k) => {
    const side = Math.sqrt(mask.length);
    return html`<li key=${k}><${Cells} kind="ve-mini" ...${{ mask, side }} /><span>${side} \u00d7 ${side}</span><small>${word('edit_plan_of', { drawn: count(mask), count: mask.length })}</small></li>`;
  })}</ol>`;
}

function Edit({ store, acts, word, named, places, onSample }) {
  const { start, side, mask, at, brush, scales, planned, said } = useStore(store), marked = count(mask);
  const plan = useMemo(() => html`<${Plan} ...${{ scales, word }} />`, [scales]);
  if (!start) return '';
  return html`<div class="ve" data-start=${start.ids.length ? start.subject : ''} data-masked=${marked} data-plan=${planned.join('')}>
    <${Start} ...${{ start, word, named, acts, places, onSample }} />
    <section class="vu-part ve-mask"><h3>${word('edit_mask')}</h3><div class="ve-work">
      <${Board} ...${{ side, mask, at, image: start.image, subject: start.subject }} label=${`${word('edit_board')} ${word('edit_masked', { count: marked, all: mask.length })}`}
        onStroke=${acts.stroke} onPress=${acts.press} />
      <div class="ve-tools"><div class="ve-row">${NAMES.map((name) => html`<button key=${name} type="button" class="vu-button" data-preset=${name} onclick=${() => acts.fill(name)}>${word(`edit_preset_${name}`)}</button>`)}</div>
        <${Choice} label=${word('edit_brush')} value=${String(brush)} options=${BRUSHES.map((size) => [`${size} \u00d7 ${size}`, String(size)])} onChoose=${(size) => acts.brush(Number(size))} />
        <p class="vu-hint">${word('edit_hint')}</p></div></div>
      <h4>${word('edit_plan')}</h4>${plan}<p class="vu-hint">${word('edit_plan_note')}</p><p class="ve-status" role="status">${said}</p></section></div>`;
}

// `plan` and `redraw` as lib/editing.js takes them, and `take`; `places` gives what other places of the page show, or null: { run(),
// picture(), result() }; `onSample(name)` hears of a sample that was clicked. Returns what can be done: show(start), redraw(), ...
export function mountEdit(root, { plan, take, redraw, places, word, named, onSample }) {
  const { store, acts } = createEditing({ word, plan, take, redraw });
  render(html`<${Edit} ...${{ store, acts, word, named, places, onSample }} />`, root);
  return acts;
}
