// The chapter on limits: for each paper its statement in short and what that means for the models here, and an experiment to unfold: the
// claim, whole curves, a slider along them, what is seen, what is not shown.

import { html, render, useState } from '../vendor/preact-htm.js';
import { wordsOf } from '../lib/format.js';
import { nearest } from '../lib/chart.js';
import { chartOf, facts, KINDS } from '../lib/limits.js';
import { Chart } from '../parts/Chart.js';
import { Slider } from '../parts/Settings.js';
import { Chapter } from './Story.js';

const OPEN = ['bound', 'depth']; // those on VAR itself; the others ask for more, and are unfolded by whoever wants them

function Experiment({ name, data, all, word }) {
  const [i, setI] = useState(Math.max(0, data.places.indexOf(data.start))), place = data.places[i];
  const { paper, x, y } = KINDS[name], told = facts(name, data, i);
  const own = (part, series) => (all[`limits_${name}_${part}_${series}`] ? word(`limits_${name}_${part}_${series}`, told) : word(`limits_${name}_${part}`, { ...told, series }));
  const { series, marks } = chartOf(name, data, (one) => own('curve', one), (one) => own('mark', one ?? 'all'));
  const slider = word(`limits_${name}_slider`), last = data.places.length - 1;
  return html`<article class="vu-limit" aria-labelledby=${`limits-${name}`} data-shown=${place}>
    <h3 id=${`limits-${name}`}>${word(`limits_${name}_title`)}</h3>
    <p><b>${word('limits_short')}</b> ${word(`limits_${name}_short`)}</p>
    <p><b>${word('limits_here')}</b> ${word(`limits_${name}_here`)}</p>
    <details open=${OPEN.includes(name)}><summary>${word('limits_experiment')}</summary>
    <p><b>${word('limits_claimed')}</b> ${word(`limits_${name}_claim`)} <a href=${`https://arxiv.org/abs/${paper}`} target="_blank" rel="noopener">arXiv ${paper}</a></p>
    <${Chart} series=${series} marks=${marks} x=${{ ...x, ticks: x.log ? data.places : undefined }} y=${{ label: word(`limits_${name}_error`), ...y }} title="" note=${word('limits_chart', { error: word(`limits_${name}_error`), slider })}
      table=${word('limits_values')} here=${place} at=${place} onHere=${(at) => setI(data.places.indexOf(nearest(data.places, at, x.log)))} />
    <${Slider} label=${slider} value=${i} shown=${told.at} from=${0} to=${last} step=${1} onSlide=${setI} />
    <p role="status"><b>${word('limits_seen')}</b> ${word(`limits_${name}_seen`, told)}</p>
    <p class="vu-soft"><b>${word('limits_not')}</b> ${word(`limits_${name}_not`, told)}</p></details></article>`;
}

function Limits({ data, there, all, word }) {
  return html`<${Chapter} id="limits" ...${{ there, word }}><div class="vu-lead"><p>${word('limits_text')}</p><p class="vu-hint">${word('limits_hint')}</p></div>
    ${Object.keys(KINDS).map((name) => html`<${Experiment} key=${name} ...${{ name, all, word }} data=${data[name]} />`)}<//>`;
}

export function mountLimits(root, { data, there, all, language }) {
  render(html`<${Limits} ...${{ data, there, all }} word=${wordsOf(all, language)} />`, root);
}
