// What can be done on the first screen: each function changes the one state, and asks the engine for what it needs.

import { createPlayer, FIRST_MS, SCALE_MS } from '../lib/player.js';
import { defaults, fromRecord, otherSeed, same, toQuery } from '../lib/settings.js';
import { continues, offset, whole } from '../lib/run.js';

const BEST_OF = 8; // drawings that the best is chosen from
const ALONE = { bestOf: 1, drawings: [] }; // a run that was not chosen among several

// `told(run)` hears of every whole run, `chosen(token)` of every token that is clicked
export function createActions(store, engine, { calm = false, told = () => {}, chosen = () => {} } = {}) {
  let asking = null, attending = 0;
  const player = createPlayer((shown, playing) => store.set({ shown, playing }));
  const get = store.get;

  // a run, or more of one, takes the place of what was shown
  function take(run) {
    store.set({ run });
    player.offer(run.scales.length, run.sides.length);
    completed(run);
    if (whole(run)) told(run);
  }

  // a token that was clicked while there was only a part of the run
  function completed(run) {
    if (whole(run) && get().pinned && !get().attention) attend();
  }

  function play(pace) {
    const { run } = get();
    forget();
    if (!run) return;
    player.offer(run.scales.length, get().computing ? run.sides.length : run.scales.length); // of one that was stopped no more comes
    if (calm) player.go(run.scales.length); // reduced motion: the end at once
    else player.start(pace);
  }

  function forget() {
    attending += 1; // an answer that is still awaited is of no token now
    store.set({ token: null, pinned: false, attention: null, code: null, attentionError: '' });
  }

  // `drawings` are those of which the picture is one: none, unless it is chosen among those that are shown
  async function draw(change = {}, { bestOf = 1, drawings = [] } = {}) {
    const settings = { ...get().settings, ...change };
    asking?.abort();
    const mine = new AbortController();
    asking = mine;
    store.set({ settings, computing: true, problem: '', notice: '' });
    let begun = false;
    const show = (run) => {
      if (mine !== asking || mine.signal.aborted) return; // a scale may come after it was stopped
      if (begun) { take(run); return; }
      begun = true; // the old picture stays until there is something of the new one
      forget();
      store.set({ run, shown: 0, bestOf, drawings, ...(bestOf > 1 && { settings: { ...get().settings, seed: run.settings.seed } }) });
      player.offer(run.scales.length, run.sides.length);
      if (!calm) player.start(SCALE_MS);
    };
    try {
      let drawn = drawings;
      const run = await engine.draw(settings, { onScale: (scale, index, so) => show(so), onDrawings: (all) => { drawn = all; }, signal: mine.signal, bestOf });
      if (mine !== asking) return;
      show(run);
      if (bestOf > 1) store.set({ drawings: drawn });
      if (calm) player.go(run.scales.length);
    } catch (error) {
      if (mine === asking && error.name !== 'AbortError') store.set({ problem: String(error.message || error) });
    } finally {
      if (mine === asking) {
        asking = null;
        store.set({ computing: false });
        const { run, playing } = get();
        if (playing && run && !whole(run)) player.go(run.scales.length); // no more of it will come
      }
    }
  }

  // the run that stands there at first: the recorded one, or none
  async function begin(total = FIRST_MS) {
    const { model, settings } = get();
    if (!model.recorded) return;
    let run = null, problem = '';
    try { run = await engine.recorded(model.name); } catch (error) { problem = String(error.message || error); }
    if (get().model !== model || get().run) return;
    if (!run) { store.set({ problem }); return; }
    const untouched = get().settings === settings; // what was asked for meanwhile stays
    store.set({ run, ...(untouched && { settings: { ...fromRecord(run.settings), model: model.name } }), ...ALONE });
    play(total / run.sides.length);
  }

  async function attend() {
    const { run, token, layer, head } = get(), mine = ++attending;
    if (!whole(run) || !engine.attention) { store.set({ attention: null, attentionError: '' }); return; }
    store.set({ attentionError: '' });
    const keep = (change) => { if (mine === attending && get().run === run) store.set(change); };
    engine.code?.(run, token).then((code) => keep({ code }), () => {});
    try {
      keep({ attention: await engine.attention(run, { layer, head, token: offset(run.sides, token.scale) + token.index }) });
    } catch (error) { keep({ attention: null, attentionError: String(error.message || error) }); }
  }

  // another model has other layers and heads
  const looked = (run) => (run.model === get().run?.model ? {} : { layer: 0, head: 0 });

  const equal = (a, b) => a && b && a.scale === b.scale && a.index === b.index;

  return {
    draw,
    play: () => (get().playing ? player.stop() : play(SCALE_MS)),
    go: (count) => { player.go(count); },
    dice: () => draw({ seed: otherSeed(get().settings.seed) }),
    best: () => draw({ seed: otherSeed(get().settings.seed) }, { bestOf: BEST_OF }),
    another: (seed) => draw({ ...fromRecord(get().run.settings), seed }, { drawings: get().drawings }), // of those that the best was chosen from
    stop: () => { asking?.abort(); },
    change: (change) => store.set({ settings: { ...get().settings, ...change } }),
    reset: () => store.set({ settings: { ...get().settings, ...get().model.sampling, attention: 'exact' } }),
    panel: (name) => store.set({ panel: get().panel === name ? '' : name }),
    hover: (token) => { if (!get().pinned && !equal(get().token, token)) store.set({ token, code: null }); },
    leave: (always) => { if (always || !get().pinned) forget(); },
    pin(token) {
      if (get().pinned && equal(get().token, token)) { forget(); return; }
      store.set({ token, pinned: true, attention: null, code: null });
      chosen(token);
      attend();
    },
    look(layer, head) {
      store.set({ layer, head });
      attend();
    },
    // another model, and its recorded run
    async choose(name) {
      const model = get().models.find((one) => one.name === name);
      asking?.abort();
      player.go(0);
      forget();
      store.set({ model, settings: defaults(model), run: null, shown: 0, problem: '', layer: 0, head: 0, panel: get().panel, ...ALONE });
      await begin(FIRST_MS / 2);
    },
    begin,
    // a run from elsewhere: a file that was opened
    put(run) {
      const model = get().models.find((one) => one.name === run.settings.model);
      asking?.abort();
      player.go(0);
      store.set({ model, run, settings: fromRecord(run.settings), problem: '', ...ALONE, ...looked(run) });
      play(SCALE_MS);
    },
    // a run, or more of one, that somebody else makes; its end is shown at once
    show(run) {
      if (!continues(get().run, run)) forget();
      store.set({ run, settings: fromRecord(run.settings), problem: '', ...ALONE, ...looked(run) });
      completed(run);
      player.offer(run.scales.length, run.sides.length);
      player.go(run.scales.length);
    },
    stale: () => Boolean(get().run) && !same(fromRecord(get().run.settings), get().settings),
    link: () => `?${toQuery(get().settings)}`,
  };
}
