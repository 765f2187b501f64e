// Square pictures of RGB bytes made smaller and larger, and one square of a map in another colour.

// the colour of number `index`, three bytes
export const rgbAt = (rgb, index) => rgb.slice(3 * index, 3 * index + 3);

// the same map with another colour in one place
export function recoloured(rgb, index, colour) {
  const out = rgb.slice();
  out.set(colour, 3 * index);
  return out;
}

// means over the area of each cell of a grid of `side`
export function shrunk(rgb, size, side) {
  const out = new Uint8ClampedArray(3 * side * side), cell = size / side;
  for (let i = 0; i < side * side; i++) {
    const top = Math.floor(Math.floor(i / side) * cell), left = Math.floor((i % side) * cell), sum = [0, 0, 0];
    const bottom = Math.max(top + 1, Math.floor((Math.floor(i / side) + 1) * cell)), right = Math.max(left + 1, Math.floor(((i % side) + 1) * cell));
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) for (let c = 0; c < 3; c++) sum[c] += rgb[3 * (y * size + x) + c];
    for (let c = 0; c < 3; c++) out[3 * i + c] = sum[c] / ((bottom - top) * (right - left));
  }
  return out;
}

// between the middles of cells in straight lines, beyond the outermost middles as they are
export function enlarged(rgb, side, size) {
  const out = new Uint8ClampedArray(3 * size * size);
  const place = (i) => {
    const at = Math.min(side - 1, Math.max(0, ((i + 0.5) * side) / size - 0.5)), low = Math.min(Math.floor(at), Math.max(0, side - 2));
    return [low, Math.min(low + 1, side - 1), at - low];
  };
  for (let y = 0; y < size; y++) {
    const [top, bottom, v] = place(y);
    for (let x = 0; x < size; x++) {
      const [left, right, u] = place(x);
      for (let c = 0; c < 3; c++) {
        const value = (row, column) => rgb[3 * (row * side + column) + c];
        out[3 * (y * size + x) + c] = (1 - v) * ((1 - u) * value(top, left) + u * value(top, right)) + v * ((1 - u) * value(bottom, left) + u * value(bottom, right));
      }
    }
  }
  return out;
}
