// What a page without a server adds, without a browser: the question before a download, and the engine that asks it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createDownloads } from '../../var_mini/ui/lib/downloads.js';
import { browserEngine } from '../../var_mini/ui/engines/browser.js';
import { Space } from '../../var_mini/ui/engines/linear.js';
import { Tensors } from '../../var_mini/ui/engines/safetensors.js';
import { siteEngine } from '../../var_mini/ui/engines/site.js';

const SETTINGS = { model: 'small', class: 1, style: null, seed: 4, guidance: 1, temperature: 1, top_k: 0, top_p: 1, attention: 'exact' };
const RUN = { model: 'small', settings: { ...SETTINGS, label: 1 }, sides: [1], scales: [{ ids: [3] }], recorded: true };

function site({ stored = [], fails = null } = {}) {
  const told = {}, loads = [], drawn = [];
  const computing = {
    models: async () => ['small', 'large'].map((name) => ({ name, stored: stored.includes(name) })),
    load: (name, { onProgress, signal }) => new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new DOMException('aborted', 'AbortError')));
      loads.push({ name, half: () => onProgress(0.5), done: () => { onProgress(1); if (fails) reject(fails); else resolve({ fast: true }); } });
    }),
    draw: async (settings) => { drawn.push(settings); return { settings }; },
    attention: async () => ({ weights: [1] }),
  };
  const downloads = createDownloads(computing, (change) => Object.assign(told, change), (name) => `needs ${name}`);
  const read = async (path) => { if (path !== 'runs/small.json') throw new Error(path); return RUN; };
  return { told, loads, drawn, downloads, engine: siteEngine(read, computing, downloads) };
}
const soon = () => new Promise((resolve) => { setTimeout(resolve, 5); });

test('nothing is downloaded before a yes, and then once for all who wait', async () => {
  const { told, loads, downloads, engine, drawn } = site();
  const draw = engine.draw({ ...SETTINGS, seed: 5 }), look = engine.attention(RUN, {});
  await soon();
  assert.deepEqual([told.asked, loads.length], ['small', 0]);
  downloads.answer(true);
  await soon();
  loads[0].half();
  assert.deepEqual([told.asked, told.loading, told.share, loads.length], ['', 'small', 0.5, 1]);
  loads[0].done();
  assert.deepEqual([(await draw).settings.seed, (await look).weights, told.loading, told.plain], [5, [1], '', false]);
  await engine.draw({ ...SETTINGS, seed: 6 });
  assert.deepEqual([loads.length, drawn.length], [1, 2]); // it is there
});

test('the recorded run is drawn again without a model', async () => {
  const { engine, told } = site();
  assert.equal(await engine.draw(SETTINGS), RUN);
  assert.equal(told.asked, undefined);
});

test('a model that is stored is loaded without a question or a progress', async () => {
  const { engine, told, loads } = site({ stored: ['large'] });
  const draw = engine.draw({ ...SETTINGS, model: 'large' });
  await soon();
  loads[0].half();
  assert.deepEqual([told.asked, told.loading], [undefined, undefined]);
  loads[0].done();
  await draw;
});

test('after a no a draw asks again, and a look says what is missing', async () => {
  const { engine, downloads, told } = site(), refused = { name: 'AbortError', message: 'needs small' };
  const draw = engine.draw({ ...SETTINGS, seed: 5 });
  await soon();
  downloads.answer(false);
  await assert.rejects(draw, refused);
  await assert.rejects(engine.attention(RUN, {}), refused);
  assert.equal(told.asked, '');
  const again = engine.draw({ ...SETTINGS, seed: 5 });
  await soon();
  assert.equal(told.asked, 'small');
  downloads.answer(null);
  await assert.rejects(again, refused);
});

test('stopping closes the question, and breaks the download off', async () => {
  const { engine, downloads, told, loads } = site(), control = new AbortController();
  const first = engine.draw({ ...SETTINGS, seed: 5 }, { signal: control.signal });
  await soon();
  control.abort();
  await assert.rejects(first, { name: 'AbortError' });
  assert.equal(told.asked, '');
  const second = engine.draw({ ...SETTINGS, seed: 5 });
  await soon();
  downloads.answer(true);
  await soon();
  downloads.cancel();
  await assert.rejects(second, { name: 'AbortError' });
  assert.deepEqual([told.loading, loads.length], ['', 1]);
});

test('whoever asks anew goes on with the download, and when nobody waits it is broken off', async () => {
  const { engine, downloads, told, loads } = site(), [one, two] = [new AbortController(), new AbortController()];
  const first = engine.draw({ ...SETTINGS, seed: 5 }, { signal: one.signal });
  await soon();
  downloads.answer(true);
  await soon();
  one.abort(); // another click while the model comes
  const second = engine.draw({ ...SETTINGS, seed: 6 }, { signal: two.signal });
  await soon();
  loads[0].half();
  assert.deepEqual([loads.length, told.loading, told.share], [1, 'small', 0.5]);
  loads[0].done();
  await assert.rejects(first, { name: 'AbortError' });
  assert.equal((await second).settings.seed, 6);
  const other = new AbortController(), third = engine.draw({ ...SETTINGS, model: 'large' }, { signal: other.signal });
  await soon();
  downloads.answer(true);
  await soon();
  other.abort();
  await assert.rejects(third, { name: 'AbortError' });
  assert.deepEqual([loads.length, told.loading], [2, '']);
});

test('a download that fails says why, and may be tried again', async () => {
  const { engine, downloads, loads } = site({ fails: new Error('small/model.safetensors was cut off.') });
  for (const time of [0, 1]) {
    const draw = engine.draw({ ...SETTINGS, seed: 5 });
    await soon();
    if (!time) downloads.answer(true);
    await soon();
    loads[time].done();
    await assert.rejects(draw, /cut off/);
  }
});

test('another model takes the place of the one that was asked for', async () => {
  const { engine, told, loads, downloads } = site();
  const first = engine.draw({ ...SETTINGS, seed: 5 }), refused = assert.rejects(first, { name: 'AbortError' });
  await soon();
  const second = engine.draw({ ...SETTINGS, model: 'large' });
  await soon();
  await refused;
  assert.equal(told.asked, 'large');
  downloads.answer(true);
  await soon();
  loads[0].done();
  assert.equal((await second).settings.model, 'large');
});

/** A safetensors file whose numbers begin at an odd place; `data` are their bytes. */
function fileOf(name, dtype, shape, data) {
  let header = JSON.stringify({ [name]: { dtype, shape, data_offsets: [0, data.length] } });
  if (header.length % 2 === 0) header += ' ';
  const bytes = new Uint8Array(8 + header.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(new TextEncoder().encode(header), 8);
  bytes.set(data, 8 + header.length);
  return bytes.buffer;
}

test('numbers are read out of a file where they stand, and packing leaves no room taken but that of the packed matrix', async () => {
  const halves = fileOf('w', 'F16', [2, 3], Uint8Array.of(0x00, 0x3c, 0x00, 0xc0, 0x00, 0x38, 0x01, 0x00, 0xff, 0x7b, 0x00, 0x80));
  const values = [1, -2, 0.5, 2 ** -24, 65504, -0]; // what IEEE 754 says of these bits
  const tensors = new Tensors(halves, 'file'), space = await Space.create(4096, null);
  assert.deepEqual([...tensors.get('w')], values);
  const floats = new Uint8Array(Float32Array.of(1.25, -3e-20).buffer);
  assert.deepEqual([...new Tensors(fileOf('v', 'F32', [2], floats), 'file').get('v')], [...Float32Array.of(1.25, -3e-20)]);
  const { panels } = space.pack(tensors.stored('w'), null, 3, 2, (row, column) => column * 3 + row);
  const stored = [0x3c00, 0xc000, 0x3800, 0x0001, 0x7bff, 0x8000]; // as they stand in the file
  for (let row = 0; row < 3; row++) for (let column = 0; column < 2; column++) assert.equal(panels[8 * row + column], stored[3 * column + row]);
  assert.equal(space.top, (3 * 8) / 2 + 8); // three rows of one panel, two numbers in four bytes, and its bias
});

test('a scale that came while a run was drawn is in the run, without coming again', async () => {
  const scales = [{ ids: [1] }, { ids: [2, 3, 4, 5] }], heard = [];
  globalThis.document = { baseURI: 'http://host/' };
  globalThis.Worker = class {
    postMessage({ id, method }) {
      if (method === 'draw') scales.forEach((scale) => this.onmessage({ data: { id, scale, head: { model: 'small' } } }));
      if (method) this.onmessage({ data: { id, result: method === 'draw' ? { model: 'small', scales: [] } : { model: 'small', scales } } });
    }
  };
  try {
    const engine = browserEngine({ models: 'models/' }), onScale = (scale, k, run) => heard.push([k, run.scales.length]);
    assert.deepEqual(await engine.draw({}), { model: 'small', scales });
    assert.deepEqual(await engine.draw({}, { onScale }), { model: 'small', scales });
    assert.deepEqual(heard, [[0, 1], [1, 2]]);
    assert.deepEqual(await engine.tokenize('small', {}), { model: 'small', scales }); // which comes as a whole
  } finally {
    delete globalThis.Worker;
    delete globalThis.document;
  }
});
