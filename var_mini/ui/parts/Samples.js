// Pictures of the data set to choose from.

import { html } from '../vendor/preact-htm.js';

export const Samples = ({ samples, word, named, onChoose }) => html`<div class="vp-samples" role="group" aria-label=${word('samples')}>${samples.map(({ name, image }) => html`
  <button key=${name} type="button" title=${named(name)} onclick=${() => onChoose(name)}><img src=${image} alt="" /><span>${named(name)}</span></button>`)}</div>`;
