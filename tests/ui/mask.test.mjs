// A mask that is brushed, and the state of the chapter that edits under it, without a browser.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { createEditing, REST_MS } from '../../var_mini/ui/lib/editing.js';
import { count, NAMES, preset, stroked } from '../../var_mini/ui/lib/mask.js';

const WORDS = JSON.parse(readFileSync(new URL('../../var_mini/ui/words.json', import.meta.url)));
const rows = (mask, side) => Array.from({ length: side }, (_, y) => mask.slice(y * side, (y + 1) * side).join(''));
const soon = () => new Promise((resolve) => { setTimeout(resolve, 1); });

test('every mask by name is as drawn here, and each has a name in words', () => {
  const drawn = {
    left: ['11000', '11000', '11000', '11000', '11000'], middle: ['00000', '00000', '00100', '00000', '00000'],
    border: ['11111', '10001', '10001', '10001', '11111'], all: Array(5).fill('11111'), clear: Array(5).fill('00000'),
  };
  for (const [name, wanted] of Object.entries(drawn)) assert.deepEqual(rows(preset(name, 5), 5), wanted, name);
  assert.deepEqual(rows(preset('invert', 2, [1, 0, 0, 1]), 2), ['01', '10']);
  assert.deepEqual(rows(preset('middle', 4), 4), ['0000', '0110', '0110', '0000']);
  assert.deepEqual([14, 16, 20, 21].map((side) => count(preset('border', side))), [14, 16, 20, 21].map((side) => side ** 2 - (side - 2 * Math.floor(side / 7)) ** 2));
  assert.deepEqual(NAMES.filter((name) => !WORDS[`edit_preset_${name}`]), []);
});

test('a stroke leaves no gap, holds to the straight line, and a larger brush is that line made thicker', () => {
  const side = 6, cells = Array.from({ length: side * side }, (_, i) => [i % side, Math.floor(i / side)]), none = preset('clear', side);
  for (let from = 0; from < side * side; from += 5) {
    for (let to = 0; to < side * side; to++) {
      const [[x0, y0], [x1, y1]] = [cells[from], cells[to]], [dx, dy] = [x1 - x0, y1 - y0], long = Math.max(Math.abs(dx), Math.abs(dy));
      const line = stroked(none, side, from, to, 1, 1), on = cells.filter((_, i) => line[i]);
      assert.equal(on.length, long + 1);
      assert.ok(line[from] && line[to]);
      for (const [x, y] of on) assert.ok(Math.abs((x - x0) * dy - (y - y0) * dx) <= long / 2); // half a cell across the longer way, at most
      for (const [size, before] of [[2, 0], [3, 1]]) {
        const thick = stroked(none, side, from, to, size, 1);
        cells.forEach(([x, y], i) => assert.equal(thick[i], Number(on.some(([u, v]) => x >= u - before && x < u - before + size && y >= v - before && y < v - before + size))));
      }
    }
  }
  const full = preset('all', side), hole = stroked(full, side, 5, 5, 3, 0); // at the edge nothing comes out on the other side
  assert.deepEqual(rows(hole, side), ['111100', '111100', '111111', '111111', '111111', '111111']);
  assert.equal(count(full), side * side);
});

// the chapter, with timers that run when they are told to, and answers that come when they are wanted
function chapter() {
  const asked = [], told = [];
  let timer = null;
  const { store, acts } = createEditing({ word: (name, values = {}) => [name, ...Object.values(values)].join(' '), take: (run) => told.push(['take', run]), redraw: (query) => told.push(['redraw', query]),
    plan: (query) => new Promise((resolve, reject) => { asked.push({ query, answer: (scales) => resolve({ scales }), fail: (text) => reject(new Error(text)) }); }) },
    { later: (run, ms) => { assert.equal(ms, REST_MS); timer = run; return run; }, cancel: (one) => { if (one === timer) timer = null; } });
  return { acts, asked, told, get: store.get, rest: () => { timer?.(); timer = null; } };
}
const START = { model: 'm', subject: 'ant', facts: '', sides: [1, 2], ids: [[0], [1, 2, 3, 4]], image: 'data:,', samples: [] };

test('the mask begins with the left side and stays with another picture of the same maps', () => {
  const { acts, get } = chapter();
  acts.show(null);
  assert.equal(get().start, null);
  acts.show(START);
  assert.deepEqual(get().mask, [1, 0, 1, 0]);
  acts.stroke(1, 1, 1);
  acts.show({ ...START, subject: 'bee' });
  assert.deepEqual([get().mask, get().start.subject], [[1, 1, 1, 0], 'bee']);
  acts.show({ ...START, sides: [1, 2, 4] });
  assert.deepEqual(rows(get().mask, 4), Array(4).fill('1100'));
});

test('the plan is asked for once the mask rests, and what comes too late for it is not shown', async () => {
  const { acts, asked, get, rest } = chapter();
  acts.show(START);
  acts.fill('all');
  assert.equal(asked.length, 0);
  rest();
  assert.deepEqual(asked[0].query, { model: 'm', mask: [1, 1, 1, 1] });
  acts.fill('invert');
  asked[0].answer([[1], [1, 1, 1, 1]]); // of the mask before
  await soon();
  assert.deepEqual([get().scales, get().planned], [[], []]);
  rest();
  asked[1].answer([[0], [0, 0, 0, 0]]);
  await soon();
  assert.deepEqual([get().scales, get().planned], [[[0], [0, 0, 0, 0]], [0, 0, 0, 0]]);
  acts.fill('left');
  rest();
  asked[2].fail('mask: too small');
  await soon();
  assert.equal(get().said, 'mask: too small');
});

test('by keyboard the cell moves within the board, and space marks and unmarks under the brush', () => {
  const { acts, asked, get, rest } = chapter();
  acts.show(START);
  acts.fill('clear');
  rest();
  assert.ok(acts.press('ArrowRight') && acts.press('ArrowRight') && acts.press('ArrowDown') && !acts.press('Tab') && !acts.press('a'));
  rest();
  assert.deepEqual([get().at, get().mask, asked.length], [3, [0, 0, 0, 0], 1]); // moving asks for nothing
  assert.ok(acts.press(' '));
  assert.deepEqual([get().mask, get().said], [[0, 0, 0, 1], 'edit_cell_on 2 2']);
  acts.brush(3);
  assert.ok(acts.press('Home') && acts.press(' '));
  assert.deepEqual([get().mask, get().said], [[1, 1, 1, 1], 'edit_cell_on 2 1']);
  acts.press(' ');
  assert.deepEqual([get().mask, get().said], [[0, 0, 0, 0], 'edit_cell_off 2 1']);
});

test('what is missing is told, and only a finished picture is taken or redrawn', () => {
  const { acts, told, get } = chapter();
  acts.redraw();
  assert.equal(get().said, 'edit_no_picture');
  acts.show({ ...START, ids: [] });
  acts.redraw();
  assert.equal(get().said, 'edit_no_picture');
  acts.show(START);
  acts.fill('clear');
  acts.redraw();
  assert.equal(get().said, 'edit_no_mask');
  const run = { settings: { model: 'm' }, sides: [1, 2], scales: [{ ids: [0] }] };
  for (const none of [null, run, { ...run, scales: [{}, {}], settings: {} }]) {
    acts.take(none);
    assert.equal(get().said, 'edit_none');
  }
  assert.deepEqual(told, []);
  acts.stroke(0, 0, 1);
  acts.redraw();
  const done = { ...run, scales: [{}, {}] };
  acts.take(done);
  assert.deepEqual(told, [['redraw', { model: 'm', ids: START.ids, mask: [1, 0, 0, 0] }], ['take', done]]);
  assert.equal(get().said, '');
});
