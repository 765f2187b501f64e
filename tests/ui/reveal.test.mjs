// A result that was asked for comes into view once it is there, and takes the focus along; one that is seen already stays where it is.

import assert from 'node:assert/strict';
import test from 'node:test';
import { reveal } from '../../var_mini/ui/lib/reveal.js';

let observers, frames;
class Observer {
  constructor(call) { this.call = call; observers.push(this); }

  observe(element) { this.element = element; }

  disconnect() { this.element = null; }

  change() { if (this.element) this.call([], this); }
}
const frame = (call) => frames.push(call);
const pass = (count) => { for (let i = 0; i < count; i++) frames.splice(0).forEach((call) => call()); };
const FOR_LONG = 20;
globalThis.innerHeight = 800;
globalThis.document = { documentElement: { scrollHeight: 2000 } };

// a result at `top`, which is empty until `height` is set
function asked(top, calm) {
  const place = { did: [], height: 0, getBoundingClientRect: () => ({ top, bottom: top + place.height, height: place.height }),
    focus: () => place.did.push('focus'), scrollIntoView: ({ behavior }) => place.did.push(behavior) };
  reveal(place, calm, { Observer, frame });
  return place;
}

test.beforeEach(() => { observers = []; frames = []; });

test('nothing moves before the result is there and the page has stopped growing; then it is shown once', () => {
  const below = asked(900, false);
  pass(FOR_LONG);
  observers[0].change(); // still empty
  pass(FOR_LONG);
  assert.deepEqual(below.did, []);
  below.height = 300;
  for (let i = 0; i < FOR_LONG; i++) { document.documentElement.scrollHeight += 10; pass(1); }
  assert.deepEqual(below.did, []);
  pass(FOR_LONG);
  observers[0].change(); // the next scale of the same result
  pass(FOR_LONG);
  assert.deepEqual(below.did, ['focus', 'smooth']);
});

test('reduced motion is respected, and what is in view stays', () => {
  for (const [top, wanted] of [[700, ['focus', 'auto']], [300, []], [-10, ['focus', 'auto']]]) {
    const place = asked(top, true);
    place.height = 200;
    observers.at(-1).change();
    pass(FOR_LONG);
    assert.deepEqual(place.did, wanted);
  }
});

test('only what was asked for last is shown', () => {
  const places = [asked(900, true), asked(900, true)];
  places.forEach((place) => { place.height = 100; });
  observers.forEach((one) => one.change());
  pass(FOR_LONG);
  assert.deepEqual(places.map(({ did }) => did), [[], ['focus', 'auto']]);
});
