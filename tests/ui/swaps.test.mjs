// Codes replaced in a picture that was taken apart: what is counted, undone and offered, and answers that come too late; and the pen that
// draws one.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { paletteOf, resolution, stepped } from '../../var_mini/ui/lib/pen.js';
import { bars, comparison, createSwaps, kept, replaced } from '../../var_mini/ui/lib/swaps.js';

const WORDS = JSON.parse(readFileSync(new URL('../../var_mini/ui/words/tokenize.json', import.meta.url)));
const packed = (...values) => Buffer.from(values).toString('base64');
const soon = () => new Promise((resolve) => { setTimeout(resolve, 1); });

// of one pixel and two maps, one token on the first and four on the second
const pictureOf = (ids, level = 100) => ({ settings: { model: 'm' }, subject: 'ant', note: 'own', sides: [1, 2], codes: 9, size: 1, original: packed(90, 100, 110),
  errors: [{ residual: 0.5, psnr: 10, mae: 0.2 }, { residual: 0.25, psnr: 20, mae: 0.1 }], scales: ids.map((one) => ({ ids: one, image: packed(level, level, level) })) });
const OWN = [[0], [1, 2, 3, 4]], PICTURE = pictureOf(OWN);

test('codes that are not the encoder\'s own are counted, and of many steps the first and the latest stay', () => {
  assert.deepEqual([OWN, [[5], [1, 2, 3, 4]], [[5], [1, 6, 3, 6]]].map((ids) => replaced(PICTURE, pictureOf(ids))), [0, 1, 3]);
  assert.equal(replaced(PICTURE, { ...PICTURE, scales: PICTURE.scales.slice(0, 1) }), 0);
  let history = [0];
  for (let step = 1; step <= 6; step++) history = kept(history, step, 4);
  assert.deepEqual(history, [0, 4, 5, 6]);
});

test('the difference is that from the picture, and once codes were replaced what these changed', () => {
  const before = comparison(PICTURE, PICTURE);
  assert.deepEqual([Array.from(before.difference), before.changed], [[138, 128, 118], false]);
  const after = comparison(PICTURE, pictureOf([[5], OWN[1]], 250));
  assert.deepEqual([Array.from(after.result), Array.from(after.difference), after.changed], [[250, 250, 250], [255, 255, 255], true]);
  assert.equal(comparison(PICTURE, { ...PICTURE, original: '' }), null);
});

test('the longest bar of each kind is whole, but for a residual below 1, and none is shorter than nothing', () => {
  assert.deepEqual(bars(PICTURE.errors), [{ residual: 0.5, psnr: 0.5, mae: 1 }, { residual: 0.25, psnr: 1, mae: 0.5 }]);
  assert.deepEqual(bars([{ residual: 2, psnr: -3, mae: 0 }]), [{ residual: 1, psnr: 0, mae: 0 }]);
});

// the chapter, with answers that come when they are wanted
function chapter() {
  const asked = { candidates: [], replace: [] };
  const on = (kind) => (query) => new Promise((resolve, reject) => { asked[kind].push({ query, answer: resolve, fail: (text) => reject(new Error(text)) }); });
  const { store, acts } = createSwaps({ word: (name, { count, psnr }) => `${name} ${count} ${psnr}`, candidates: on('candidates'), replace: on('replace') });
  acts.show(PICTURE);
  return { acts, asked, get: store.get, ids: () => store.get().history.at(-1).scales.map(({ ids }) => ids) };
}
const OFFER = { codes: [2, 7], distances: [0, 1], near: 1, colours: packed(1, 2, 3, 4, 5, 6), images: [packed(9, 9, 9), packed(8, 8, 8)] };

test('a code is replaced, told, and undone', async () => {
  const { acts, asked, get, ids } = chapter();
  acts.choose({ scale: 1, index: 1 });
  assert.deepEqual(asked.candidates[0].query, { model: 'm', ids: OWN, scale: 1, token: 1 });
  asked.candidates[0].answer(OFFER);
  await soon();
  assert.deepEqual([Array.from(get().offered.colours), get().offered.images.map((one) => Array.from(one))], [[1, 2, 3, 4, 5, 6], [[9, 9, 9], [8, 8, 8]]]);
  acts.use(2); // it is there already
  assert.equal(asked.replace.length, 0);
  acts.use(7);
  assert.deepEqual(asked.replace[0].query, { model: 'm', ids: OWN, scale: 1, token: 1, code: 7, original: PICTURE.original });
  asked.replace[0].answer({ ...pictureOf([[0], [1, 7, 3, 4]]), subject: '', settings: { subject: '' } });
  await soon();
  const now = get().history.at(-1);
  assert.deepEqual([ids(), now.note, now.subject, now.settings], [[[0], [1, 7, 3, 4]], 'tokenize_replaced 1 20.0', 'ant', { model: 'm' }]);
  assert.equal(asked.candidates.length, 1); // offers are around the encoder's choice: they are the same still
  assert.ok(get().offered);
  acts.undo();
  assert.deepEqual([ids(), get().history.length], [OWN, 1]);
});

test('offers hold all other codes as they are: where these change, offers are asked for again', async () => {
  const { acts, asked, get, ids } = chapter();
  acts.choose({ scale: 0, index: 0 });
  acts.use(5);
  asked.replace[0].answer(pictureOf([[5], OWN[1]]));
  await soon();
  acts.choose({ scale: 1, index: 3 });
  assert.deepEqual(asked.candidates[1].query, { model: 'm', ids: [[5], OWN[1]], scale: 1, token: 3 });
  asked.candidates[1].answer(OFFER);
  await soon();
  acts.reset(); // the first code is the encoder's own again
  assert.deepEqual([ids(), get().offered, asked.candidates[2].query.ids], [OWN, null, OWN]);
});

test('an answer that comes too late changes nothing, and one that is still awaited is not lost', async () => {
  const { acts, asked, get, ids } = chapter();
  acts.choose({ scale: 1, index: 0 });
  acts.choose({ scale: 1, index: 1 });
  asked.candidates[0].answer({ ...OFFER, codes: [1, 1] });
  await soon();
  assert.equal(get().offered, null);
  acts.use(7); // before anything is offered
  asked.replace[0].answer(pictureOf([[0], [1, 7, 3, 4]]));
  await soon();
  asked.candidates[1].answer(OFFER);
  await soon();
  assert.deepEqual([ids()[1], get().offered.codes], [[1, 7, 3, 4], OFFER.codes]);
  acts.use(8);
  const other = pictureOf([[3], [3, 3, 3, 3]]);
  acts.show(other); // another picture meanwhile
  asked.replace[1].answer(pictureOf([[0], [1, 8, 3, 4]]));
  await soon();
  assert.deepEqual([get().history, get().place, get().offered], [[other], null, null]);
  acts.choose({ scale: 0, index: 0 });
  acts.use(4);
  acts.use(6);
  asked.replace[3].answer(pictureOf([[6], [3, 3, 3, 3]]));
  asked.replace[2].answer(pictureOf([[4], [3, 3, 3, 3]]));
  await soon();
  assert.deepEqual([ids()[0], get().history.length], [[6], 2]);
});

test('what goes wrong is told, and may be tried again', async () => {
  const { acts, asked, get, ids } = chapter();
  acts.choose({ scale: 1, index: 2 });
  asked.candidates[0].fail('no model');
  await soon();
  assert.equal(get().problem, 'no model');
  acts.choose({ scale: 1, index: 2 });
  assert.deepEqual([get().problem, asked.candidates.length], ['', 2]);
  acts.use(99);
  asked.replace[0].fail('code = 99');
  await soon();
  assert.deepEqual([get().problem, ids()], ['code = 99', OWN]);
});

test('an arrow key crosses the canvas in 28 steps and stays on it; every colour has a name in words', () => {
  let place = [0, 1];
  for (let step = 1; step <= 28; step++) {
    place = stepped(place, 'ArrowRight');
    assert.ok(Math.abs(place[0] - step / 28) < 1e-9 && place[1] === 1);
  }
  assert.deepEqual([stepped(place, 'ArrowDown')[1], stepped([0, 0], 'ArrowLeft'), stepped(place, ' '), stepped(place, 'Home')], [1, [0, 0], null, null]);
  for (const channels of [1, 3]) assert.deepEqual(Object.keys(paletteOf(channels).colours).filter((name) => !WORDS[`tokenize_colour_${name}`]), []);
  assert.deepEqual([12, 28, 64, 256, 600].map(resolution), [276, 280, 256, 256, 600]);
});
