// A square picture of RGB bytes.

import { html, useLayoutEffect, useRef } from '../vendor/preact-htm.js';
import { paint } from '../lib/paint.js';

export function Canvas({ side, rgb, label, kind = '' }) {
  const canvas = useRef(null);
  useLayoutEffect(() => { if (rgb) paint(canvas.current, side, rgb); }, [rgb, side]);
  return html`<canvas ref=${canvas} class=${`vu-canvas ${kind}`} role="img" aria-label=${label}></canvas>`;
}
