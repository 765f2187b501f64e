// Brings what was asked for into view once it is there, and the focus with it, so that keys and screen readers go on from there.

const STILL = 4; // frames in which nothing on the page has grown: a browser that scrolls while it does misses its aim

let last = 0; // of what was asked for, one thing at a time

// `element` is a place that fills or changes later; nothing moves where it can be seen whole by then
export function reveal(element, calm, { Observer = MutationObserver, frame = requestAnimationFrame } = {}) {
  const mine = ++last, page = document.documentElement;
  let before = '', still = 0;
  const settle = () => {
    if (mine !== last) return;
    const { top, bottom, height } = element.getBoundingClientRect(), now = [height, page.scrollHeight].join();
    still = height > 0 && now === before ? still + 1 : 0;
    before = now;
    if (still < STILL) { frame(settle); return; }
    if (top >= 0 && bottom <= innerHeight) return;
    element.tabIndex = -1;
    element.focus({ preventScroll: true });
    element.scrollIntoView({ block: 'start', behavior: calm ? 'auto' : 'smooth' });
  };
  new Observer((_, observer) => { observer.disconnect(); settle(); }).observe(element, { childList: true, subtree: true });
}
