// The address of the page names a place, #masks, and a link to it is the browser's own. What the browser cannot do: go to a place that is
// made only after the page has opened, and stay with it while what stands above grows.

const HELD_MS = 20000;
const EARLIER = { draw: 'numbers' }; // a place that had another address
const TOUCHED = ['pointerdown', 'wheel', 'touchmove', 'keydown']; // from here on a visitor goes where they like

export function placeOf(hash) {
  const name = /^#([a-z]+)$/.exec(hash)?.[1] ?? '';
  return EARLIER[name] ?? name;
}

export function followAddress() {
  let held = '', until = 0;
  const align = () => { if (held && Date.now() < until) document.getElementById(held)?.scrollIntoView({ block: 'start' }); };
  const go = () => {
    held = placeOf(location.hash);
    until = Date.now() + HELD_MS;
    align();
  };
  TOUCHED.forEach((name) => addEventListener(name, () => { held = ''; }, { capture: true, passive: true }));
  addEventListener('hashchange', go);
  new ResizeObserver(align).observe(document.body);
  go();
}
