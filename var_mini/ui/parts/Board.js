// A picture, and a mask brushed on it by mouse, finger or keyboard.

import { html, useMemo, useRef } from '../vendor/preact-htm.js';
import { placeOf } from './Map.js';

// the cells of a mask; `at` is the one that keys would change
export const Cells = ({ mask, side, at, kind }) => html`<div class=${kind} style=${`--side:${side}`} aria-hidden="true">${mask.map((on, i) => html`<i key=${i}
  class=${[on ? 've-on' : '', i === at ? 've-at' : ''].join(' ').trim()}></i>`)}</div>`;

// `onStroke(from, to, value)` hears of every two cells between which the brush was drawn; `onPress(key)` says whether it knows the key
export function Board({ side, mask, at, image, subject, label, onStroke, onPress }) {
  const stroke = useRef(null); // of which pointer, what it makes of cells, and the last cell
  const cells = useMemo(() => html`<${Cells} kind="ve-grid" ...${{ mask, side, at }} />`, [mask, side, at]);
  const to = (event) => {
    const cell = placeOf(event, side), { last, value } = stroke.current;
    stroke.current.last = cell;
    onStroke(last, cell, value);
  };
  const begin = (event) => {
    if (event.button) return;
    const cell = placeOf(event, side);
    event.currentTarget.setPointerCapture(event.pointerId);
    stroke.current = { pointer: event.pointerId, value: mask[cell] ? 0 : 1, last: cell };
    to(event);
  };
  const mine = (event) => stroke.current?.pointer === event.pointerId, end = (event) => { if (mine(event)) stroke.current = null; };
  return html`<div class="ve-board" tabindex="0" role="application" aria-label=${label} onpointerdown=${begin} onpointermove=${(event) => mine(event) && to(event)}
    onpointerup=${end} onpointercancel=${end} ondragstart=${(event) => event.preventDefault()} onkeydown=${(event) => onPress(event.key) && event.preventDefault()}>
    ${image && html`<img src=${image} alt=${subject} />`}${cells}</div>`;
}
