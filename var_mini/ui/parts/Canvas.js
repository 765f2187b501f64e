// A square picture of RGB bytes. What else is given becomes an attribute of the canvas.

import { html, useLayoutEffect, useRef } from '../vendor/preact-htm.js';
import { paint } from '../lib/paint.js';

export function Canvas({ side, rgb, label, kind = '', ...more }) {
  const canvas = useRef(null);
  useLayoutEffect(() => { if (rgb) paint(canvas.current, side, rgb); }, [rgb, side]);
  const told = label ? { role: 'img', 'aria-label': label } : { 'aria-hidden': 'true' }; // what surrounds it may tell already
  return html`<canvas ref=${canvas} class=${`vu-canvas ${kind}`} ...${{ ...told, ...more }}></canvas>`;
}
