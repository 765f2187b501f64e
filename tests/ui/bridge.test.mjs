// The engine that draws through a component of Gradio's, here a made one.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { gradioEngine } from '../../var_mini/ui/engines/gradio.js';

const SETTINGS = { model: 'm', seed: 1 };
const runOf = (scales) => ({ sides: [1, 2], scales: Array.from({ length: scales }, (_, k) => ({ side: k + 1 })) });

function linked(opened = () => {}) {
  const engine = gradioEngine('http://here/'), asked = [];
  let heard = null;
  const component = { props: { value: null }, watch: (_, told) => { heard = told; }, trigger: (name, query) => asked.push([name, query]), server: {} };
  const set = (value) => { component.props.value = value; heard(); };
  engine.connect(component, opened);
  return { engine, component, asked, set };
}

test('a draw tells of every scale and ends with the whole run, and the component keeps none of it', async () => {
  const { engine, component, asked, set } = linked(), scales = [];
  const drawn = engine.draw(SETTINGS, { onScale: (scale, index) => scales.push(index) });
  await new Promise(setImmediate);
  assert.equal(asked[0][0], 'draw');
  assert.equal(asked[0][1].best_of, 1);
  const { number } = asked[0][1], whole = runOf(2);
  set({ number, run: runOf(1) });
  assert.equal(component.props.value, null);
  set({ number, run: whole });
  assert.equal(component.props.value, null); // else Gradio copies it at every later event
  assert.equal(await drawn, whole);
  assert.deepEqual(scales, [0]);
});

test('the drawings that the best was chosen from come with the whole run', async () => {
  const { engine, asked, set } = linked(), heard = [];
  const drawn = engine.draw(SETTINGS, { bestOf: 2, onDrawings: (all) => heard.push(all) });
  await new Promise(setImmediate);
  const { number, best_of: count } = asked[0][1];
  assert.equal(count, 2);
  set({ number, run: runOf(1) });
  set({ number, run: runOf(2), drawings: [{ seed: 4, share: 0.5, image: btoa('\x00\x7f\xff') }, { seed: 3, share: 0.25, image: btoa('\x01') }] });
  await drawn;
  assert.deepEqual(heard.flat().map(({ seed, share, image }) => [seed, share, ...image]), [[4, 0.5, 0, 127, 255], [3, 0.25, 1]]);
});

test('a file that is opened twice is told of twice, and an error ends the draw it belongs to', async () => {
  const opened = [], { engine, asked, set } = linked((run) => opened.push(run));
  set({ opened: true, run: 'a' });
  set({ opened: true, run: 'a' });
  assert.deepEqual(opened, ['a', 'a']);
  const drawn = engine.draw(SETTINGS);
  await new Promise(setImmediate);
  set({ number: asked[0][1].number + 1, error: 'of another' });
  set({ number: asked[0][1].number, error: 'broken' });
  await assert.rejects(drawn, /^Error: broken$/);
});
