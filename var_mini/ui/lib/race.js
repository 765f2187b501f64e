// A race between a picture token by token and the same picture scale by scale: by their seconds, slowed down, where a run has any,
// or step by step at the same moments.

import { whole } from './run.js';

export const SHOWN_MS = 6000; // of a race by seconds, however short it really is
export const TICK_MS = 40;
export const STEP_MS = 60; // of a race by steps

// Seconds at which each step is done: { raster, scales, step }, or null for a run without times. Of the scales they are measured, without
// the decoder. Of raster order they are estimated: each token takes as long as the fastest step of the run, `step` seconds.
export function timesOf(run) {
  if (!whole(run)) return null;
  const seconds = run.scales.map((scale) => scale.seconds[0] + scale.seconds[1]), step = Math.min(...seconds);
  if (!(step > 0)) return null;
  let sum = 0;
  return { step, scales: seconds.map((one) => (sum += one)), raster: Array.from({ length: run.sides.at(-1) ** 2 }, (_, i) => (i + 1) * step) };
}

const done = (times, now) => times.filter((time) => time <= now * (1 + 1e-9)).length;

// `times` as above, or { raster, scales } of equal steps; changed({ raster, scales, seconds, running }) hears every step of both
export function createRace(times, timed, changed, { later = setTimeout, cancel = clearTimeout } = {}) {
  let timer = null;
  const end = Math.max(times.raster.at(-1), times.scales.at(-1));
  const ticks = timed ? Math.round(SHOWN_MS / TICK_MS) : end, pace = timed ? TICK_MS : STEP_MS;
  const at = (tick, running) => {
    const seconds = (end * tick) / ticks;
    return { raster: done(times.raster, seconds), scales: done(times.scales, seconds), seconds, running };
  };
  function stop() {
    cancel(timer);
    changed(at(ticks, false));
  }
  return {
    stop,
    start(calm = false) {
      cancel(timer);
      if (calm) { stop(); return; } // reduced motion: the end at once
      let tick = 0;
      const go = () => {
        changed(at(tick, tick < ticks));
        tick += 1;
        if (tick <= ticks) timer = later(go, pace);
      };
      go();
    },
  };
}

// a race in which every step takes as long as any other
export const steps = (raster, scales) => ({ raster: Array.from({ length: raster }, (_, i) => i + 1), scales: Array.from({ length: scales }, (_, i) => i + 1) });
