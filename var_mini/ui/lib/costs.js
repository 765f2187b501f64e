// Who wins at a side of the last map: recorded times of demo/cost_data.py, compared.

import { nearest } from './chart.js';

export const LOW_RANK = ['poly-2', 'landmark-32', 'landmark-64'], POOLED = ['pool-2', 'pool-4'];
export const KINDS = ['attention', 'transformer', 'raster']; // what is timed

const sorted = (values) => [...new Set(values)].sort((a, b) => a - b);
const timed = ({ rows }, what) => rows.filter((row) => row.what === what);
export const sidesOf = (data, what = 'attention') => sorted(timed(data, what).map((row) => row.side));
export const headDims = (data, what = 'attention') => sorted(timed(data, what).map((row) => row.head_dim));
export const methodsOf = (data, what) => [...new Set(timed(data, what).map((row) => row.method))];

// [side, seconds] of one method, from the smallest side on
export function curveOf({ rows }, what, headDim, method) {
  return rows.filter((row) => row.what === what && row.head_dim === headDim && row.method === method)
    .map((row) => [row.side, row.median_s]).sort(([a], [b]) => a - b);
}

/**
 * The comparison at the recorded side that is nearest to `n`: the quickest low-rank method, how many times as fast as exact attention
 * it is, in the whole transformer too, and the least side from which on it is always ahead; the quickest pooled one where that is quicker still.
 */
export function answerAt(data, headDim, n) {
  const sides = sidesOf(data), side = nearest(sides, n, true);
  const gain = (what, at, method) => {
    const seconds = (one) => curveOf(data, what, headDim, one).find(([place]) => place === at)[1];
    return seconds('exact') / seconds(method);
  };
  const best = (methods) => methods.reduce((a, b) => (gain('attention', side, b) > gain('attention', side, a) ? b : a));
  const method = best(LOW_RANK), pooled = best(POOLED), ratio = gain('attention', side, method), most = gain('attention', side, pooled);
  const behind = sides.filter((at) => gain('attention', at, method) <= 1).at(-1) ?? 0;
  return { side, tokens: timed(data, 'attention').find((row) => row.side === side).tokens, method, ratio, whole: gain('transformer', side, method),
    ahead: sides.find((at) => at > behind) ?? null, pooled: most > ratio ? { method: pooled, ratio: most } : null };
}

// How many times as fast scale by scale is as token by token, both with a cache, at the recorded side that is nearest to `n`.
export function rasterAt(data, n) {
  const side = nearest(sidesOf(data, 'raster'), n, true), [headDim] = headDims(data, 'raster');
  const seconds = (method) => curveOf(data, 'raster', headDim, method).find(([place]) => place === side)[1];
  return { side, ratio: seconds('raster-cached') / seconds('var-cached') };
}
