// The guided tour without a browser: what is remembered of it, whoever wrote that, and the score.

import assert from 'node:assert/strict';
import test from 'node:test';
import { begun, clamped, placeOf, restored, scoreOf, stored } from '../../var_mini/ui/lib/tour.js';

const STEPS = [{ name: 'input', right: 1 }, { name: 'mask', right: 2 }, { name: 'phi', right: 0 }], FRESH = { open: false, step: 0, answers: {} };

test('what is stored is what is restored, and nothing else of the state is stored', () => {
  const state = { open: true, step: 2, answers: { input: 1, mask: 0 } };
  assert.deepEqual(restored(stored({ ...state, shown: 'an element' }), STEPS), state);
  assert.deepEqual(JSON.parse(stored({ ...state, shown: 'an element' })), state);
  assert.deepEqual(restored(stored({ ...state, step: 3 }), STEPS).step, 3); // the end
});

test('whatever is wrong in what is stored is left out', () => {
  const spoilt = [null, '', '{', 'null', '7', '"text"', '[]', '{"open": "yes", "step": -1, "answers": 5}', '{"step": "<img src=x>", "answers": [0, 1, 2]}', '{"step": 4}', '{"step": 1.5}', '{"open": 1}',
    '{"answers": {"input": 99, "phi": "a", "mask": -1, "__proto__": {"mask": 1}}}', '{"answers": {"another": 1, "input": 1.5}}', '{"answers": {"input": 3}}', '{"answers": null}'];
  for (const text of spoilt) assert.deepEqual(restored(text, STEPS), FRESH, text);
  assert.deepEqual(restored('{"open": true, "step": 1e9, "answers": {"input": 2, "mask": true}}', STEPS), { open: true, step: 0, answers: { input: 2 } });
});

test('score and place count from what is answered, and a step is one of those that there are', () => {
  const state = { step: 3, answers: { input: 1, phi: 2 } };
  assert.deepEqual(scoreOf(state, STEPS), { right: 1, answered: 2, steps: 3 });
  assert.deepEqual([placeOf({ step: 0 }, STEPS), placeOf(state, STEPS)], [{ step: 1, steps: 3 }, { step: 3, steps: 3 }]);
  assert.deepEqual([-1, 0, 3, 4].map((step) => clamped(step, STEPS)), [0, 0, 3, 3]);
  assert.deepEqual([FRESH, { step: 1, answers: {} }, { step: 0, answers: { mask: 0 } }].map(begun), [false, true, true]);
});
