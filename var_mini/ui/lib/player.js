// Shows the scales of a run one after the other at an even pace, however fast they were computed.
//
//   const player = createPlayer((shown, playing) => ..., { later, cancel });
//   player.start(pace); player.offer(run.scales.length, run.sides.length);   // again with more as they come

export const FIRST_MS = 6000; // the whole of the run that plays when the page opens
export const SCALE_MS = 400; // a scale of a run that was asked for

export function createPlayer(changed, { later = setTimeout, cancel = clearTimeout } = {}) {
  let shown = 0, there = 0, all = 0, pace = SCALE_MS, playing = false, timer = null;

  function tick() {
    timer = null;
    if (!playing || shown >= there) return; // goes on when more is there
    shown += 1;
    if (shown === all) playing = false;
    changed(shown, playing);
    if (playing) timer = later(tick, pace);
  }

  function stop() {
    if (timer !== null) cancel(timer);
    timer = null;
    playing = false;
    changed(shown, playing);
  }

  return {
    start(ms = SCALE_MS, from = 0) {
      if (timer !== null) cancel(timer);
      [shown, pace, playing] = [from, ms, true];
      changed(shown, playing);
      timer = later(tick, from ? pace : 0);
    },
    offer(count, total) {
      [there, all] = [count, total];
      if (playing && timer === null) timer = later(tick, 0);
    },
    go(count) {
      stop();
      shown = Math.max(0, Math.min(count, there));
      changed(shown, playing);
    },
    stop,
  };
}
