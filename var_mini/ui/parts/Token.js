// One token in numbers: its code, what the code means, what else was likely, and what it attends to.

import { html } from '../vendor/preact-htm.js';
import { bytes, locate, masses, strongest, whole } from '../lib/run.js';
import { percent, signed } from '../lib/format.js';
import { rgbAt } from '../lib/pixels.js';
import { Canvas } from './Canvas.js';
import { Choice } from './Settings.js';

const KEYS = 4; // keys whose share of the sum is written out

export const Swatch = ({ rgb }) => html`<i class="vu-swatch" style=${`background:rgb(${Array.from(rgb).join()})`} aria-hidden="true"></i>`;
const place = (word, sides, key) => {
  const { scale, index } = locate(sides, key), side = sides[scale];
  return word('place', { row: Math.floor(index / side) + 1, column: (index % side) + 1, side });
};

// a vector as bars above and below a line
export function Vector({ values, label }) {
  const most = Math.max(...values.map(Math.abs), 1e-9), n = values.length;
  return html`<svg class="vu-vector" viewBox=${`0 0 ${4 * n} 20`} preserveAspectRatio="none" role="img" aria-label=${`${label}: ${values.map((v) => signed(v)).join(', ')}`}>
    <path class="vu-axis" d=${`M0 10H${4 * n}`} />${values.map((v, i) => html`<rect key=${i} x=${4 * i + 0.5} width="3" class=${v < 0 ? 'vu-below' : ''}
      y=${v < 0 ? 10 : 10 - (9.5 * v) / most} height=${Math.max(0.3, (9.5 * Math.abs(v)) / most)} />`)}</svg>`;
}

function Code({ state, word }) {
  const { run, token, code } = state, scale = run.scales[token.scale], side = scale.side, id = scale.ids[token.index];
  const given = scale.given?.[token.index];
  return html`<section class="vu-code"><h3>${word('token', { row: Math.floor(token.index / side) + 1, column: (token.index % side) + 1, side })}</h3>
    <p><${Swatch} rgb=${rgbAt(bytes(scale.colours), token.index)} />${word('code', { code: id, codes: run.codes })}</p>
    ${code && html`<div class="vu-meaning"><${Vector} values=${code.vector} label=${word('vector')} /><span aria-hidden="true">\u2192</span>
      <${Canvas} side=${code.side} rgb=${code.patch} label=${word('patch')} kind="vu-patch" /></div><p class="vu-hint">${word('vector_note', { dim: code.vector.length })}</p>`}
    ${scale.probability && html`<p>${word(given ? 'chosen_given' : 'chosen', { probability: percent(scale.probability[token.index]) })}</p>`}</section>`;
}

function Likely({ state, word }) {
  const { run, token } = state, scale = run.scales[token.scale];
  if (!scale.top) return '';
  const shares = scale.top_probability[token.index], colours = bytes(scale.top_colours), n = scale.top[token.index].length;
  const ids = scale.top[token.index].filter((_, i) => shares[i] > 0); // largest first; sampling has cut off the others
  return html`<section class="vu-likely"><h3>${word('likely')}</h3><ol>${ids.map((id, i) => {
    const at = 3 * (token.index * n + i);
    return html`<li key=${id} class=${id === scale.ids[token.index] ? 'vu-drawn' : ''}><${Swatch} rgb=${colours.slice(at, at + 3)} /><span>${id}</span>
      <b style=${`--share:${shares[i]}`}></b><span>${percent(shares[i])}</span></li>`;
  })}</ol><p class="vu-hint">${word('entropy_of', { entropy: scale.entropy[token.index].toFixed(2), most: Math.log(run.codes).toFixed(1) })}</p></section>`;
}

// weights that no softmax could give: they are shown cut to what it could
const outside = (weights) => weights.filter((weight) => weight < -1e-5 || weight > 1 + 1e-5).length;

// MathML as text: the parser gives it its namespace
const FORMULA = `<math display="block"><mrow><msub><mi mathvariant="italic">out</mi><mi>i</mi></msub><mo>=</mo><munder><mo>\u2211</mo><mi>j</mi></munder>
  <mrow><msub><mi mathvariant="normal">softmax</mi><mi>j</mi></msub><mo>(</mo><mi>s</mi><mspace width=".15em"/><msub><mi>q</mi><mi>i</mi></msub><mo>\u00b7</mo>
  <msub><mi>k</mi><mi>j</mi></msub><mo>)</mo></mrow><mspace width=".2em"/><msub><mi>v</mi><mi>j</mi></msub></mrow></math>`;

function Attention({ state, word, acts }) {
  const { run, token, attention, attentionError, layer, head } = state;
  const options = (count) => Array.from({ length: count }, (_, i) => [String(i + 1), String(i)]);
  const chooser = html`<div class="vu-choosers"><${Choice} label=${word('layer')} value=${String(layer)} options=${options(run.layers)} onChoose=${(value) => acts.look(Number(value), head)} />
    <${Choice} label=${word('head')} value=${String(head)} options=${options(run.heads)} onChoose=${(value) => acts.look(layer, Number(value))} /></div>`;
  if (attentionError) return html`<section class="vu-attention"><h3>${word('attends')}</h3>${chooser}<p class="vu-problem" role="status">${attentionError}</p></section>`;
  if (!attention) return html`<section class="vu-attention"><h3>${word('attends')}</h3>${chooser}<p class="vu-hint" role="status">${whole(run) ? word('waiting') : word('attention_whole', { count: run.scales.length, all: run.sides.length })}</p></section>`;
  const top = strongest(attention.weights, KEYS), shares = masses(run.sides, attention.weights);
  const rest = 1 - top.reduce((sum, { weight }) => sum + weight, 0), others = attention.weights.length - top.length;
  const dim = attention.dim, valueOf = (key) => Array.from(attention.values.slice(key * dim, (key + 1) * dim));
  const exact = attention.exact, shows = Boolean(attention.values), cut = exact ? 0 : outside(attention.weights);
  return html`<section class="vu-attention"><div class="vu-attention-head"><h3>${word('attends')}</h3>${chooser}
      ${exact && html`<div class="vu-formula" dangerouslySetInnerHTML=${{ __html: FORMULA }}></div>`}</div>${!exact && html`<p class="vu-hint">${word('attention_low_rank')} ${cut > 0 && word('attention_cut', { count: cut })}</p>`}
    <table><thead><tr><th scope="col">${word('key')}</th>${exact ? html`<th scope="col">s\u2009q\u00b7k</th>` : ''}<th scope="col">softmax</th>${shows ? html`<th scope="col">v</th>` : ''}</tr></thead>
      <tbody>${top.map(({ key, weight }) => html`<tr key=${key}><th scope="row">${place(word, run.sides, key)}</th>
        ${exact ? html`<td>${signed(attention.logits[key])}</td>` : ''}<td><b class="vu-weight" style=${`--share:${weight / top[0].weight}`}></b>${percent(Math.max(0, weight))}</td>
        ${shows ? html`<td><${Vector} values=${valueOf(key)} label="v" /></td>` : ''}</tr>`)}
      ${others > 0 && html`<tr><th scope="row">${word(others > 1 ? 'others' : 'other', { count: others })}</th>${exact ? html`<td></td>` : ''}<td>${percent(Math.max(0, rest))}</td>${shows ? html`<td></td>` : ''}</tr>`}
      ${shows && html`<tr class="vu-out"><th scope="row">${word('output')}</th><td></td><td>100 %</td><td><${Vector} values=${Array.from(attention.output)} label=${word('output')} /></td></tr>`}</tbody></table>
    <p class="vu-hint">${word('lines_note', { largest: percent(top[0].weight) })} ${shares.map((share, k) => `${run.sides[k]}\u00d7${run.sides[k]} ${percent(Math.max(0, share))}`).join(' \u00b7 ')}</p></section>`;
}

// How to read what stands above; `expect`: and what a model as small as this one can do; `ranks`: with the best of several drawings to ask for
function Reading({ state: { run, model, computing }, word, acts, attends, expect, ranks }) {
  const best = ({ currentTarget }) => { acts.best(); currentTarget.closest('.vu').querySelector('.vu-picture').scrollIntoView({ block: 'nearest' }); };
  const drawn = run ? run.scales[0]?.entropy : attends; // or taken apart
  const parts = { maps: '', sums: drawn && 'read_sums_drawn', token: attends && 'read_token_click', ...(expect && { model: '' }) };
  return html`<div class="vu-card vu-empty">${Object.entries(parts).map(([name, more]) => html`<section key=${name}><h3>${word(`read_${name}_title`)}</h3>
    <p>${word(`read_${name}`, { codes: (run ?? model).codes })}${more && ` ${word(more)}`}${name === 'model' && ranks && html` <button type="button" class="vu-link" id="vm-best" title=${word('best_hint')} disabled=${computing} onclick=${best}>${word('best')}</button>`}</p></section>`)}</div>`;
}

// `attends`: whether there is anybody to ask where a token attends to
export function Token({ state, word, acts, attends = true, expect = false, ranks = false }) {
  const { run, token, pinned } = state;
  if (!token || !run?.scales[token.scale]) return html`<${Reading} ...${{ state, word, acts, attends, expect, ranks }} />`;
  return html`<div class="vu-card vu-token">
    <${Code} ...${{ state, word }} /><${Likely} ...${{ state, word }} />
    ${!attends ? '' : pinned ? html`<${Attention} ...${{ state, word, acts }} />` : html`<section class="vu-attention"><h3>${word('attends')}</h3><p class="vu-hint">${word('attention_prompt')}</p></section>`}
  </div>`;
}
