// What can be done on the first screen, with an engine whose answers come when the test says so: late ones change nothing.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createStore } from '../../var_mini/ui/lib/store.js';
import { createActions } from '../../var_mini/ui/views/actions.js';

const SIDES = [1, 2];
const SMALL = { name: 'small', recorded: true, sampling: {}, first: 0, style_names: [], thumbnails: { first: [0] } };
const LARGE = { ...SMALL, name: 'large', recorded: false };

const runOf = (model, label, scales) => ({ model, sides: SIDES, layers: 6, heads: 4, settings: { model, label, seed: 1, attention: 'exact' },
  scales: Array.from({ length: scales }, (_, k) => ({ side: SIDES[k], ids: [3], seconds: [0, 0, 0] })) });

function page(engine = {}) {
  const draws = [], asked = [];
  const store = createStore({ models: [SMALL, LARGE], model: SMALL, settings: { model: 'small', class: 0, seed: 1 }, run: null, shown: 0, playing: false, computing: false,
    bestOf: 1, drawings: [], problem: '', token: null, pinned: false, attention: null, attentionError: '', code: null, layer: 0, head: 0, panel: '' });
  const acts = createActions(store, {
    draw: (settings, { onScale, signal }) => new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => setTimeout(() => reject(new DOMException('stopped', 'AbortError'))));
      draws.push({ settings, scale: (run) => onScale(run.scales.at(-1), run.scales.length - 1, run), done: resolve, fail: reject });
    }),
    attention: async (run, query) => { asked.push(query); return { weights: [1] }; },
    recorded: async (name) => runOf(name, 0, 2),
    ...engine,
  }, { calm: false });
  return { store, acts, draws, asked };
}
const soon = () => new Promise((resolve) => { setTimeout(resolve, 5); });

test('a scale that comes after the draw was stopped is not shown under another model', async () => {
  const { store, acts, draws } = page();
  acts.draw({ class: 7 });
  acts.choose('large');
  draws[0].scale(runOf('small', 7, 1));
  await soon();
  assert.deepEqual([store.get().run, store.get().model.name, store.get().computing], [null, 'large', false]);
});

test('a file that is opened ends the draw that is under way, and begins at the first layer of another model', async () => {
  const { store, acts, draws } = page();
  store.set({ layer: 5, head: 3 });
  acts.draw({});
  acts.put(runOf('large', 2, 2));
  draws[0].scale(runOf('small', 0, 1));
  await soon();
  const { run, layer, head, computing } = store.get();
  assert.deepEqual([run.model, layer, head, computing], ['large', 0, 0, false]);
  store.set({ layer: 5 });
  acts.put(runOf('large', 2, 2));
  assert.equal(store.get().layer, 5);
  acts.go(0);
});

test('what was asked for while the recorded run came stays asked for', async () => {
  const { store, acts, draws } = page();
  const begun = acts.begin();
  acts.draw({ class: 7 });
  await begun;
  assert.deepEqual([store.get().settings.class, store.get().run.settings.label], [7, 0]); // the recorded run, until there is more
  draws[0].done(runOf('small', 7, 2));
  await soon();
  assert.deepEqual([store.get().settings.class, store.get().run.settings.label], [7, 7]);
  acts.go(0);
});

test('a recorded run that does not come is a problem that is told, not an error of the page', async () => {
  const { store, acts } = page({ recorded: async () => { throw new Error('run.json: 503'); } });
  await acts.choose('small');
  assert.deepEqual([store.get().run, store.get().problem], [null, 'run.json: 503']);
});

test('a token that is clicked in a part of a run is told of once the run is whole', async () => {
  const { store, acts, draws, asked } = page();
  acts.draw({});
  draws[0].scale(runOf('small', 0, 1));
  acts.pin({ scale: 0, index: 0 });
  await soon();
  assert.equal(asked.length, 0);
  draws[0].done(runOf('small', 0, 2));
  await soon();
  assert.deepEqual(asked, [{ layer: 0, head: 0, token: 0 }]);
  assert.deepEqual(store.get().attention, { weights: [1] });
  acts.go(0);
});

test('an answer about a token that was let go is not shown for the next one', async () => {
  let tell;
  const { store, acts } = page({ code: () => new Promise((resolve) => { tell = resolve; }) });
  acts.put(runOf('small', 0, 2));
  acts.pin({ scale: 0, index: 0 });
  acts.leave(true);
  acts.hover({ scale: 1, index: 2 });
  tell({ vector: [1] });
  await soon();
  assert.equal(store.get().code, null);
  acts.go(0);
});

test('a run that was stopped is shown as far as it came, and nothing waits for more', async () => {
  const { store, acts, draws } = page();
  acts.draw({});
  draws[0].scale(runOf('small', 0, 1));
  acts.stop();
  await soon();
  assert.deepEqual([store.get().shown, store.get().playing, store.get().computing], [1, false, false]);
  acts.play();
  await soon();
  assert.deepEqual([store.get().shown, store.get().playing], [1, false]); // replayed to its end
});
