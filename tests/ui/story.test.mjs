// The story's logic without a browser: the race by seconds, pictures made smaller and larger, the order of the chapters.

import assert from 'node:assert/strict';
import test from 'node:test';
import { enlarged, recoloured, rgbAt, shrunk } from '../../var_mini/ui/lib/pixels.js';
import { createRace, SHOWN_MS, STEP_MS, steps, TICK_MS, timesOf } from '../../var_mini/ui/lib/race.js';
import { lowRank, lowRanks } from '../../var_mini/ui/lib/settings.js';
import { placeOf } from '../../var_mini/ui/lib/address.js';
import { around, numberOf, placeAt, STORY } from '../../var_mini/ui/lib/story.js';
import { changeOf } from '../../var_mini/ui/views/Numbers.js';

const run = (seconds) => ({ sides: [1, 2, 3], scales: seconds.map(([attention, rest, decoder]) => ({ seconds: [attention, rest, decoder] })) });

// calls what was put off, in order, and counts the time
function clock() {
  const queue = [];
  let now = 0;
  return { later: (call, ms) => { queue.push([call, ms]); return queue.length; }, cancel: () => { queue.length = 0; },
    run() { while (queue.length) { const [call, ms] = queue.shift(); now += ms; call(); } return now; } };
}

test('times of a race: scales as measured without the decoder, a token as the fastest step', () => {
  const times = timesOf(run([[0.001, 0.003, 0.1], [0.001, 0.001, 0.1], [0.002, 0.006, 0.1]]));
  assert.equal(times.step, 0.002);
  assert.deepEqual(times.scales.map((one) => one.toFixed(3)), ['0.004', '0.006', '0.014']);
  assert.equal(times.raster.length, 9);
  assert.equal(times.raster.at(-1).toFixed(3), '0.018');
  assert.equal(timesOf(run([[0, 0, 0], [0, 0, 0], [0, 0, 0]])), null); // a run without times
  assert.equal(timesOf(run([[0.001, 0, 0]])), null); // one that is still being drawn
});

test('a race by seconds: each side is as far as its times say, and the slower one ends it', () => {
  const seen = [], time = clock(), times = { raster: [1, 2, 3, 4], scales: [0.5, 1.5] };
  createRace(times, true, (at) => seen.push(at), time).start();
  assert.equal(time.run(), SHOWN_MS);
  assert.equal(seen.length, SHOWN_MS / TICK_MS + 1);
  for (const { raster, scales, seconds } of seen) {
    assert.equal(raster, Math.floor(seconds + 1e-6));
    assert.equal(scales, seconds < 0.5 - 1e-6 ? 0 : seconds < 1.5 - 1e-6 ? 1 : 2);
  }
  assert.deepEqual({ ...seen.at(-1), seconds: 4 }, { raster: 4, scales: 2, seconds: 4, running: false });
});

test('a race without times takes its steps at the same moments; with reduced motion it is over at once', () => {
  const seen = [], time = clock(), race = createRace(steps(5, 2), false, (at) => seen.push([at.raster, at.scales, at.running]), time);
  race.start();
  assert.equal(time.run(), 5 * STEP_MS);
  assert.deepEqual(seen, [[0, 0, true], [1, 1, true], [2, 2, true], [3, 2, true], [4, 2, true], [5, 2, false]]);
  seen.length = 0;
  race.start(true);
  assert.deepEqual(seen, [[5, 2, false]]);
});

test('a picture is shrunk to means, and enlarged between the middles of its cells', () => {
  const grey = (...values) => Uint8Array.from(values.flatMap((v) => [v, v, v]));
  assert.deepEqual([...shrunk(grey(0, 10, 20, 30, 40, 50, 60, 70, 0, 0, 8, 8, 0, 0, 8, 8), 4, 2)].filter((_, i) => i % 3 === 0), [25, 45, 0, 8]);
  assert.deepEqual([...enlarged(grey(0, 100, 0, 100), 2, 4)].filter((_, i) => i % 3 === 0), [0, 25, 75, 100, 0, 25, 75, 100, 0, 25, 75, 100, 0, 25, 75, 100]);
  assert.deepEqual([...enlarged(grey(7), 1, 3)], Array(27).fill(7));
});

test('one square of a map takes another colour, and the map that was there keeps its own', () => {
  const map = Uint8Array.from({ length: 12 }, (_, i) => i), other = recoloured(map, 2, [200, 201, 202]);
  assert.deepEqual([...other], [0, 1, 2, 3, 4, 5, 200, 201, 202, 9, 10, 11]);
  assert.deepEqual([[...rgbAt(map, 2)], [...rgbAt(other, 2)]], [[6, 7, 8], [200, 201, 202]]);
});

test('chapters are numbered in their order, and a page that lacks some skips them', () => {
  assert.deepEqual(STORY.map(numberOf), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(numberOf('tokenize'), 0);
  assert.deepEqual(around('word'), { before: 'idea', after: 'sum' });
  assert.deepEqual(around('idea', ['idea', 'sum']), { before: undefined, after: 'sum' });
  assert.deepEqual(around('limits'), { before: 'edit', after: undefined });
  assert.deepEqual(around('limits', [...STORY, 'tour']), { before: 'edit', after: 'tour' });
  assert.deepEqual(around('tokenize'), {});
});

test('what is read is the last place whose top has come up to the line; one that is not made yet is passed over', () => {
  const tops = [['idea', -900], ['word', -20], ['sum', 100], ['masks', undefined], ['lowrank', 700]];
  assert.deepEqual([-1000, -900, 99, 100, 699, 1e6].map((line) => placeAt(tops, line)), ['', 'idea', 'word', 'sum', 'sum', 'lowrank']);
  assert.equal(placeAt([], 0), '');
});

test('an address names a place, also one that had another name before, and nothing else', () => {
  assert.deepEqual(['#masks', '#draw', '', '#', '#a b', '#%E0%A4%A', '#<b>', '#Masks'].map(placeOf), ['masks', 'numbers', '', '', '', '', '', '']);
});

test('beside exact attention stands the low-rank one that is chosen, or the first that the model has', () => {
  const model = { attentions: ['exact', 'poly-2', 'landmark-64', 'auto'] };
  assert.deepEqual(lowRanks(model), ['poly-2', 'landmark-64']);
  assert.deepEqual(['exact', 'auto', 'landmark-64', 'pool-2'].map((attention) => lowRank(model, { attention })), ['poly-2', 'poly-2', 'landmark-64', 'poly-2']);
});

test('what a scale changed is computed once, so that its canvas is not painted whenever something else changes', () => {
  const scale = (value) => ({ colours: '', image: btoa(String.fromCharCode(value, value, value)) }), first = { scales: [scale(10), scale(30)] };
  assert.deepEqual([[...changeOf(first, 0)], [...changeOf(first, 1)]], [[10, 10, 10], [148, 148, 148]]);
  assert.equal(changeOf({ scales: [...first.scales, scale(40)] }, 1), changeOf(first, 1)); // the same array
});
