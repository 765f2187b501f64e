// The whole run in one row: class -> 1x1 -> 2x2 -> ..., a token map a scale, and below each the picture decoded from the sum so far.

import { html, useRef } from '../vendor/preact-htm.js';
import { bytes, mean, secondsOf } from '../lib/run.js';
import { milliseconds } from '../lib/format.js';
import { Canvas } from './Canvas.js';
import { Lines } from './Lines.js';
import { Place, TokenMap } from './Map.js';

const CODES_READ = 64; // read out of a map before "..."
const decoded = new WeakMap(); // a scale's JSON -> its bytes, so that a canvas is painted once

export function pixelsOf(scale) {
  if (!decoded.has(scale)) {
    decoded.set(scale, { colours: bytes(scale.colours), image: scale.image && bytes(scale.image) });
  }
  return decoded.get(scale);
}

function mapLabel(word, scale, side) {
  if (!scale) return word('map_empty', { side });
  const codes = scale.ids.slice(0, CODES_READ).join(' ') + (scale.ids.length > CODES_READ ? ' \u2026' : '');
  return word('map', { side, codes });
}

// in the first column stands what the run is of: `thing` under a `heading`, with its picture
export function Pyramid({ state, word, acts, heading = word('class'), thing, thumbnail }) {
  const { run, model, shown, token, pinned, attention } = state;
  const frame = useRef(null);
  const sides = run?.sides ?? model.patch_nums, size = run?.size ?? model.size;
  const finest = token && sides[token.scale];
  const weights = pinned && attention?.weights;
  const parts = [3, ...sides.map((side) => 2 + Math.sqrt(side))], ratio = parts.reduce((a, b) => a + b) / parts.at(-1);
  return html`<div class="vu-pyramid" ref=${frame} tabindex=${shown ? undefined : 0} style=${`--scales:${sides.length};--ratio:${ratio.toFixed(3)};grid-template-columns:${
    parts.map((part) => `minmax(0,${part.toFixed(2)}fr)`).join(' ')}`}>
    <div class="vu-column vu-class">
      <h3>${heading}</h3>
      <div class="vu-cell"><p class="vu-name">${thing}</p><div class="vu-map vu-thing">${thumbnail}</div></div>
      <p class="vu-sum-label">${word('sum')}</p>
    </div>
    ${sides.map((side, k) => {
      const scale = k < shown ? run.scales[k] : null;
      const seconds = scale && secondsOf(scale);
      return html`<div key=${k} class=${`vu-column ${scale ? '' : 'vu-later'} ${k === shown - 1 ? 'vu-now' : ''}`}>
        <h3>${side}\u2009\u00d7\u2009${side}
          <span>${side === 1 ? word('one_token') : word('tokens', { count: side * side })}</span></h3>
        <div class="vu-cell"><i class="vu-arrow" aria-hidden="true">\u2192</i><${TokenMap} scale=${k} side=${side} drawn=${Boolean(scale)} colours=${scale && pixelsOf(scale).colours} token=${token} finest=${finest}
          pinned=${pinned} veil=${scale?.given} label=${mapLabel(word, scale, side)} onHover=${acts.hover} onPin=${acts.pin} onLeave=${acts.leave} /></div>
        <p class="vu-down" aria-hidden="true">\u2193<b>+</b></p>
        <div class="vu-cell">${k > 0 && html`<i class="vu-arrow" aria-hidden="true">\u2192</i>`}<button type="button" class="vu-sum" disabled=${!scale} onclick=${() => acts.go(k + 1)} aria-label=${word('show_scale', { scale: k + 1 })}>
          ${scale?.image ? html`<${Canvas} side=${size} rgb=${pixelsOf(scale).image} label="" kind="vu-appear" />` : html`<i class="vu-nothing"></i>`}
          ${scale && token && token.scale >= k && html`<${Place} side=${finest} index=${token.index} kind="vu-within" />`}
        </button></div>
        <p class="vu-time">${scale?.given && html`<span class="vu-redrawn">${word('redrawn', { drawn: scale.given.filter((given) => !given).length, count: scale.given.length })}</span>`}${seconds > 0 ? html`<b>${word('milliseconds', { value: milliseconds(seconds) })}</b>` : '\u00a0'}
          ${scale?.entropy ? html`<span title=${word('entropy_note', { codes: run.codes, most: Math.log(run.codes).toFixed(1) })}>${word('entropy', { value: mean(scale.entropy).toFixed(1) })}</span>` : ''}</p>
      </div>`;
    })}
    <${Lines} frame=${frame} sides=${sides} token=${token} weights=${weights} />
  </div>`;
}
