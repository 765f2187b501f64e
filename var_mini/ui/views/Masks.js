// Three pictures of one thing, for the scale of the scrubber: the mask of training, the steps of generation without one, and what has to
// be kept. Each is a few rectangles in true proportion.

import { html, render, useEffect, useState } from '../vendor/preact-htm.js';
import { number, wordsOf } from '../lib/format.js';
import { blockAt, blockOf, keptOf, pressed, rowOf, said, saidOfBlock, saidOfSame, showsCells, sidesOf, size, stateOf } from '../lib/masks.js';
import { icon, PAUSE, PLAY } from '../parts/icons.js';

const PLAY_MS = 1100; // a scale
const MARGIN = 0.012; // around a picture, for half of a line's width
const STRIPES = 40; // over the side of the mask

const Rect = ({ kind, ...place }) => html`<rect class=${kind} vector-effect="non-scaling-stroke" ...${place} />`;

// what a scale sees, above what is hidden from it
const Row = ({ data, k, kind }) => ['earlier', 'own'].map((part) => html`<${Rect} kind=${`vb-${part} ${kind}`} data-row=${k} ...${rowOf(data, k)[part]} />`);

function Picture({ kind, label, width, height = width, children, ...acts }) {
  const edge = Math.max(width, height) * MARGIN;
  return html`<svg class=${kind} role="img" aria-label=${label} viewBox=${`${-edge} ${-edge} ${width + 2 * edge} ${height + 2 * edge}`} ...${acts}>${children}</svg>`;
}

function Mask({ data, state, set, label }) {
  const { tokens, scales } = data, stripe = tokens / STRIPES, whole = { x: 0, y: 0, width: tokens, height: tokens };
  const [id] = useState(() => `vb${Math.random().toString(36).slice(2)}`); // a pattern's must be its own on the page
  const under = ({ currentTarget, clientX, clientY }) => {
    const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(currentTarget.getScreenCTM().inverse());
    return blockAt(data, x, y);
  };
  const choose = (event) => {
    const cursor = under(event);
    set(cursor ? { cursor, scale: cursor.query, playing: false } : { cursor });
  };
  const keys = (event) => {
    const change = pressed(state, event.key, scales.length);
    if (!change) return;
    event.preventDefault();
    set(change);
  };
  const leave = () => set({ cursor: null });
  return html`<${Picture} kind="vb-mask" label=${label} width=${tokens} tabindex="0" onpointermove=${(event) => set({ cursor: under(event) })} onclick=${choose}
      onpointerleave=${leave} onkeydown=${keys} onblur=${leave}>
    <defs><pattern id=${`${id}-hidden`} width=${stripe} height=${stripe} patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <path d=${`M0 0V${stripe}`} class="vb-stripe" stroke-width=${stripe * 0.35} /></pattern>
      <pattern id=${`${id}-cells`} width="1" height="1" patternUnits="userSpaceOnUse"><path d="M0 0H1M0 0V1" class="vb-cell" stroke-width="0.12" /></pattern></defs>
    ${scales.map((_, k) => html`<${Rect} key=${`hidden${k}`} kind="vb-hidden" style=${`fill:url(#${id}-hidden)`} ...${rowOf(data, k).hidden} />`)}
    ${scales.map((_, k) => html`<${Row} key=${k} data=${data} k=${k} kind=${k === state.scale ? 'vb-now' : ''} />`)}
    ${showsCells(data) && html`<${Rect} kind="vb-cells" style=${`fill:url(#${id}-cells)`} ...${whole} />`}
    ${sidesOf(data).map(({ text, size: height, ...middle }) => html`<text key=${text} class="vb-side" font-size=${height} ...${middle}>${text}</text>`)}
    <${Rect} kind="vb-frame" ...${whole} />${state.cursor && html`<${Rect} kind="vb-cursor" ...${blockOf(data, state.cursor)} />`}<//>`;
}

function Steps({ data, scale, label }) {
  const { tokens, scales } = data, { keys, queries } = scales[scale];
  return html`<${Picture} kind="vb-steps" label=${label} width=${tokens}><${Rect} kind="vb-blank" x="0" y="0" width=${tokens} height=${tokens} />
    ${scales.slice(0, scale + 1).map((_, k) => html`<${Row} key=${k} data=${data} k=${k} kind=${k === scale ? 'vb-now' : 'vb-past'} />`)}
    <${Rect} kind="vb-outline" x="0" y=${keys - queries} width=${keys} height=${queries} /><//>`;
}

function Kept({ data, scale, label }) {
  const { width, height, squares } = keptOf(data, scale), ring = (k) => `vb-ring vb-now ${k === scale ? 'vb-own' : 'vb-earlier'}`;
  return html`<${Picture} kind="vb-kept" ...${{ label, width, height }}>${squares.map(({ kind, scale: k, x, y, side }) => html`<${Rect} key=${`${kind}${k} ${x}`}
    kind=${kind === 'ring' ? ring(k) : `vb-${kind}`} ...${{ x, y, width: side, height: side }} />`)}<//>`;
}

// `rows` are lists of what stands in them; the one numbered `now` is marked
const Table = ({ label, heads, rows, now }) => html`<div class="vu-scroll" tabindex="0" role="group" aria-label=${label}><table>
  <thead><tr>${heads.map((head) => html`<th key=${head} scope="col">${head}</th>`)}</tr></thead>
  <tbody>${rows.map(([name, ...cells], k) => html`<tr key=${name} class=${k === now ? 'vb-current' : undefined} aria-current=${k === now ? 'true' : undefined}>
    <th scope="row">${name}</th>${cells.map((cell, i) => html`<td key=${i}>${cell}</td>`)}</tr>`)}</tbody></table></div>`;

const named = ({ side }) => `${side} \u00d7 ${side}`;

// the logits of the masked pass against those of the loop over scales, or a note why they are not compared
function Same({ found: { note, scales }, scale, word, text }) {
  if (!scales) return html`<div class="vb-same"><p class="vb-note">${note}</p></div>`;
  const heads = ['scale', 'masks_col_loop', 'masks_col_unmasked', 'masks_col_triangular', 'masks_col_largest'].map((name) => word(name));
  const rows = scales.map((one) => [named(one), ...[one.loop, one.unmasked, one.triangular, one.largest].map(number)]);
  return html`<div class="vb-same"><h3>${word('masks_title_same')}</h3><p class="vb-note">${note}</p><p class="vb-result">${text(saidOfSame({ scales }, scale))}</p>
    <${Table} label=${word('masks_title_same')} ...${{ heads, rows, now: scale }} /><p class="vb-caption">${word('masks_same_foils')}</p></div>`;
}

function Numbers({ data: { scales }, word }) {
  const heads = ['scale', 'masks_col_queries', 'masks_col_keys', 'masks_col_pairs', 'masks_col_cache', 'masks_col_state'].map((name) => word(name));
  const rows = scales.map((one) => [named(one), number(one.queries), number(one.keys), number(one.queries * one.keys), size(one.cache_bytes), size(one.state_bytes)]);
  return html`<details class="vb-numbers"><summary>${word('masks_table')}</summary><${Table} label=${word('masks_table')} ...${{ heads, rows }} /></details>`;
}

const Question = ({ ask, children }) => html`<details><summary>${ask}</summary><p>${children}</p></details>`;

export function Masks({ data, word }) {
  const [last, setLast] = useState(null), state = stateOf(last, data), { scale, playing } = state, end = data.scales.length - 1;
  const set = (change) => setLast((now) => ({ ...stateOf(now, data), ...change }));
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setTimeout(() => set(scale < end ? { scale: scale + 1 } : { playing: false }), PLAY_MS);
    return () => clearTimeout(timer);
  }, [playing, scale]);
  const text = (sayings) => sayings.map(([name, values]) => word(name, values)).join(' '), { same } = data;
  const told = Object.fromEntries(Object.entries(said(data, scale)).map(([part, sayings]) => [part, text(sayings)]));
  const key = (part) => html`<i class=${`vb-key vb-key-${part}`}></i>`, caption = (sentences, part) => html`<p class="vb-caption">${part && key(part)}${sentences}</p>`;
  const figure = (title, picture, captions) => html`<figure><h3>${word(title)}</h3>${picture}<figcaption>${captions}</figcaption></figure>`;
  return html`<div class="vb" data-name=${data.name} data-attention=${data.attention} data-scale=${scale + 1} data-same=${same ? (same.scales ? 'computed' : 'told') : ''}>
    <p class="vb-facts">${told.facts}</p>
    <div class="vb-controls"><button type="button" class="vu-button vb-play" aria-label=${word(playing ? 'pause' : 'masks_play')}
        onclick=${() => set(playing ? { playing: false } : { playing: true, scale: scale === end ? 0 : scale })}>${icon(playing ? PAUSE : PLAY)}</button>
      <input type="range" min="0" max=${end} step="1" value=${scale} aria-label=${word('masks_scrubber')} aria-valuetext=${told.place}
        oninput=${(event) => set({ scale: Number(event.currentTarget.value), playing: false })} /><output class="vb-place">${told.place}</output></div>
    <p class="vb-say" aria-live="polite">${told.say}</p>
    <ul class="vb-legend">${['own', 'earlier', 'hidden'].map((part) => html`<li key=${part}>${key(part)}${word(`masks_legend_${part}`)}</li>`)}</ul>
    <div class="vb-figures">
      ${figure('masks_title_mask', html`<${Mask} ...${{ data, state, set }} label=${told.label} />`,
    html`${caption(told.mask)}<p class="vb-caption vb-pair" aria-live="polite">${text(saidOfBlock(data, state.cursor))}</p>`)}
      ${figure('masks_title_steps', html`<${Steps} ...${{ data, scale }} label=${told.steps} />`, caption(told.steps))}
      ${figure('masks_title_kept', html`<${Kept} ...${{ data, scale }} label=${[told.cache, told.state, told.verdict].join(' ')} />`,
    html`${caption(told.cache, 'cache')}${caption(told.state, data.method !== 'exact' && 'state')}${caption(told.verdict)}`)}</div>
    ${same && html`<${Same} found=${same} ...${{ scale, word, text }} />`}
    <div class="vb-questions"><${Question} ask=${word('masks_ask_see')}>${word('masks_answer_see')}<//>
      <${Question} ask=${word('masks_ask_mask')}>${word('masks_answer_mask')} ${same !== undefined && word('masks_answer_measured')}<//>
      <${Question} ask=${word('masks_ask_state')}>${word('masks_answer_state')}<//></div>
    <${Numbers} ...${{ data, word }} /></div>`;
}

// `data` is the JSON of var_mini/view/memory.py with a name, and, where somebody can compare the two ways of computing the same logits,
// `same`: null, or the comparison { note, scales }, without scales where there is none
export function mountMasks(root, { data, all, language }) {
  render(html`<${Masks} data=${data} word=${wordsOf(all, language)} />`, root);
}
