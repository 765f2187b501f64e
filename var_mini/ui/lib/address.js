// The address of the page names a place, #masks. What the browser's own links cannot do: go to a place that is made only after the page
// has opened, stay with it while what stands above grows, and keep the settings in the address where the page has a <base>, as Gradio's has:
// against that, #masks is another page.

const HELD_MS = 20000;
const EARLIER = { draw: 'numbers' }; // a place that had another address
const A = 'a[href^="#"]', NEAR = 10; // pixels that a finger moves while it presses
const TOUCHED = ['pointerdown', 'wheel', 'touchmove', 'keydown']; // from here on a visitor goes where they like

export const GOES = 'vu-goes'; // event of the window: the page goes to the place `detail`, however that was asked for

export function placeOf(hash) {
  const name = /^#([a-z]+)$/.exec(hash)?.[1] ?? '';
  return EARLIER[name] ?? name;
}

export function followAddress() {
  let held = '', until = 0;
  const align = () => {
    if (!held || Date.now() >= until) return;
    if (held === 'top') scrollTo(0, 0);
    else document.getElementById(held)?.scrollIntoView({ block: 'start' });
  };
  const go = () => {
    held = placeOf(location.hash);
    until = Date.now() + HELD_MS;
    dispatchEvent(new CustomEvent(GOES, { detail: held }));
    align();
  };
  TOUCHED.forEach((name) => addEventListener(name, () => { held = ''; }, { capture: true, passive: true }));
  addEventListener('hashchange', go);
  let pressed = null; // the page may grow, or the bar of chapters move, between press and release: then the click itself is of no link
  addEventListener('pointerdown', ({ target, clientX: x, clientY: y }) => { pressed = { link: target.closest?.(A), x, y }; }, { capture: true, passive: true });
  const linkOf = ({ target, detail, clientX: x, clientY: y }) => target.closest?.(A) // no detail: a key
    ?? (detail && pressed && Math.hypot(x - pressed.x, y - pressed.y) < NEAR ? pressed.link : null);
  addEventListener('click', (event) => {
    const hash = linkOf(event)?.getAttribute('href');
    if (!hash || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (location.hash === hash) go();
    else location.hash = hash;
  });
  new ResizeObserver(align).observe(document.body);
  go();
}
