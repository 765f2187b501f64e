// Pictures to take apart: samples of the data set, and a canvas to draw one on.

import { html, render } from '../vendor/preact-htm.js';
import { Samples } from '../parts/Samples.js';
import { Sketch } from '../parts/Sketch.js';

function Picker({ offered: { size, channels, samples }, word, named, onSample, onDrawn }) {
  return html`<div class="vp">${samples.length > 0 && html`<section class="vu-part vp-left"><h3>${word('samples')}</h3><${Samples} ...${{ samples, word, named }} onChoose=${onSample} /></section>`}
    <section class="vu-part"><h3>${word('tokenize_draw')}</h3><${Sketch} key=${`${size} ${channels}`} ...${{ size, channels, word, onDrawn }} /></section></div>`;
}

// `offered`, as demo/chapters/tokenize.py makes it: { size, channels, samples: [{ name, image }] }; `onSample(name)` hears of a sample that was
// clicked, `onDrawn(uri)` of a drawing
export function mountPicker(root, { offered, word, named, onSample, onDrawn }) {
  render(html`<${Picker} ...${{ offered, word, named, onSample, onDrawn }} />`, root);
}
