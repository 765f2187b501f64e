// Line charts without a page: what stands where, read back from the paths.

import assert from 'node:assert/strict';
import test from 'node:test';
import { BOTTOM, HEIGHT, layout, LEFT, nearest, RIGHT, rowsOf, SYMBOLS, TOP, WIDTH } from '../../var_mini/ui/lib/chart.js';
import { number } from '../../var_mini/ui/lib/format.js';

const chart = (points, rest = {}) => layout({ series: [{ name: 'error', points }], x: { label: 'bound', log: rest.logX }, y: { label: 'size', log: rest.logY }, ...rest });
const places = (path) => [...path.matchAll(/[ML]?(-?[\d.]+),(-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
const close = (a, b, by = 0.02) => assert.ok(Math.abs(a - b) <= by, `${a} against ${b}`);

test('logarithmic axes make a power law straight, and larger is higher', () => {
  const found = places(chart([1, 2, 8, 16].map((x) => [x, 3 * x ** 4]), { logX: true, logY: true }).curves[0].path);
  const slopes = found.slice(1).map(([x, y], i) => (y - found[i][1]) / (x - found[i][0]));
  slopes.forEach((slope) => close(slope, slopes[0], 0.01));
  assert.ok(slopes[0] < 0);
});

test('linear axes keep proportions and stay inside', () => {
  const found = places(chart([[0, 0], [1, 10], [4, 40]]).curves[0].path);
  close((found[2][0] - found[0][0]) / (found[1][0] - found[0][0]), 4, 0.01);
  assert.ok(found.every(([x, y]) => x >= LEFT && x <= WIDTH - RIGHT && y >= TOP && y <= HEIGHT - BOTTOM));
});

test('values that have no place leave a gap, and stand in the table', () => {
  const points = [[1, 1], [2, -5], [3, 2], [4, null], [5, 3], [6, 4], [7, 5]], { curves: [{ path, dots }] } = chart(points, { logY: true });
  assert.deepEqual([path.match(/M/g).length, path.match(/L/g).length, dots.map(({ at }) => at)], [3, 2, [1, 3, 5, 6, 7]]);
  assert.deepEqual(rowsOf([{ points }, { points: [[2, 9], [0, 1]] }]).slice(0, 3), [{ at: 0, values: [undefined, 1] }, { at: 1, values: [1, undefined] }, { at: 2, values: [-5, 9] }]);
});

test('a mark and the place that is shown stand at their values', () => {
  const { marks: [ten], here, curves: [{ dots: [a, b] }] } = chart([[1, 1], [100, 2]], { logX: true, marks: [{ x: 10, label: 'ten' }], here: 10 });
  close(ten.x, (a.x + b.x) / 2);
  close(here, ten.x, 1e-9);
  assert.equal(chart([[1, 1], [2, 2]]).here, null);
});

test('the name of the last of three marks stands highest, and all stand above the curves', () => {
  const { marks, up } = chart([[8, 1], [96, 2]], { logX: true, marks: [16, 32, 64].map((x) => ({ x, label: String(x) })) });
  assert.ok(marks[0].top > marks[1].top && marks[1].top > marks[2].top);
  assert.ok(up.scale(2) > marks[0].top);
});

test('what is measured once is a ring without a line, in the style of its curve', () => {
  const { curves } = layout({ series: [{ name: 'a', points: [[1, 1], [2, 2]], style: 3 }, { name: 'b', points: [[1, 2], [2, 1]], style: 3, ringed: true }], x: {}, y: {} });
  assert.deepEqual(curves.map(({ style, path, dots }) => [style, path !== '', dots.length]), [[3, true, 2], [3, false, 2]]);
});

test('axes have few round ticks, or those that are asked for', () => {
  const ticks = (points, rest) => chart(points, rest).across.ticks;
  assert.deepEqual(ticks([[1e-3, 1], [1e4, 2]], { logX: true }), [1e-3, 1e-2, 0.1, 1, 10, 100, 1000, 10000]);
  assert.deepEqual(ticks([[1, 1], [100, 2]], { logX: true }), [1, 3, 10, 30, 100]);
  assert.deepEqual(ticks([[8, 1], [96, 2]], { logX: true }), [10, 20, 50, 100]);
  assert.deepEqual(chart([[8, 1], [96, 2]], { x: { log: true, ticks: [4, 8, 16, 96] } }).across.ticks, [8, 16, 96]);
  assert.ok(ticks([[0, 1], [7, 2]]).length <= 9);
});

test('one point and equal values can be drawn, and nothing where there is nothing', () => {
  for (const log of [true, false]) {
    for (const points of [[[3, 5]], [[1, 7], [2, 7]]]) assert.doesNotMatch(JSON.stringify(chart(points, { logX: log, logY: log }).curves), /NaN/);
  }
  assert.deepEqual([chart([]), chart([[1, null]]), chart([[1, -1]], { logY: true })], [null, null, null]);
});

test('the nearest place is that of the axis', () => {
  assert.deepEqual([nearest([8, 16, 32], 12), nearest([8, 16, 32], 11, true), nearest([8, 16, 32], 12, true), nearest([1, 2], 99)], [8, 8, 16, 2]);
});

test('all shapes but the last, which is that of the first, are different', () => assert.equal(new Set(SYMBOLS).size, SYMBOLS.length - 1));

test('numbers have three digits that count', () => {
  assert.deepEqual([0, 0.00123456, 1e-7, 2240, 9451, 12.345, 1.5, 100, 3e12, 2.5e-6, -0.25].map(number),
    ['0', '0.00123', '10\u207b\u2077', '2,240', '9,451', '12.3', '1.5', '100', '3\u2009\u00d7\u200910\u00b9\u00b2', '2.5\u2009\u00d7\u200910\u207b\u2076', '\u22120.25']);
});
