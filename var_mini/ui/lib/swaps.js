// The state of the chapter that takes a picture apart: the picture with every code that a visitor has replaced since, the token that is
// chosen, and what is offered in place of its code.
//
//   const { store, acts } = createSwaps({ word, candidates, replace });
//   acts.show(picture);   // as demo/chapters/tokenize.py makes it: a run with `original` and `errors`
//
// `candidates(query)` and `replace(query)` return promises of what that file's functions of these names answer.

import { added, bytes, whole } from './run.js';
import { createStore } from './store.js';

const STEPS_KEPT = 100; // of what can be undone

const idsOf = (picture) => picture.scales.map(({ ids }) => ids);

// the picture's codes with the encoder's own at one place
function around([first], now, { scale, index }) {
  const ids = idsOf(now).map((one) => [...one]);
  ids[scale][index] = first.scales[scale].ids[index];
  return ids;
}

// how many codes are not the encoder's own
export function replaced(first, now) {
  if (!whole(now)) return 0;
  return now.scales.reduce((sum, { ids }, k) => sum + ids.filter((id, i) => id !== first.scales[k].ids[i]).length, 0);
}

// One more step; of many the first stays, which is what the encoder made, and the latest.
export const kept = (history, step, most = STEPS_KEPT) => (history.length < most ? [...history, step] : [history[0], ...history.slice(2), step]);

// RGB of the picture, of what its codes make of it, and of how these differ: from the picture, or once codes were replaced from what the
// encoder's own codes make of it. Null where there is nothing to compare.
export function comparison(first, now) {
  if (!whole(now) || !now.original) return null;
  const result = bytes(now.scales.at(-1).image), original = bytes(now.original), changed = replaced(first, now) > 0;
  return { original, result, changed, difference: added(result, changed ? bytes(first.scales.at(-1).image) : original) };
}

// errors after every scale -> lengths of their bars, as shares of the longest of their kind; a residual below 1 is a share already
export function bars(errors) {
  const most = (kind, least) => Math.max(least, ...errors.map((error) => error[kind]));
  const longest = { residual: most('residual', 1), psnr: most('psnr', 1e-9), mae: most('mae', 1e-9) };
  return errors.map((error) => Object.fromEntries(Object.entries(longest).map(([kind, length]) => [kind, Math.max(0, error[kind]) / length])));
}

export function createSwaps({ word, candidates, replace }) {
  // `history`: the picture as the encoder took it apart, then every change; `shown`: the scale that is shown last
  const store = createStore({ history: [], place: null, offered: null, problem: '', shown: 0 });
  const { get, set } = store;
  let wanted = '', changing = 0; // what offers are asked for, and the number of the change that is asked for
  const now = () => get().history.at(-1), failed = (error) => set({ problem: String(error.message || error) });

  // Offers are the codes around the encoder's choice, whatever has been tried in its place; their pictures hold all other codes.
  async function offer() {
    const { history, place } = get();
    if (!place) return;
    const query = { model: now().settings.model, ids: around(history, now(), place), scale: place.scale, token: place.index }, mine = JSON.stringify(query);
    if (mine === wanted) return;
    wanted = mine;
    set({ offered: null });
    try {
      const { colours, images, ...rest } = await candidates(query);
      if (mine === wanted) set({ offered: { ...rest, colours: bytes(colours), images: images.map(bytes) } });
    } catch (error) {
      if (mine !== wanted) return;
      wanted = ''; // may be asked again
      failed(error);
    }
  }

  function keep(history) {
    changing += 1; // what is on its way belongs to another picture
    set({ history, problem: '' });
    offer();
  }

  return { store, acts: {
    show(picture) {
      if (!picture?.sides) return;
      wanted = '';
      set({ place: null, offered: null });
      keep([picture]);
    },
    choose(place) {
      set({ place, problem: '' });
      offer();
    },
    look: (shown) => set({ shown }),
    async use(code) {
      const { history, place: { scale, index } } = get(), picture = now(), { settings, subject, original } = picture;
      if (code === picture.scales[scale].ids[index]) return;
      changing += 1;
      const mine = changing;
      try {
        const answer = await replace({ model: settings.model, ids: idsOf(picture), scale, token: index, code, original });
        if (mine !== changing) return;
        const values = { count: replaced(history[0], answer), psnr: answer.errors.at(-1).psnr.toFixed(1) };
        keep(kept(history, { ...answer, settings, subject, note: word('tokenize_replaced', values) }));
      } catch (error) { if (mine === changing) failed(error); }
    },
    undo: () => keep(get().history.slice(0, -1)),
    reset: () => keep(get().history.slice(0, 1)),
  } };
}
