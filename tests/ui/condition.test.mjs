// Under which condition a run was timed, in words.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { caption } from '../../var_mini/ui/lib/caption.js';
import { conditionOf } from '../../var_mini/ui/lib/condition.js';
import { wordsOf } from '../../var_mini/ui/lib/format.js';

const word = wordsOf(JSON.parse(await readFile(new URL('../../var_mini/ui/words.json', import.meta.url))), 'en');
const run = { model: 'm', settings: { guidance: 0 }, sides: [1], tokens: 1, scales: [{ side: 1, seconds: [0.001, 0.002, 0.003] }] };

test('a time is told with where, model, batch, threads and guidance, as far as they are known', () => {
  assert.equal(conditionOf({ ...run, timed: { threads: 1 } }, word), 'measured now \u00b7 m \u00b7 batch 1 \u00b7 1 thread \u00b7 without guidance');
  assert.equal(conditionOf({ ...run, timed: { threads: 2 }, settings: { guidance: 3 } }, word), 'measured now \u00b7 m \u00b7 batch 1 \u00b7 2 threads \u00b7 guided');
  assert.equal(conditionOf({ ...run, recorded: true, settings: {} }, word), 'recorded \u00b7 m \u00b7 batch 1');
  assert.equal(conditionOf({ ...run, opened: true, timed: { device: 'A GPU' } }, word), 'out of a file \u00b7 m \u00b7 batch 1 \u00b7 A GPU \u00b7 without guidance');
});

test('the caption of a finished run tells the sum of its parts', () => {
  const told = caption({ run: { ...run, recorded: true }, shown: 1, playing: false }, word, '');
  assert.ok(told.includes('1 tokens in 1 steps, 6.0 ms with the decoder'), told);
});
