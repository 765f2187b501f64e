// The engine of a notebook, and the explorer's actions over it, with a kernel that answers when it is told to.

import assert from 'node:assert/strict';
import test from 'node:test';
import { kernelEngine } from '../../var_mini/ui/engines/kernel.js';
import { continues, equal } from '../../var_mini/ui/lib/run.js';
import { createStore } from '../../var_mini/ui/lib/store.js';
import { createActions } from '../../var_mini/ui/views/actions.js';

const SIDES = [1, 2, 3], SETTINGS = { model: 'm', label: 1, seed: 4, guidance: 1.5, temperature: 1, top_k: 0, top_p: 1, attention: 'exact' };
const run = (scales = 3, seed = 4) => ({ model: 'm', subject: 'bee', sides: SIDES, settings: { ...SETTINGS, seed },
  scales: SIDES.slice(0, scales).map((side) => ({ side, ids: Array(side * side).fill(seed), seconds: [0, 0, 0] })) });
const base64 = (values) => Buffer.from(Float32Array.from(values).buffer).toString('base64');

// what anywidget hands to a view: sends, and passes on what comes
function fake() {
  const sent = [], listeners = new Set();
  return { sent, on: (_, listener) => listeners.add(listener), off: (_, listener) => listeners.delete(listener), send: (content) => sent.push(content),
    answer: (content) => listeners.forEach((listener) => listener(content)), listeners };
}

test('a question carries its number, and only the answer of that number settles it', async () => {
  const widget = fake(), engine = kernelEngine(widget);
  const first = engine.attention(run(), { layer: 1, head: 0, token: 5 }), second = engine.code(run(), { scale: 2, index: 3 });
  assert.deepEqual(widget.sent.map(({ kind, number }) => [kind, number]), [['attention', 1], ['code', 2]]);
  assert.deepEqual([widget.sent[0].scale, widget.sent[0].token, widget.sent[0].ids.map((ids) => ids.length), widget.sent[1].code], [2, 0, [1, 4, 9], 4]);
  widget.answer({ number: 9, error: 'of another view' });
  widget.answer({ number: 2, error: 'code = 4: must be' });
  widget.answer({ number: 1, scale: 2, dim: 1, weights: base64([0.25, 0.75]), logits: base64([1, 2]), values: base64([4, 8]), output: base64([7]) });
  await assert.rejects(second, /code = 4: must be/);
  const { weights, dots, exact, output, level } = await first;
  assert.deepEqual([[...weights], dots, exact, [...output], level], [[0.25, 0.75], [0.5, 1], true, [7], 2]);
  engine.close();
  assert.equal(widget.listeners.size, 0);
});

test('a draw is told scale by scale, and one that was stopped is heard no more', async () => {
  const widget = fake(), engine = kernelEngine(widget), seen = [], control = new AbortController();
  const drawn = engine.draw({ model: 'm', class: 1, seed: 7, style: null }, { onScale: (scale, k, so) => seen.push([scale.side, k, so.scales.length]) });
  assert.deepEqual(widget.sent[0].settings, { model: 'm', label: 1, seed: 7 });
  [1, 2, 3].forEach((scales) => widget.answer({ number: 1, run: run(scales, 7) }));
  assert.equal((await drawn).scales.length, 3);
  assert.deepEqual(seen, [[1, 0, 1], [2, 1, 2]]);
  const stopped = engine.draw({ model: 'm', class: 1, seed: 8 }, { signal: control.signal });
  control.abort();
  widget.answer({ number: 2, run: run(3, 8) });
  await assert.rejects(stopped, { name: 'AbortError' });
});

test('of a run that goes on the chosen token stays; of another run it goes', () => {
  const store = createStore({ run: null, settings: {}, token: null, pinned: false, shown: 0 }), acts = createActions(store, {}, { chosen: (token) => chosen.push(token) }), chosen = [];
  acts.show(run(2));
  acts.pin({ scale: 1, index: 2 });
  acts.show(run(3));
  assert.deepEqual([store.get().token, store.get().pinned, store.get().shown, store.get().settings.seed], [{ scale: 1, index: 2 }, true, 3, 4]);
  assert.equal(store.get().attention, null); // nobody to ask
  acts.show(run(3, 5));
  assert.deepEqual([store.get().token, chosen], [null, [{ scale: 1, index: 2 }]]);
  acts.pin({ scale: 0, index: 0 });
  acts.pin({ scale: 0, index: 0 }); // lets it go
  assert.deepEqual([store.get().pinned, chosen.length], [false, 2]);
});

test('two runs are the same by their settings and codes, whatever they took', () => {
  const slow = run();
  slow.scales[2].seconds = [9, 9, 9];
  assert.ok(equal(run(), slow) && continues(run(1), run(3)) && continues(run(3), run(3)));
  assert.ok(!equal(run(2), run(3)) && !equal(null, run()) && !continues(run(3), run(2)) && !continues(run(1), run(3, 5)) && !equal(run(), { ...run(), note: 'edited' }));
});
