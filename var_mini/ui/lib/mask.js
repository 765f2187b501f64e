// A mask on the grid of the last token map: a 0 or a 1 for each of side * side tokens, row by row. Nothing here changes a mask in place.

const edge = (side, x, y) => Math.min(x, y, side - 1 - x, side - 1 - y); // cells to the nearest edge

// Masks by name. The last one is made of the mask before it.
const PRESETS = {
  left: (side, x) => x < Math.floor(side / 2),
  middle: (side, x, y) => edge(side, x, y) >= side / 4,
  border: (side, x, y) => edge(side, x, y) < Math.max(1, Math.floor(side / 7)),
  all: () => true,
  clear: () => false,
  invert: (side, x, y, mask) => !mask[y * side + x],
};
export const NAMES = Object.keys(PRESETS);

export function preset(name, side, mask = []) {
  return Array.from({ length: side * side }, (_, i) => (PRESETS[name](side, i % side, Math.floor(i / side), mask) ? 1 : 0));
}

// A square brush of `size` cells drawn from one cell to another: every cell between them, however far they are apart, becomes `value`. A
// brush of an even size reaches one cell further to the right and down.
export function stroked(mask, side, from, to, size, value) {
  const out = [...mask], [x0, y0, x1, y1] = [from % side, Math.floor(from / side), to % side, Math.floor(to / side)];
  const steps = Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0), 1), before = Math.floor((size - 1) / 2);
  for (let i = 0; i <= steps; i++) {
    const left = Math.round(x0 + ((x1 - x0) * i) / steps) - before, top = Math.round(y0 + ((y1 - y0) * i) / steps) - before;
    for (let y = Math.max(0, top); y < Math.min(side, top + size); y++) for (let x = Math.max(0, left); x < Math.min(side, left + size); x++) out[y * side + x] = value;
  }
  return out;
}

export const count = (mask) => mask.filter(Boolean).length;
