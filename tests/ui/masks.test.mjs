// Masks and memory without a browser: rectangles against cells counted one by one, keys, and sentences that are whole.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { wordsOf } from '../../var_mini/ui/lib/format.js';
import { blockAt, blockOf, keptOf, pressed, rowOf, said, saidOfBlock, saidOfSame, showsCells, sidesOf, size, stateOf } from '../../var_mini/ui/lib/masks.js';

const WORDS = JSON.parse(readFileSync(new URL('../../var_mini/ui/words/masks.json', import.meta.url)));

// a pyramid with heads of dimension 4, as var_mini/view/memory.py counts it: poly-2 keeps 15 features of 5 numbers, at each scale as many
function pyramid(sides, { method = 'poly', name = 'one', rows = () => 15, columns = 5, constant = true } = {}) {
  const scales = [];
  for (const side of sides) {
    const queries = side * side, keys = queries + (scales.at(-1)?.keys ?? 0), kept = rows({ queries, keys });
    scales.push({ side, queries, keys, cache_bytes: 4 * keys * 8, state_rows: kept, state_bytes: 4 * kept * columns });
  }
  const from = scales.findIndex((scale) => scale.state_bytes < scale.cache_bytes);
  return { name, attention: `${method}-2`, method, constant, tokens: scales.at(-1).keys, pairs: scales.reduce((sum, { queries, keys }) => sum + queries * keys, 0), layers: 1, heads: 1,
    head_dim: 4, cache_columns: 8, state_columns: columns, scales, smaller_from: from < 0 ? null : from };
}
const SMALL = pyramid([1, 2, 3]), EXACT = pyramid([1, 2, 3], { method: 'exact', rows: ({ keys }) => keys, columns: 8, constant: false });
const POOL = pyramid([1, 2, 3, 4], { method: 'pool', rows: ({ keys }) => Math.ceil(keys / 2), columns: 8, constant: false });
const within = ({ x, y, width, height }, i, j) => j >= x && j < x + width && i >= y && i < y + height;

test('every cell of the mask lies in one rectangle: hidden where the key is finer, own where both are of a scale', () => {
  const level = SMALL.scales.flatMap(({ queries }, k) => Array(queries).fill(k));
  for (let i = 0; i < 14; i++) {
    for (let j = 0; j < 14; j++) {
      const found = SMALL.scales.flatMap((_, k) => Object.entries(rowOf(SMALL, k)).filter(([, place]) => within(place, i + 0.5, j + 0.5)).map(([kind]) => kind));
      assert.deepEqual(found, [level[j] > level[i] ? 'hidden' : level[j] < level[i] ? 'earlier' : 'own'], `${i} ${j}`);
      const block = blockAt(SMALL, j + 0.5, i + 0.5);
      assert.deepEqual(block, { query: level[i], key: level[j] });
      assert.ok(within(blockOf(SMALL, block), i + 0.5, j + 0.5));
    }
  }
  assert.deepEqual([[-0.1, 3], [3, -0.1], [14, 3], [3, 14]].map(([x, y]) => blockAt(SMALL, x, y)), [null, null, null, null]);
});

test('areas of cache and state are their numbers, and both stand on one line', () => {
  for (const data of [SMALL, EXACT, POOL]) {
    data.scales.forEach(({ keys, state_rows: rows }, scale) => {
      const { width, height, squares } = keptOf(data, scale), of = (kind) => squares.filter((square) => square.kind === kind);
      const rings = of('ring').map(({ side }) => side * side);
      assert.deepEqual(rings.map(Math.round), data.scales.slice(0, scale + 1).map((one) => one.keys * 8).reverse()); // the largest below
      assert.equal(Math.round(rings[0]), keys * 8);
      assert.deepEqual(of('state').map(({ side }) => Math.round(side * side)), data === EXACT ? [] : [rows * data.state_columns]);
      const last = data.scales.at(-1), ends = [last.keys * 8, ...(data === POOL ? [last.state_rows * data.state_columns] : [])]; // a state that never changes needs no frame
      assert.deepEqual(of('frame').map(({ side }) => Math.round(side * side)), ends);
      assert.ok(squares.every(({ x, y, side }) => Math.abs(y + side - height) < 1e-9 && x >= 0 && x + side <= width + 1e-9));
      assert.ok(of('state').every(({ x }) => x > rings[0] ** 0.5)); // beside the cache
    });
  }
});

test('a side is written where there is room, cells are drawn where they can be told apart', () => {
  assert.deepEqual(sidesOf(pyramid([1, 2, 3, 8])).map(({ text }) => text), ['3\u00d73', '8\u00d78']);
  assert.deepEqual(sidesOf(SMALL).map(({ text, x, y }) => [text, x, y]), [['1\u00d71', 0.5, 0.5], ['2\u00d72', 3, 3], ['3\u00d73', 9.5, 9.5]]);
  assert.deepEqual([pyramid([10, 10]), pyramid([10, 10, 1])].map(showsCells), [true, false]);
});

test('arrows move a block at a time and stay inside, Enter takes its scale, Escape leaves; other keys are not for the mask', () => {
  const at = (cursor, scale = 1) => ({ scale, cursor, playing: true });
  assert.deepEqual(pressed(at(null), 'ArrowLeft', 3), { cursor: { query: 1, key: 1 } }); // the first press shows where one is
  assert.deepEqual(['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight'].map((key) => pressed(at({ query: 0, key: 2 }), key, 3).cursor),
    [{ query: 0, key: 2 }, { query: 1, key: 2 }, { query: 0, key: 1 }, { query: 0, key: 2 }]);
  assert.deepEqual(pressed(at({ query: 2, key: 0 }), 'Enter', 3), { scale: 2, playing: false });
  assert.deepEqual(pressed(at({ query: 2, key: 0 }), 'Escape', 3), { cursor: null });
  assert.deepEqual([pressed(at(null), 'Enter', 3), pressed(at(null), 'Tab', 3), pressed(at(null), 'a', 3)], [null, null, null]);
});

test('another pyramid begins in its middle and does not play; another attention leaves all as it is', () => {
  const last = { name: 'one', scale: 2, cursor: { query: 0, key: 0 }, playing: true };
  assert.equal(stateOf(last, { ...SMALL, attention: 'pool-2' }), last);
  const fresh = { scale: 1, cursor: null, playing: false };
  assert.deepEqual(stateOf(last, { ...SMALL, name: 'two' }), { name: 'two', ...fresh });
  assert.deepEqual(stateOf(null, SMALL), { name: 'one', ...fresh });
  assert.deepEqual(stateOf(last, pyramid([1, 2])), { name: 'one', ...fresh }); // one that has no third scale
});

test('every sentence is filled, at every scale and block, in both languages', () => {
  const kinds = [SMALL, EXACT, POOL, pyramid([1, 2, 3], { method: 'landmark', rows: () => 1 })];
  const same = { scales: [{ loop: 2e-6, logits: 8, largest: 20 }] };
  for (const language of ['en', 'zh']) {
    const word = wordsOf(WORDS, language), text = (sayings) => sayings.map(([name, values]) => word(name, values)).join(' ');
    for (const data of kinds) {
      data.scales.forEach((_, scale) => Object.values(said(data, scale)).forEach((one) => assert.doesNotMatch(text(one), /[{}]|undefined|NaN|Infinity/)));
      data.scales.forEach((__, query) => data.scales.forEach((_, key) => assert.doesNotMatch(text(saidOfBlock(data, { query, key })), /[{}]|undefined|NaN/)));
    }
    assert.doesNotMatch(text([...saidOfBlock(SMALL, null), ...saidOfSame(same, 0)]), /[{}]|undefined/);
  }
});

test('what is told is what was counted', () => {
  const { label, mask, steps, cache, state, verdict } = said(SMALL, 1);
  assert.deepEqual([label[0][1].pairs, mask[0][1].pairs, mask[0][1].cells, mask[0][1].share], ['147', '147', '196', '75 %']); // 1 + 4 * 5 + 9 * 14 of 14 * 14
  assert.deepEqual([steps[0][1].pairs, steps[0][1].done, steps[0][1].all], ['20', '21', '147']);
  assert.deepEqual([cache[0][1].numbers, cache[0][1].size, cache[0][1].all], ['40', '0.2 kB', '0.4 kB']);
  assert.deepEqual([state[0][0], state[0][1].numbers, verdict], ['masks_state_constant', '75', [['masks_verdict_from', { scale: 3, times: '1.5' }]]]); // 14 * 8 numbers against 75
  assert.deepEqual(said(pyramid([1, 2]), 0).verdict, [['masks_verdict_never', { times: '1.9' }]]); // 75 numbers against 5 * 8
  assert.deepEqual([said(EXACT, 0).verdict, said(EXACT, 0).state[0][0], said(POOL, 0).state[0][0]], [[], 'masks_state_exact', 'masks_state_pool']);
  assert.deepEqual(said(pyramid([1, 2, 3], { method: 'landmark', rows: () => 1 }), 0).verdict.map(([name]) => name), ['masks_verdict_from', 'masks_reserve']);
  assert.deepEqual([[0, 0], [1, 0], [0, 1]].map(([query, key]) => saidOfBlock(SMALL, { query, key })[0][0]), ['masks_pair_own', 'masks_pair_earlier', 'masks_pair_hidden']);
  const scales = [{ loop: 1e-4, logits: 24, largest: 10 }, { loop: 1e-2, logits: 96, largest: 10 }];
  assert.deepEqual(scales.map((_, scale) => saidOfSame({ scales }, scale).map(([name]) => name)), [['masks_same_scale', 'masks_same_rounding'], ['masks_same_scale']]);
  assert.deepEqual([999, 1e6, 2.5e9].map(size), ['1.0 kB', '1.0 MB', '2.50 GB']);
});
