// Who wins at a side of the last map, against the stored rows gone through here one by one.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { answerAt, curveOf, headDims, methodsOf, rasterAt, sidesOf } from '../../var_mini/ui/lib/costs.js';

const { rows } = JSON.parse(readFileSync(new URL('../../assets/results/scaling.json', import.meta.url)));
const data = { rows };

test('winner, by how much, and from where on are those of the stored times', () => {
  for (const headDim of [8, 16]) {
    for (const [n, near] of [[4, 8], [8, 8], [16, 16], [30, 32], [64, 64], [90, 96]]) {
      const seconds = new Map(rows.filter((row) => row.head_dim === headDim).map((row) => [`${row.what} ${row.side} ${row.method}`, row.median_s]));
      const gain = (what, side, method) => seconds.get(`${what} ${side} exact`) / seconds.get(`${what} ${side} ${method}`);
      const [best] = ['poly-2', 'landmark-32', 'landmark-64'].sort((a, b) => gain('attention', near, b) - gain('attention', near, a));
      const answer = answerAt(data, headDim, n), pooled = Math.max(gain('attention', near, 'pool-2'), gain('attention', near, 'pool-4'));
      const won = [96, 64, 48, 32, 24, 16, 8].filter((side) => gain('attention', side, best) > 1); // all its wins are at the large sides
      assert.deepEqual([answer.side, answer.method, answer.ahead], [near, best, won.at(-1)]);
      assert.equal(answer.ratio, gain('attention', near, best));
      assert.equal(answer.whole, gain('transformer', near, best));
      assert.equal(answer.pooled?.ratio ?? null, pooled > answer.ratio ? pooled : null);
    }
  }
});

test('a method that falls behind again is ahead from there on, and one that never wins from nowhere', () => {
  const made = (times) => ({ rows: [['exact', [1, 1, 1]], ['poly-2', times], ...['landmark-32', 'landmark-64', 'pool-2', 'pool-4'].map((name) => [name, [9, 9, 9]])]
    .flatMap(([method, seconds]) => seconds.flatMap((median_s, i) => ['attention', 'transformer'].map((what) => ({ what, head_dim: 8, side: [8, 16, 32][i], tokens: 1, method, median_s })))) });
  assert.equal(answerAt(made([0.5, 2, 0.5]), 8, 8).ahead, 32);
  assert.equal(answerAt(made([0.5, 0.5, 0.5]), 8, 8).ahead, 8);
  assert.equal(answerAt(made([0.5, 0.5, 1]), 8, 8).ahead, null);
});

test('sides, head dimensions and curves are in order', () => {
  const mixed = { rows: [...rows].reverse() };
  assert.deepEqual([sidesOf(mixed), headDims(mixed)], [[8, 16, 24, 32, 48, 64, 96], [8, 16]]);
  assert.deepEqual(curveOf(mixed, 'attention', 16, 'exact').map(([side]) => side), sidesOf(mixed));
});

test('token by token against scale by scale is the ratio of the stored times with a cache, at the nearest side', () => {
  const { rows: stored } = JSON.parse(readFileSync(new URL('../../assets/results/raster.json', import.meta.url)));
  const both = { rows: [...rows, ...stored.filter(({ seconds }) => seconds !== null).map(({ side, method, seconds }) => ({ what: 'raster', head_dim: 8, side, tokens: side * side, method, median_s: seconds }))] };
  const seconds = (side, method) => stored.find((row) => row.side === side && row.method === method).seconds;
  for (const [n, side] of [[4, 4], [17, 16], [96, 32]]) {
    assert.deepEqual(rasterAt(both, n), { side, ratio: seconds(side, 'raster-cached') / seconds(side, 'var-cached') });
  }
  assert.deepEqual(answerAt(both, 16, 30), answerAt(data, 16, 30)); // who wins is asked of attention alone
  assert.deepEqual([headDims(both), methodsOf(both, 'raster').length], [[8, 16], 6]);
});
