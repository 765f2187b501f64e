// The picture of masks and memory without a page: where its rectangles stand, what is said of them, what keys do. `data` is the JSON of
// var_mini/view/memory.py with a name. In mask and steps a token is one unit of length, in memory a number is one unit of area.

import { number, percent } from './format.js';

const ROUNDING = 1e-4; // of the largest logit: what float32 may lose over all layers
const ROOM = 0.055; // share of the mask's side from which on a block has room for its own side in writing
const CELLS = 200; // up to so many tokens single cells can be told apart
const GAP = 0.12; // between cache and state, of the taller one

// what is shown of a pyramid: a scale, the block { query, key } that is looked at or null, whether it plays. Another one begins in the middle.
const begin = ({ name, scales }) => ({ name, scale: Math.floor(scales.length / 2), cursor: null, playing: false });
export const stateOf = (last, data) => (last?.name === data.name && last.scale < data.scales.length ? last : begin(data));

// what a key in the mask changes of that, null where nothing
export function pressed({ scale, cursor }, key, scales) {
  const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
  const inside = (value) => Math.max(0, Math.min(scales - 1, value));
  if (by) return { cursor: cursor ? { query: inside(cursor.query + by[0]), key: inside(cursor.key + by[1]) } : { query: scale, key: scale } };
  if (key === 'Escape') return { cursor: null };
  return key === 'Enter' && cursor ? { scale: cursor.query, playing: false } : null;
}

// how many tokens the scales before have
const before = ({ queries, keys }) => keys - queries;

// the rows of a scale in the mask: what it sees of coarser scales, of its own, and what is hidden from it
export function rowOf({ scales, tokens }, k) {
  const { queries, keys } = scales[k], start = before(scales[k]), row = { y: start, height: queries };
  return { earlier: { x: 0, width: start, ...row }, own: { x: start, width: queries, ...row }, hidden: { x: keys, width: tokens - keys, ...row } };
}

export const blockOf = ({ scales }, { query, key }) => ({ x: before(scales[key]), y: before(scales[query]), width: scales[key].queries, height: scales[query].queries });

// the block { query, key } at a point of the mask, null beside it
export function blockAt({ scales, tokens }, x, y) {
  const scaleOf = (token) => scales.findIndex(({ keys }) => token < keys);
  return [x, y].every((value) => value >= 0 && value < tokens) ? { query: scaleOf(y), key: scaleOf(x) } : null;
}

export const showsCells = ({ tokens }) => tokens <= CELLS;

// the sides that have room on the diagonal: { text, x, y, size }
export function sidesOf({ scales, tokens }) {
  return scales.filter(({ queries }) => queries > ROOM * tokens).map((scale) => {
    const { side, queries } = scale, middle = before(scale) + queries / 2;
    return { text: `${side}\u00d7${side}`, x: middle, y: middle, size: Math.min(tokens * 0.05, queries * 0.3) };
  });
}

// Cache and state as squares that stand on one line, { kind, scale, x, y, side }: what they are at the end as a frame, then the cache
// with a ring from every scale so far, and the state where there is one beside the cache. `width` and `height` are those of all.
export function keptOf({ scales, method, constant, cache_columns: columns, state_columns: stateColumns }, scale) {
  const end = scales.length - 1, cache = (k) => Math.sqrt(scales[k].keys * columns), state = (k) => Math.sqrt(scales[k].state_rows * stateColumns);
  const beside = method !== 'exact', height = Math.max(cache(end), beside ? state(end) : 0), x = cache(end) + GAP * height;
  const square = (kind, left, side, k) => ({ kind, scale: k, x: left, y: height - side, side });
  const squares = [square('frame', 0, cache(end), end)];
  for (let k = scale; k >= 0; k--) squares.push(square('ring', 0, cache(k), k));
  if (beside && !constant) squares.push(square('frame', x, state(end), end));
  if (beside) squares.push(square('state', x, state(scale), scale));
  return { width: beside ? x + state(end) : cache(end), height, squares };
}

export function size(count) {
  const [unit, name, digits] = count >= 1e9 ? [1e9, 'GB', 2] : count >= 1e6 ? [1e6, 'MB', 1] : [1e3, 'kB', 1];
  return `${(count / unit).toFixed(digits)} ${name}`;
}

// -- what is said: sentences, each [name in words.json, what fills its braces]

const pairsOf = ({ queries, keys }) => queries * keys;
const STATES = { exact: 'masks_state_exact', pool: 'masks_state_pool' }; // any other stays as large as it is

// of a scale; `verdict`, which of cache and state is the smaller one, is empty with exact attention
export function said(data, scale) {
  const { scales, tokens, pairs, head_dim: dim, method, attention, smaller_from: from } = data, now = scales[scale], last = scales.at(-1);
  const here = { scale: scale + 1, scales: scales.length, queries: number(now.queries), earlier: number(before(now)), keys: number(now.keys), pairs: number(pairsOf(now)) };
  const all = { tokens: number(tokens), cells: number(tokens * tokens), pairs: number(pairs), share: percent(pairs / (tokens * tokens)) };
  const done = scales.slice(0, scale + 1).reduce((sum, one) => sum + pairsOf(one), 0), times = last.cache_bytes / last.state_bytes;
  const cache = { keys: here.keys, dim, numbers: number(now.keys * data.cache_columns), size: size(now.cache_bytes), all: size(last.cache_bytes) };
  const state = { name: attention, rows: number(now.state_rows), dim, numbers: number(now.state_rows * data.state_columns), size: size(now.state_bytes) };
  const verdict = from === null ? ['masks_verdict_never', { times: (1 / times).toFixed(1) }] : ['masks_verdict_from', { scale: from + 1, times: times.toFixed(times < 10 ? 1 : 0) }];
  const reserve = method === 'landmark' || attention.endsWith('calibrated') ? [['masks_reserve']] : [];
  return {
    facts: [['masks_facts', { name: data.name, tokens: all.tokens, scales: scales.length, layers: data.layers, heads: data.heads, dim }]],
    place: [['masks_scale_of', here]],
    say: [[scale ? 'masks_say' : 'masks_say_first', here]],
    label: [['masks_mask_label', { ...here, ...all }]],
    mask: [['masks_caption_mask', all]],
    steps: [['masks_caption_steps', { ...here, done: number(done), all: all.pairs }]],
    cache: [['masks_cache', cache]],
    state: [[STATES[method] ?? 'masks_state_constant', state]],
    verdict: method === 'exact' ? [] : [verdict, ...reserve],
  };
}

// of a block of the mask, or how to come to one
export function saidOfBlock({ scales }, cursor) {
  if (!cursor) return [['masks_pair_hint']];
  const { query, key } = cursor, queries = scales[query].queries, keys = scales[key].queries;
  const name = key === query ? 'masks_pair_own' : key < query ? 'masks_pair_earlier' : 'masks_pair_hidden';
  return [[name, { query: query + 1, key: key + 1, queries: number(queries), keys: number(keys), cells: number(queries * keys) }]];
}

// of the comparison at a scale
export function saidOfSame({ scales }, scale) {
  const { loop, logits, largest } = scales[scale], values = { scale: scale + 1, loop: number(loop), count: number(logits), largest: number(largest) };
  return [['masks_same_scale', values], ...(loop < ROUNDING * largest ? [['masks_same_rounding']] : [])];
}
