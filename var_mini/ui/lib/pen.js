// What one draws with: the colours of a canvas, how fine it is, and where an arrow key moves the pen.

const GREYS = { white: '#ffffff', light: '#aaaaaa', dark: '#555555', black: '#000000' };
const COLOURS = { black: '#111111', white: '#ffffff', red: '#d7261e', orange: '#f08c00', yellow: '#fcc21b', green: '#4c9f38', blue: '#2a6fdb', purple: '#8e44ad',
  brown: '#7b4a2b', pink: '#f48fb1' };
const SIDE = 280; // pixels of a canvas, about
const STEPS = 28; // of an arrow key from edge to edge
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// for pictures of so many channels; models of grey ones were trained on bright things on black
export const paletteOf = (channels) => (channels === 1 ? { colours: GREYS, paper: '#000000' } : { colours: COLOURS, paper: '#ffffff' });

// pixels of the side of a canvas for pictures of `size`: a whole number for each of theirs
export const resolution = (size) => size * Math.max(1, Math.round(SIDE / size));

// the place, in shares of the canvas, that is one step away by an arrow key; null for another key
export function stepped([x, y], key) {
  const by = ARROWS[key], inside = (value) => Math.min(1, Math.max(0, value));
  return by ? [inside(x + by[0] / STEPS), inside(y + by[1] / STEPS)] : null;
}
