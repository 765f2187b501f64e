// The state of the chapter that draws a part of a picture anew: the picture that it begins with, the mask, which tokens the mask redraws.
//
//   const { store, acts } = createEditing({ word, plan, take, redraw });
//   acts.show(start);   // as demo/chapters/edit.py makes it: { model, subject, facts, sides, ids, image, samples }
//
// `plan({ model, mask })` returns the promise of { scales }, a list of 0 and 1 for each; `take(run)` asks for another picture to begin
// with, `redraw({ model, ids, mask })` for the edit.

import { count, preset, stroked } from './mask.js';
import { moved, whole } from './run.js';
import { createStore } from './store.js';

export const REST_MS = 120; // after the last change of the mask, before the plan is asked for

export function createEditing({ word, plan, take, redraw }, { later = setTimeout, cancel = clearTimeout } = {}) {
  // `at`: the cell of the keyboard; `planned`: the mask that `scales` are of
  const store = createStore({ start: null, side: 0, mask: [], at: 0, brush: 1, scales: [], planned: [], said: '' });
  const { get, set } = store;
  let timer = null;

  function mark(mask, change = {}) {
    set({ mask, ...change });
    cancel(timer);
    timer = later(ask, REST_MS);
  }

  async function ask() {
    const { start, mask } = get(), keep = (change) => { if (get().mask === mask) set(change); }; // the answer to an earlier mask comes too late
    try {
      const { scales } = await plan({ model: start.model, mask });
      keep({ scales, planned: mask });
    } catch (error) { keep({ said: String(error.message || error) }); }
  }

  return { store, acts: {
    show(start) {
      if (!start?.sides) return;
      const before = get().start, side = start.sides.at(-1);
      set({ start, said: '' });
      if (before?.sides.join() !== start.sides.join()) mark(preset('left', side), { side, at: 0 }); // or else the mask stays
    },
    fill: (name) => mark(preset(name, get().side, get().mask)),
    brush: (brush) => set({ brush }),
    stroke: (from, to, value) => mark(stroked(get().mask, get().side, from, to, get().brush, value), { at: to }),
    // what a key does on the board; false where it does nothing
    press(key) {
      const { mask, side, at, brush } = get(), next = moved(side, at, key);
      if (next !== null) set({ at: next });
      else if (key === ' ') {
        const value = mask[at] ? 0 : 1;
        mark(stroked(mask, side, at, at, brush, value), { said: word(value ? 'edit_cell_on' : 'edit_cell_off', { row: Math.floor(at / side) + 1, column: (at % side) + 1 }) });
      } else return false;
      return true;
    },
    // begins with what another place of the page shows
    take(run) {
      if (!whole(run) || !run.settings?.model) set({ said: word('edit_none') });
      else take(run);
    },
    redraw() {
      const { start, mask } = get(), missing = !start?.ids.length ? 'edit_no_picture' : count(mask) === 0 ? 'edit_no_mask' : '';
      set({ said: missing && word(missing) });
      if (!missing) redraw({ model: start.model, ids: start.ids, mask });
    },
  } };
}
