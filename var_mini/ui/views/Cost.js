// Who wins at a side of the last map: recorded curves that cross, a line that is dragged over them, and what that means in words. Points
// that the visitor measured stand over the curves as rings.

import { html, render, useEffect, useRef, useState } from '../vendor/preact-htm.js';
import { number, wordsOf } from '../lib/format.js';
import { answerAt, curveOf, headDims, KINDS, methodsOf, rasterAt, sidesOf } from '../lib/costs.js';
import { Chart } from '../parts/Chart.js';
import { attentionName, Choice, Slider } from '../parts/Settings.js';

const SIDES = [4, 96], START = 32; // n of the last map
const REST_MS = 150;

const whole = (share) => `${(100 * share).toFixed(0)} %`;

// the sentences: who wins first, then at which price
function sayings({ side, tokens, method, ratio, whole: all, ahead, pooled }, { n, data, word, name }) {
  const told = { side, tokens: number(tokens), name: name(method), ratio: Math.max(ratio, 1 / ratio).toFixed(2), whole: all.toFixed(2), start: ahead ?? '\u2013' };
  const errors = (one) => Object.values(data.errors).map(({ methods }) => whole(methods[one].error)).join(' / ');
  const places = Object.entries(data.errors).map(([model, { head_dim: headDim, tokens: count, bound, methods }]) => word('cost_answer_on', { model, head_dim: headDim, tokens: count,
    bound: number(bound), error: whole(methods[method].error), same: whole(methods[method].same) })).join('; ');
  return [[side === n ? '' : word('cost_answer_near', { n, side }), word(ratio > 1 ? 'cost_answer_wins' : 'cost_answer_loses', told)].filter(Boolean).join(' '),
    pooled && word('cost_answer_pooled', { name: name(pooled.method), ratio: pooled.ratio.toFixed(2), errors: errors(pooled.method) }),
    word('cost_answer_error', { name: name(method), places })].filter(Boolean);
}

// calls `act` a while after one of `values` has changed, not at first
function useRested(act, values) {
  const begun = useRef(false);
  useEffect(() => {
    const timer = begun.current && setTimeout(act, REST_MS);
    begun.current = true;
    return () => clearTimeout(timer);
  }, values);
}

function rasterSayings({ side, ratio }, { n, word }) {
  const told = { side, tokens: side * side, ratio: Math.max(ratio, 1 / ratio).toFixed(2) };
  return [[side === n ? '' : word('cost_answer_near', { n, side }), word(ratio > 1 ? 'cost_raster_wins' : 'cost_raster_loses', told)].filter(Boolean).join(' '), word('cost_raster_why')];
}

function Cost({ data, here, word, language, tell }) {
  const [n, setN] = useState(START), [chosen, setHeadDim] = useState(headDims(data).at(-1)), [what, setWhat] = useState(KINDS[0]);
  const raster = what === 'raster', dims = headDims(data, what), headDim = raster ? dims[0] : chosen, sides = sidesOf(data, what);
  useRested(() => tell.side?.(n), [n]); // what else is about this side, once the line rests
  useRested(() => tell.kind?.(what, headDim), [what, headDim]);
  const answer = raster ? rasterAt(data, n) : answerAt(data, headDim, n), { style: mine } = data.methods[answer.method] ?? {};
  const [lead, ...rest] = raster ? rasterSayings(answer, { n, word }) : sayings(answer, { n, data, word, name: (method) => attentionName(word, method) });
  const drawn = (from, more = {}) => methodsOf(from, what).map((method) => {
    const { style, dashed, [language]: name } = data.methods[method];
    return { name: more.ringed ? word('cost_here', { name }) : name, style, dashed, ...more, points: curveOf(from, what, headDim, method).map(([side, seconds]) => [side, 1000 * seconds]) };
  }).filter(({ points }) => points.length);
  const series = [...drawn(data), ...drawn({ rows: here }, { ringed: true })];
  const marks = [...(raster ? [] : data.published.map(({ side, pixels }) => ({ x: side, label: word('cost_pixels', { pixels }) }))),
    ...(what === 'attention' && answer.ahead > sides[0] ? [{ x: answer.ahead, label: word('cost_ahead'), style: mine, turned: true }] : [])].sort((a, b) => a.x - b.x);
  const own = !raster && data.own.find(({ side }) => side === answer.side);
  const options = (values, text) => values.map((value) => [text(value), String(value)]);
  return html`<div class="vu-cost"><div class="vu-cost-says"><p class="vu-cost-lead" role="status">${lead}</p>
      <${Slider} label=${word('cost_side')} hint=${word('cost_side_hint')} value=${n} from=${SIDES[0]} to=${SIDES[1]} step="1" onSlide=${setN} />
      <div class="vu-choosers"><${Choice} label=${word('cost_timed')} value=${what} options=${options(KINDS, (kind) => word(`cost_timed_${kind}`))} onChoose=${setWhat} />
        ${!raster && html`<${Choice} label=${word('cost_head_dim')} value=${String(headDim)} options=${options(dims, String)} onChoose=${(dim) => setHeadDim(Number(dim))} />`}</div>
      ${rest.map((said) => html`<p key=${said}>${said}</p>`)}</div>
    <${Chart} series=${series} x=${{ label: word('cost_side'), log: true, ticks: [...new Set([...SIDES, ...sides])].sort((a, b) => a - b) }} y=${{ label: word('cost_milliseconds'), log: true, unit: word('cost_ms') }}
      marks=${marks} title=${word('cost_curves', { what: word(`cost_timed_${what}`) })} note=${word('cost_curves_note')} table=${word('cost_values')} height=${360}
      here=${n} at=${answer.side} onHere=${(at) => setN(Math.max(SIDES[0], Math.min(SIDES[1], Math.round(at))))} />
    <p class="vu-hint">${[word('cost_curves_hint'), !raster && word('cost_curves_marks'), data.conditions[raster ? 'raster' : headDim][language], own && word('cost_answer_own', { ...own, tokens: number(answer.tokens) })].filter(Boolean).join(' ')}</p></div>`;
}

// `here` are rows measured now; `tell.side(n)` and `tell.kind(what, headDim)` hear of what is chosen
export function mountCost(root, { data, here = [], all, language, tell = {} }) {
  render(html`<${Cost} ...${{ data, here, language, tell }} word=${wordsOf(all, language)} />`, root);
}
