// One token map: its codes as colours, the token under the pointer, and the same place marked where a finer token was chosen.

import { html } from '../vendor/preact-htm.js';
import { area, moved, tokenAt } from '../lib/run.js';
import { Canvas } from './Canvas.js';

const percentages = ({ left, top, size }) => `left:${100 * left}%;top:${100 * top}%;width:${100 * size}%;height:${100 * size}%`;

// where a token lies, drawn over any square picture
export const Place = ({ side, index, kind }) => html`<i class=${`vu-place ${kind}`} style=${percentages(area(side, index))}></i>`;

export function placeOf(event, side) {
  const box = event.currentTarget.getBoundingClientRect();
  return tokenAt(side, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
}

// `token` is the chosen one, { scale, index }, of any scale, and `finest` the side of its map
export function TokenMap({ scale, side, colours, token, finest, pinned, drawn, label, onHover, onPin, onLeave, veil }) {
  const own = token?.scale === scale;
  const keys = (event) => {
    const next = moved(side, own ? token.index : 0, event.key);
    if (next !== null) onHover({ scale, index: next });
    else if (event.key === 'Enter' || event.key === ' ') onPin({ scale, index: own ? token.index : 0 });
    else if (event.key === 'Escape') onLeave(true);
    else return;
    event.preventDefault();
  };
  const acts = drawn ? {
    onpointermove: (event) => event.pointerType !== 'touch' && onHover({ scale, index: placeOf(event, side) }),
    onpointerleave: () => onLeave(false),
    onclick: (event) => onPin({ scale, index: event.detail === 0 && own ? token.index : placeOf(event, side) }),
    onkeydown: keys,
    onfocus: (event) => event.currentTarget.matches(':focus-visible') && !own && onHover({ scale, index: 0 }),
  } : {};
  return html`<div class="vu-map" data-map=${scale} tabindex=${drawn ? 0 : -1} role="application" aria-label=${label} ...${acts}
    style=${`--side:${side}`}>
    ${drawn ? html`<${Canvas} side=${side} rgb=${colours} label="" kind="vu-appear" />` : html`<i class="vu-grid"></i>`}
    ${drawn && veil?.map((given, index) => given && html`<${Place} side=${side} index=${index} kind="vu-given" />`)}
    ${drawn && token && token.scale >= scale && html`<${Place} side=${own ? side : finest} index=${token.index}
      kind=${own ? (pinned ? 'vu-own vu-pinned' : 'vu-own') : 'vu-within'} />`}
  </div>`;
}
