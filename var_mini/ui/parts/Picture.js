// The large picture: what the scales shown so far add up to. A point in it is a token of the last map shown.

import { html } from '../vendor/preact-htm.js';
import { Canvas } from './Canvas.js';
import { Place, placeOf } from './Map.js';
import { pixelsOf } from './Pyramid.js';

export function Picture({ state, word, acts, subject }) {
  const { run, shown, token, pinned } = state;
  const scale = shown > 0 ? run.scales[shown - 1] : null;
  const side = scale?.side;
  const label = scale ? word('picture', { subject, scale: shown, scales: run.sides.length }) : word('picture_empty');
  const at = (event) => ({ scale: shown - 1, index: placeOf(event, side) });
  return html`<figure class="vu-picture"><div class="vu-frame" style=${side ? `--side:${side}` : ''}
      onpointermove=${(event) => scale && event.pointerType !== 'touch' && acts.hover(at(event))} onpointerleave=${() => acts.leave(false)}
      onclick=${(event) => scale && acts.pin(at(event))}>
    ${scale ? html`<${Canvas} side=${run.size} rgb=${pixelsOf(scale).image} label=${label} kind="vu-big" />` : html`<i class="vu-nothing" role="img" aria-label=${label}></i>`}
    ${scale && token && html`<${Place} side=${run.sides[token.scale]} index=${token.index} kind=${pinned ? 'vu-own vu-pinned' : 'vu-own'} />`}
  </div></figure>`;
}
