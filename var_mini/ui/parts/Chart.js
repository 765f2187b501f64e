// A line chart, see lib/chart.js: legend, picture, and every value in a table. Where `onHere` is given, a line stands at `here`, which a
// pointer drags over the chart; whoever mounts it gives a slider for the keyboard. `at`: the place whose values stand in the legend.

import { html, useLayoutEffect, useRef, useState } from '../vendor/preact-htm.js';
import { number } from '../lib/format.js';
import { BOTTOM, HEIGHT, HOLLOW, layout, LEFT, RIGHT, rowsOf, SYMBOLS, TOP, WIDTH } from '../lib/chart.js';

const NARROWEST = 260;

// the width that there is, so that texts are as large as elsewhere
function useWidth(ref) {
  const [width, setWidth] = useState(WIDTH);
  useLayoutEffect(() => {
    const measure = () => { if (ref.current.clientWidth) setWidth(Math.max(NARROWEST, ref.current.clientWidth)); };
    measure();
    const watcher = new ResizeObserver(measure);
    watcher.observe(ref.current);
    return () => watcher.disconnect();
  }, []);
  return width;
}

const Symbol = ({ style }) => html`<path d=${SYMBOLS[style % SYMBOLS.length]} class=${style >= HOLLOW ? 'vu-hollow' : 'vu-solid'} />`;

function Legend({ series, at, unit = '' }) {
  return html`<ul class="vu-legend">${series.map(({ name, style, dashed, markers = true, ringed, points }, i) => {
    const reading = at === undefined ? null : points.find(([place]) => place === at)?.[1];
    return !ringed && html`<li key=${name} class=${`vu-c${(style ?? i) % SYMBOLS.length}`}><svg width="28" height="16" aria-hidden="true"><path class=${`vu-curve ${dashed ? 'vu-dashed' : ''}`} d="M1 8H27" />
      ${markers && html`<g transform="translate(14 8)"><${Symbol} style=${style ?? i} /></g>`}</svg>${name}${Number.isFinite(reading) && html` <b>${number(reading)}${unit && `\u2009${unit}`}</b>`}</li>`;
  })}</ul>`;
}

function Values({ series, x, table }) {
  const cell = (value) => (value === undefined ? '' : value === null ? '\u2013' : number(value));
  return html`<details class="vu-values"><summary>${table}</summary><div class="vu-scroll" tabindex="0" role="group" aria-label=${table}><table>
    <thead><tr><th scope="col">${x.label}</th>${series.map(({ name }) => html`<th key=${name} scope="col">${name}</th>`)}</tr></thead>
    <tbody>${rowsOf(series).map(({ at, values }) => html`<tr key=${at}><th scope="row">${number(at)}</th>${values.map((value, i) => html`<td key=${i}>${cell(value)}</td>`)}</tr>`)}</tbody></table></div></details>`;
}

export function Chart({ series, x, y, marks, title, note = '', table, height = HEIGHT, here = null, onHere, at }) {
  const frame = useRef(null), width = useWidth(frame), drawn = layout({ series, x, y, marks, here }, { width, height });
  if (!drawn) return html`<figure class="vu-figure" ref=${frame}></figure>`;
  const { across, up, curves } = drawn, right = width - RIGHT, bottom = height - BOTTOM, top = up.scale.range()[1];
  const drag = (event) => {
    if (event.type === 'pointermove' && !event.buttons) return;
    const box = event.currentTarget.getBoundingClientRect();
    if (event.type === 'pointerdown') event.currentTarget.setPointerCapture(event.pointerId);
    onHere(across.scale.invert(event.clientX - box.left));
  };
  const acts = onHere ? { onpointerdown: drag, onpointermove: drag } : {};
  return html`<figure class="vu-figure" ref=${frame}>${title && html`<figcaption>${title}</figcaption>`}<${Legend} series=${series} at=${at} unit=${y.unit} />
    <svg class=${onHere ? 'vu-dragged' : ''} width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="img" aria-label=${[title, note].filter(Boolean).join(' ')} ...${acts}>
      <g class="vu-rule">${up.ticks.map((tick) => html`<path key=${tick} d=${`M${LEFT} ${up.scale(tick)}H${right}`} />`)}<path d=${`M${LEFT} ${top}V${bottom}H${right}`} />
        ${across.ticks.map((tick) => html`<path key=${`x${tick}`} d=${`M${across.scale(tick)} ${bottom}v4`} />`)}</g>
      <g class="vu-tick">${up.ticks.map((tick) => html`<text key=${tick} x=${LEFT - 7} y=${up.scale(tick) + 4} text-anchor="end">${number(tick)}</text>`)}
        ${across.ticks.map((tick) => html`<text key=${`x${tick}`} x=${across.scale(tick)} y=${bottom + 17} text-anchor="middle">${number(tick)}</text>`)}</g>
      <text x=${(LEFT + right) / 2} y=${height - 6} text-anchor="middle">${x.label}</text>
      <text transform=${`translate(13 ${(top + bottom) / 2}) rotate(-90)`} text-anchor="middle">${y.label}</text>
      ${drawn.marks.map((mark, i) => html`<g key=${i} class=${`vu-mark ${mark.strong ? 'vu-strong' : ''} ${mark.style === undefined ? '' : `vu-c${mark.style}`}`}><path d=${`M${mark.x} ${mark.label ? mark.top : top}V${bottom}`} />
        ${mark.label && html`<text x=${mark.x + (mark.turned ? -5 : 5)} y=${mark.top + 9} text-anchor=${mark.turned ? 'end' : 'start'}>${mark.label}</text>`}</g>`)}
      ${drawn.here !== null && html`<g class="vu-handle"><path d=${`M${drawn.here} ${TOP}V${bottom}`} />${onHere && html`<circle cx=${drawn.here} cy=${bottom} r="7" />`}</g>`}
      ${curves.map(({ name, style, path, dots, dashed, markers = true, ringed }) => html`<g key=${name} class=${`vu-c${style % SYMBOLS.length}`}><path class=${`vu-curve ${dashed ? 'vu-dashed' : ''}`} d=${path} />
        ${ringed && dots.map((dot) => html`<circle key=${`r${dot.at}`} class="vu-ring" cx=${dot.x} cy=${dot.y} r="8" />`)}
        ${markers && dots.map((dot) => html`<g key=${dot.at} transform=${`translate(${dot.x.toFixed(2)} ${dot.y.toFixed(2)})`}><title>${name}: ${number(dot.at)}, ${number(dot.value)}</title><${Symbol} style=${style} /></g>`)}</g>`)}
    </svg>${table && html`<${Values} ...${{ series, x, table }} />`}</figure>`;
}
