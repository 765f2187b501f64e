// Two counters that take a step each at the same moments, until both have taken all of theirs.

export const STEP_MS = 60;

export function createRace(raster, scales, changed, { later = setTimeout, cancel = clearTimeout } = {}) {
  let timer = null;
  const at = (step, running) => ({ raster: Math.min(step, raster), scales: Math.min(step, scales), running });
  function stop() {
    cancel(timer);
    changed(at(Math.max(raster, scales), false));
  }
  return {
    stop,
    start(calm = false) {
      cancel(timer);
      if (calm) { stop(); return; } // reduced motion: the end at once
      let step = 0;
      const tick = () => {
        const running = step < Math.max(raster, scales);
        changed(at(step, running));
        step += 1;
        if (running) timer = later(tick, STEP_MS);
      };
      tick();
    },
  };
}
