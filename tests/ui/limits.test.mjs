// The experiments on limits without a page: what is asked, what fills the sentences, where points stand.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { power, short, wordsOf } from '../../var_mini/ui/lib/format.js';
import { across, createExperiment, curves, facts, grid, KINDS, ticks, up } from '../../var_mini/ui/lib/limits.js';

const rows = (key, values, rest = {}) => values.map((value, i) => ({ degree: 2 * i + 2, [key]: value, ...rest }));
const ANSWERS = {
  bound: { bound: 1, side: 8, sqrt_log_tokens: Math.sqrt(Math.log(64)), rows: rows('logits', [0.045, 0.0019, 3.9e-5], { same_tokens: 1 }) },
  norm: { norm: 2, length: 200, explicit_multiplications: 1000, rows: rows('relative_error', [0.01, 1e-4, 1e-6], { multiplications: 250 }) },
  order: { order: 3, tokens: 12, entries: 1.5, largest_logit: 3.375, terms: 1728, rows: rows('relative_error', [0.5, 0.2, 0.05], { features: 10 }) },
  dimension: { dimension: 3, starts: 97, found: 8, expected: 8, coupling: 0.3, radius: 1 / (3 * Math.sqrt(3)), coupled: [4, 8, 6] },
};

// a server whose answers come when they are told to
function slow() {
  const asked = [], told = [];
  const experiment = createExperiment((value) => new Promise((resolve, reject) => { asked.push({ value, resolve: () => resolve({ value }), reject }); }),
    ({ answers, last, problem }) => told.push({ kept: [...answers.keys()], last, problem }));
  return { asked, told, experiment, settled: () => new Promise((resolve) => { setImmediate(resolve); }) };
}

test('of the places that a slider passes while the server computes only the last is asked for', async () => {
  const { asked, told, experiment, settled } = slow();
  [1, 2, 3].forEach((value) => { experiment.want(value); });
  assert.deepEqual(asked.map((one) => one.value), [1]);
  asked[0].resolve();
  await settled();
  asked[1].resolve();
  await settled();
  assert.deepEqual(asked.map((one) => one.value), [1, 3]);
  assert.deepEqual(told, [{ kept: [1], last: 1, problem: '' }, { kept: [1, 3], last: 3, problem: '' }]);
  await experiment.want(1); // kept: the server is not asked again
  assert.deepEqual([asked.length, told.at(-1).last], [2, 1]);
});

test('an answer that comes late does not take the place of the one that the slider stands at', async () => {
  const { asked, told, experiment, settled } = slow();
  experiment.want(1);
  asked[0].resolve();
  await settled();
  experiment.want(2);
  experiment.want(1);
  asked[1].resolve();
  await settled();
  assert.deepEqual(told.at(-1), { kept: [1, 2], last: 1, problem: '' });
});

test('what goes wrong is told, the earlier answer stays, and the same place can be asked for again', async () => {
  const { asked, told, experiment, settled } = slow();
  experiment.want(1);
  asked[0].resolve();
  await settled();
  experiment.want(2);
  asked[1].reject(new Error('norm = 2: must be'));
  await settled();
  assert.deepEqual(told.at(-1), { kept: [1], last: 1, problem: 'norm = 2: must be' });
  experiment.want(2);
  asked[2].resolve();
  await settled();
  assert.deepEqual(told.at(-1), { kept: [1, 2], last: 2, problem: '' });
});

test('every sentence of an experiment is filled from its answer, in both languages', () => {
  const all = JSON.parse(readFileSync(new URL('../../var_mini/ui/words.json', import.meta.url)));
  for (const [name, answer] of Object.entries(ANSWERS)) {
    for (const language of ['en', 'zh']) {
      const word = wordsOf(all, language);
      for (const part of ['title', 'claim', 'slider', 'seen', 'not']) assert.doesNotMatch(word(`limits_${name}_${part}`, facts(name, answer)), /[{}]|undefined|NaN/);
    }
    assert.match(KINDS[name].paper, /^\d{4}\.\d{5}$/);
  }
  assert.deepEqual(Object.keys(KINDS), Object.keys(ANSWERS));
  const { low, high, low_extra: extra } = facts('norm', ANSWERS.norm);
  assert.deepEqual([low, high, extra], ['0.01', '1.0\u2009\u00d7\u200910\u207b\u2076', '25 %']);
});

test('errors stand by powers of ten, and what lies beyond the chart on its edge', () => {
  assert.deepEqual([1e-15, 1e-7, 10, 0, 1e9].map((error) => Number(up([-15, 1], error).toFixed(9))), [0, 0.5, 1, 0, 1]);
  assert.deepEqual([2, 3, 4].map((at) => across({ low: 2, high: 4 }, at)), [0, 0.5, 1]);
  assert.deepEqual([ticks(-14, 1), ticks(-3, 0), ticks(0.25, 4)], [[-10, -5, 0], [-3, -2, -1, 0], [1, 2, 3, 4]]);
});

test('a curve goes from left to right, in whatever order its places were tried', () => {
  const slider = { low: 1, high: 3 }, at = (bound) => ({ ...ANSWERS.bound, bound });
  const drawn = curves('bound', slider, new Map([3, 1, 2].map((bound) => [bound, at(bound)])));
  assert.deepEqual(drawn.map((one) => [one.degree, one.points.map(({ value }) => value), one.points.map(({ x }) => x)]), [2, 4, 6].map((degree) => [degree, [1, 2, 3], [0, 0.5, 1]]));
  assert.ok(drawn[0].points[0].y > drawn[1].points[0].y && drawn[1].points[0].y > drawn[2].points[0].y);
  assert.deepEqual(curves('bound', slider, new Map()), []);
});

test('numbers of every size are short', () => {
  assert.deepEqual([0, 0.0451, 3.81, 0.001, 250, 1.17e-13, 1234].map(short), ['0', '0.045', '3.8', '0.001', '250', '1.2\u2009\u00d7\u200910\u207b\u00b9\u00b3', '1.2\u2009\u00d7\u200910\u00b3']);
  assert.equal(power(-10), '10\u207b\u00b9\u2070');
});

test('2^d switches have a square each', () => {
  for (let d = 1; d <= 6; d++) assert.equal(grid(d).columns * grid(d).rows, 2 ** d);
});
