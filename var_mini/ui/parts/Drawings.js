// What the best was chosen from: all drawings, the best first, each with the ranker's share for what was asked for.

import { html } from '../vendor/preact-htm.js';
import { percent } from '../lib/format.js';
import { Canvas } from './Canvas.js';

export function Drawings({ state: { run, drawings }, word, acts }) {
  if (!drawings.length) return '';
  return html`<section class="vu-drawings"><ol>${drawings.map(({ seed, share, image }) => {
    const label = word('drawing', { seed, share: percent(share) });
    return html`<li key=${seed}><button type="button" class="vu-pick" aria-pressed=${String(run.settings.seed === seed)} title=${label} aria-label=${label}
      onclick=${() => acts.another(seed)}><${Canvas} side=${run.size} rgb=${image} />${percent(share)}</button></li>`;
  })}</ol><p class="vu-hint">${word('drawings', { count: drawings.length })}</p></section>`;
}
