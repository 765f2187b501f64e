// The chapter on limits: four experiments, each with the claim of a paper, a slider, a picture, what is seen, what is not shown.

import { html, render, useEffect, useMemo, useRef, useState } from '../vendor/preact-htm.js';
import { power, short, wordsOf } from '../lib/format.js';
import { across, createExperiment, curves, facts, grid, KINDS, ticks, up } from '../lib/limits.js';
import { Slider } from '../parts/Settings.js';
import { Chapter } from './Story.js';

const WIDTH = 320, HEIGHT = 170, LEFT = 40, RIGHT = 10, TOP = 10, BOTTOM = 22; // of a chart, in its own units
const SIZE = 4; // of a mark
const CELL = 10; // of a square that stands for a resting point
const SHAPES = [`M-${SIZE} 0a${SIZE} ${SIZE} 0 1 0 ${2 * SIZE} 0a${SIZE} ${SIZE} 0 1 0 -${2 * SIZE} 0z`, `M-${SIZE} -${SIZE}h${2 * SIZE}v${2 * SIZE}h-${2 * SIZE}z`,
  `M0 -${SIZE + 1}L${SIZE + 1} ${SIZE}H-${SIZE + 1}z`]; // circle, square, triangle: not by colour alone

const left = (share) => LEFT + share * (WIDTH - LEFT - RIGHT);
const top = (share) => HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);

const Mark = ({ i }) => html`<path d=${SHAPES[i]} class=${`vu-curve-${i}`} />`;

// errors by powers of ten against the slider: every place that was tried, and a line where the slider is
function Chart({ name, slider, answers, value, word }) {
  const { powers } = KINDS[name], label = word('limits_chart', { error: word(`limits_${name}_error`), slider: word(`limits_${name}_slider`) });
  return html`<svg class="vu-chart" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label=${label}>
    ${ticks(...powers).map((exponent) => html`<g key=${exponent}><line class="vu-rule" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${top(up(powers, 10 ** exponent))} y2=${top(up(powers, 10 ** exponent))} />
      <text x=${LEFT - 5} y=${top(up(powers, 10 ** exponent)) + 4} text-anchor="end">${exponent === 0 ? '1' : power(exponent)}</text></g>`)}
    ${ticks(slider.low, slider.high).map((at) => html`<text key=${`x${at}`} x=${left(across(slider, at))} y=${HEIGHT - 6} text-anchor="middle">${at}</text>`)}
    <line class="vu-here" x1=${left(across(slider, value))} x2=${left(across(slider, value))} y1=${TOP} y2=${HEIGHT - BOTTOM} />
    ${curves(name, slider, answers).map(({ degree, points }, i) => html`<g key=${degree}><polyline class=${`vu-curve-${i}`} points=${points.map(({ x, y }) => `${left(x).toFixed(1)},${top(y).toFixed(1)}`).join(' ')} />
      ${points.map((one) => html`<g key=${one.value} transform=${`translate(${left(one.x).toFixed(1)} ${top(one.y).toFixed(1)})`}><${Mark} i=${i} /></g>`)}</g>`)}</svg>`;
}

function Rows({ name, answer, word }) {
  const { error, extra } = KINDS[name];
  return html`<table><thead><tr><th scope="col">${word('limits_degree')}</th><th scope="col">${word(`limits_${name}_error`)}</th><th scope="col">${word(`limits_${name}_extra`)}</th></tr></thead>
    <tbody>${answer.rows.map((row, i) => html`<tr key=${row.degree}><th scope="row"><svg viewBox="-6 -6 12 12" aria-hidden="true"><${Mark} i=${i} /></svg>${row.degree}</th>
      <td>${short(row[error])}</td><td>${extra(row, answer)}</td></tr>`)}</tbody></table>`;
}

// how many of the 2^d settings of the switches were found, alone and coupled
function Switches({ answer, word }) {
  const { columns, rows } = grid(answer.dimension);
  const figure = (label, found) => html`<figure key=${label}><svg viewBox=${`0 0 ${columns * CELL} ${rows * CELL}`} role="img" aria-label=${word('limits_found', { label, found, expected: answer.expected })}>
    ${Array.from({ length: answer.expected }, (_, i) => html`<rect key=${i} class=${i < found ? 'vu-full' : 'vu-bare'} x=${(i % columns) * CELL + 1} y=${Math.floor(i / columns) * CELL + 1} width=${CELL - 2} height=${CELL - 2} rx="1.5" />`)}</svg>
    <figcaption>${label}<b>${found}</b></figcaption></figure>`;
  return html`<div class="vu-switches">${figure(word('limits_alone'), answer.found)}${answer.coupled.map((found, i) => figure(word('limits_coupled', { number: i + 1 }), found))}</div>
    <p class="vu-hint">${word('limits_squares')}</p>`;
}

function Experiment({ name, slider, engine, word, seen }) {
  const [value, setValue] = useState(slider.start), [{ answers, last, problem }, setState] = useState({ answers: new Map(), last: null, problem: '' });
  const experiment = useMemo(() => createExperiment((at) => engine.experiment(name, at), setState), []);
  useEffect(() => { if (seen) experiment.want(value); }, [seen, value]);
  const answer = answers.get(last), told = answer && facts(name, answer), { paper, error } = KINDS[name];
  return html`<article class="vu-limit" aria-labelledby=${`limits-${name}`} aria-busy=${String(seen && !problem && last !== value)} data-shown=${last}>
    <h3 id=${`limits-${name}`}>${word(`limits_${name}_title`)}</h3>
    <p><b>${word('limits_claimed')}</b> ${word(`limits_${name}_claim`)} <a href=${`https://arxiv.org/abs/${paper}`} target="_blank" rel="noopener">arXiv ${paper}</a></p>
    <${Slider} label=${word(`limits_${name}_slider`)} value=${value} from=${slider.low} to=${slider.high} step=${slider.step} onSlide=${setValue} />
    <div class="vu-shown">${error ? html`<${Chart} ...${{ name, slider, answers, value, word }} />${answer && html`<${Rows} ...${{ name, answer, word }} />`}`
      : answer && html`<${Switches} ...${{ answer, word }} />`}</div>
    <p role="status">${problem ? html`<span class="vu-problem">${problem}</span>` : told ? html`<b>${word('limits_seen')}</b> ${word(`limits_${name}_seen`, told)}` : word('limits_waiting')}</p>
    ${told && html`<p class="vu-soft"><b>${word('limits_not')}</b> ${word(`limits_${name}_not`, told)}</p>`}</article>`;
}

function Limits({ sliders, engine, word }) {
  const [seen, setSeen] = useState(false), lead = useRef(null);
  useEffect(() => { // nothing is computed for a visitor who does not come here
    const watcher = new IntersectionObserver((entries) => { if (entries.some((one) => one.isIntersecting)) setSeen(true); }, { rootMargin: '200px' });
    watcher.observe(lead.current);
    return () => watcher.disconnect();
  }, []);
  return html`<${Chapter} id="limits" word=${word}><div class="vu-lead" ref=${lead}><p>${word('limits_text')}</p><p class="vu-hint">${word('limits_hint')}</p></div>
    ${Object.entries(sliders).map(([name, slider]) => html`<${Experiment} key=${name} ...${{ name, slider, engine, word, seen }} />`)}<//>`;
}

export function mountLimits(root, { engine, sliders, all, language }) {
  render(html`<${Limits} sliders=${sliders} engine=${engine} word=${wordsOf(all, language)} />`, root);
}
