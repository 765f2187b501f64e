// The address of the page names a place, #masks. What the browser's own links cannot do: go to a place that is made only after the page
// has opened, stay with it while what stands above grows, and keep the settings in the address where the page has a <base>, as Gradio's has:
// against that, #masks is another page.

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
  addEventListener('click', (event) => {
    const hash = event.target.closest?.('a[href^="#"]')?.getAttribute('href');
    if (!hash || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (location.hash === hash) go();
    else location.hash = hash;
  });
  new ResizeObserver(align).observe(document.body);
  go();
}
