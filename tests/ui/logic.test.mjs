// The front end's logic without a browser: `node --test tests/ui`.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { fill, percent, title, withNames, wordsOf } from '../../var_mini/ui/lib/format.js';
import { createPlayer } from '../../var_mini/ui/lib/player.js';
import { added, area, locate, masses, moved, offset, strongest, tokenAt } from '../../var_mini/ui/lib/run.js';
import { defaults, fromQuery, fromRecord, otherSeed, same, toQuery, toRecord } from '../../var_mini/ui/lib/settings.js';
import { createStore } from '../../var_mini/ui/lib/store.js';
import { recordedEngine } from '../../var_mini/ui/engines/recorded.js';
import { createActions } from '../../var_mini/ui/views/actions.js';

const WORDS = JSON.parse(readFileSync(new URL('../../var_mini/ui/words.json', import.meta.url)));
const word = wordsOf(WORDS, 'en');
const SIDES = [1, 2, 3];
const MODEL = { name: 'm', class_names: ['ant', 'bee', 'cow'], style_names: ['ink', 'oil'], first: { label: 1, seed: 4, style: 2 }, recorded: true,
  sampling: { guidance: 1.5, temperature: 0.9, top_k: 20, top_p: 0.95 } };
const RUN = { model: 'm', sides: SIDES, settings: { model: 'm', label: 1, style: 2, seed: 4, ...MODEL.sampling, attention: 'exact' },
  scales: SIDES.map((side) => ({ side, ids: Array(side * side).fill(0), seconds: [0, 0, 0] })) };

test('texts are filled, and a brace without a value stays', () => {
  assert.equal(fill('{a} of {b}', { a: 1 }), '1 of {b}');
  const word = wordsOf({ hello: { en: 'hi {name}', zh: '你好 {name}' } }, 'zh');
  assert.equal(word('hello', { name: 'x' }), '你好 x');
  assert.throws(() => word('missing'), /missing/);
  assert.equal(title('red-heart', { 'red-heart': { en: 'red heart', zh: '红心' } }, 'zh'), '红心');
  assert.equal(title('hot-dog', {}, 'zh'), 'hot dog');
});

test('a share that is there is never shown as none', () => {
  assert.deepEqual([0, 0.0003, 0.001, 0.0994, 0.0995, 1].map(percent), ['0.0 %', '< 0.1 %', '0.1 %', '9.9 %', '10 %', '100 %']);
});

test('every token has its number, its square and its neighbours', () => {
  let number = 0;
  SIDES.forEach((side, scale) => {
    assert.equal(offset(SIDES, scale), number);
    for (let index = 0; index < side * side; index++) {
      assert.deepEqual(locate(SIDES, number++), { scale, index });
      const { left, top, size } = area(side, index);
      assert.equal(tokenAt(side, left + size / 2, top + size / 2), index);
    }
  });
  assert.equal(tokenAt(3, 1, 1), 8); // the very edge belongs to the last one
  assert.deepEqual(['ArrowLeft', 'ArrowUp', 'ArrowRight', 'ArrowDown', 'Home', 'End', 'x'].map((key) => moved(3, 4, key)), [3, 1, 5, 7, 3, 5, null]);
  assert.deepEqual([moved(3, 0, 'ArrowLeft'), moved(3, 8, 'ArrowDown')], [0, 8]);
});

test('weights are summed by map and sorted', () => {
  const weights = [0.5, 0.1, 0.05, 0.05, 0.3]; // of a token of the second map
  assert.deepEqual(masses(SIDES, weights).map((sum) => sum.toFixed(2)), ['0.50', '0.50']);
  assert.deepEqual(strongest(weights, 2).map(({ key }) => key), [0, 4]);
  assert.deepEqual(Array.from(added(Uint8Array.of(10, 200, 128), Uint8Array.of(10, 190, 138))), [128, 138, 118]);
});

test('settings go to a link and to a record and back', () => {
  const own = { ...defaults(MODEL), seed: 7, class: 2, guidance: 3, attention: 'poly-2' };
  assert.deepEqual(fromQuery(`?${toQuery(own)}&__theme=dark`, [MODEL], word), own);
  assert.deepEqual(fromRecord(toRecord(own)), own);
  assert.deepEqual(defaults(MODEL), { model: 'm', class: 1, style: 2, seed: 4, ...MODEL.sampling, attention: 'exact' });
  assert.equal(fromQuery('?x=1', [MODEL], word), null);
  assert.ok(same(own, { ...own }) && !same(own, { ...own, seed: 8 }));
  const plain = { ...MODEL, style_names: [] };
  assert.ok(!toQuery(defaults(plain)).includes('style'));
});

for (const [query, message] of [['model=x', /Model = x: must be one of m/], ['model=m&label=3', /Class = 3: must be a whole number from 0 to 2/],
  ['model=m&seed=-1', /Seed = -1/], ['model=m&seed=1e99', /Seed = 1e99/], ['model=m&style=3', /Style = 3/], ['model=m&top_p=x', /Top-p = x: must be a number/],
  ['model=m&top_p=5', /Top-p = 5: must be a number from 0 to 1/], ['model=m&top_k=1.5', /Top-k = 1.5: must be a whole number/],
  ['model=m&seed=', /Seed = /]]) {
  test(`a spoilt link names what is wrong: ${query}`, () => assert.throws(() => fromQuery(query, [MODEL], word), message));
}

test('a spoilt link is spoken of in the language of the page', () => {
  const told = (query) => { try { return fromQuery(query, [MODEL], wordsOf(WORDS, 'zh')); } catch ({ message }) { return message; } };
  assert.equal(told('model=x'), '链接有误：模型 = x，须为以下之一：m');
  assert.equal(told('model=m&label=3'), '链接有误：类别 = 3，须为 0 到 2 的整数');
  assert.equal(told('model=m&guidance=-1'), '链接有误：引导强度 = -1，须为 0 到 100 的数');
});

test('another seed is another one', () => {
  for (const seed of [0, 1, 5]) assert.notEqual(otherSeed(seed, () => 0.0001 * seed), seed);
});

// a clock that runs only when it is told to
function clock() {
  let now = 0, queue = [], count = 0;
  return {
    later: (run, ms) => { queue.push({ at: now + ms, run, id: ++count }); return count; },
    cancel: (id) => { queue = queue.filter((one) => one.id !== id); },
    pass(ms) {
      const end = now + ms;
      for (;;) {
        const next = queue.filter((one) => one.at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
        if (!next) break;
        queue = queue.filter((one) => one !== next);
        now = next.at;
        next.run();
      }
      now = end;
    },
  };
}

test('scales are shown at an even pace however fast they come, and waited for where they are slow', () => {
  const time = clock(), seen = [];
  const player = createPlayer((shown, playing) => seen.push([shown, playing]), time);
  player.start(400);
  player.offer(1, 3);
  time.pass(0);
  player.offer(3, 3); // both others at once
  time.pass(399);
  assert.deepEqual(seen.at(-1), [1, true]);
  time.pass(1);
  assert.deepEqual(seen.at(-1), [2, true]);
  time.pass(400);
  assert.deepEqual(seen.at(-1), [3, false]);
  player.start(400);
  player.offer(1, 3);
  time.pass(2000);
  assert.deepEqual(seen.at(-1), [1, true]); // the second is not there yet
  player.offer(2, 3);
  time.pass(0);
  assert.deepEqual(seen.at(-1), [2, true]);
  player.go(1);
  time.pass(5000);
  assert.deepEqual(seen.at(-1), [1, false]);
});

function screen(engine, options = {}) {
  const store = createStore({ models: [MODEL], model: MODEL, settings: defaults(MODEL), run: null, shown: 0, playing: false, token: null, pinned: false, layer: 0, head: 0 });
  return { store, acts: createActions(store, engine, { calm: true, ...options }) };
}

test('the recorded run stands there at first, and the end of it at once where motion is to be reduced', async () => {
  const { store, acts } = screen(recordedEngine(async () => RUN));
  await acts.begin();
  assert.equal(store.get().shown, 3);
  assert.ok(!acts.stale());
  acts.change({ seed: 5 });
  assert.ok(acts.stale());
});

test('a draw that is overtaken by another changes nothing any more', async () => {
  const asked = [];
  const engine = { draw: (settings, { signal }) => new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new DOMException('stopped', 'AbortError')));
    asked.push(() => resolve({ ...RUN, settings: { ...RUN.settings, seed: settings.seed } }));
  }) };
  const { store, acts } = screen(engine);
  const first = acts.draw({ seed: 1 }), second = acts.draw({ seed: 2 });
  asked[1]();
  asked[0]();
  await Promise.all([first, second]);
  assert.deepEqual([store.get().run.settings.seed, store.get().computing, store.get().problem], [2, false, '']);
});

test('what goes wrong is told, and the old picture stays', async () => {
  let fail = false;
  const { store, acts } = screen({ draw: async () => { if (fail) throw new Error('seed = -1'); return RUN; } });
  await acts.draw();
  fail = true;
  await acts.draw({ seed: -1 });
  assert.deepEqual([store.get().problem, store.get().run, store.get().computing], ['seed = -1', RUN, false]);
});

test('a recorded engine draws its own run alone', async () => {
  const engine = recordedEngine(async () => RUN), seen = [];
  const run = await engine.draw(fromRecord(RUN.settings), { onScale: (scale, index) => seen.push(index) });
  assert.equal(run, RUN);
  assert.deepEqual(seen, [0, 1]);
  await assert.rejects(engine.draw({ ...fromRecord(RUN.settings), seed: 9 }), /seed 9: needs a model/);
  await assert.rejects(engine.attention(RUN, {}), /needs a model/);
});

test('names of all things are read for another language alone, and those written for the page go first', async () => {
  const all = { title: { en: 'a', zh: 'b' }, names: { 'red-heart': { en: 'red heart', zh: 'own' } } }, asked = [];
  const read = async (path) => { asked.push(path); return { 'red-heart': 'theirs', octopus: '章鱼' }; };
  assert.equal(await withNames(all, 'en', read), all);
  assert.deepEqual(asked, []);
  const { names } = await withNames(all, 'zh', read);
  assert.deepEqual(asked, ['names/zh.json']);
  assert.equal(title('octopus', names, 'zh'), '章鱼');
  assert.equal(title('red-heart', names, 'zh'), 'own');
  assert.equal(title('octopus', names, 'en'), 'octopus');
  assert.deepEqual(await withNames(all, 'zh', async () => { throw new Error('no network'); }), all);
});
