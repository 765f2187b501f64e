// Lines from the chosen token to the tokens that it attends to: the width is the weight.

import { html, useLayoutEffect, useState } from '../vendor/preact-htm.js';
import { area, locate, strongest } from '../lib/run.js';

const SHOWN = 40; // lines; the rest of the weight is told in words
const WIDEST = 9; // pixels of the largest weight

function centre(box, frame, side, index) {
  const { left, top, size } = area(side, index);
  return [box.left - frame.left + (left + size / 2) * box.width, box.top - frame.top + (top + size / 2) * box.height];
}

function curve([x0, y0], [x1, y1]) {
  const bend = Math.min(60, 10 + 0.14 * Math.hypot(x1 - x0, y1 - y0));
  return `M${x0.toFixed(1)} ${y0.toFixed(1)}Q${((x0 + x1) / 2).toFixed(1)} ${(Math.min(y0, y1) - bend).toFixed(1)} ${x1.toFixed(1)} ${y1.toFixed(1)}`;
}

export function Lines({ frame, sides, token, weights }) {
  const [paths, setPaths] = useState([]);
  useLayoutEffect(() => {
    if (!weights || !frame.current) { setPaths([]); return undefined; }
    const measure = () => {
      const box = frame.current.getBoundingClientRect(), outer = { left: box.left - frame.current.scrollLeft, top: box.top };
      const boxOf = (scale) => frame.current.querySelector(`[data-map="${scale}"]`).getBoundingClientRect();
      const from = centre(boxOf(token.scale), outer, sides[token.scale], token.index);
      const found = strongest(weights, SHOWN), most = found[0].weight;
      setPaths(found.filter(({ weight }) => weight > 0).map(({ key, weight }) => {
        const { scale, index } = locate(sides, key);
        const to = centre(boxOf(scale), outer, sides[scale], index);
        return { key, line: curve(from, to), to, width: Math.max(0.4, (WIDEST * weight) / most) };
      }));
    };
    measure();
    const watcher = new ResizeObserver(measure);
    watcher.observe(frame.current);
    return () => watcher.disconnect();
  }, [weights, token]);
  return html`<svg class="vu-lines" aria-hidden="true">${paths.map(({ key, line, to, width }) => html`<g key=${key}>
    <path d=${line} class="vu-line-under" stroke-width=${width + 2} /><path d=${line} stroke-width=${width} />
    <circle cx=${to[0]} cy=${to[1]} r=${Math.max(2, width / 2 + 1)} /></g>`)}</svg>`;
}
