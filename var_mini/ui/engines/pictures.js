// Any picture -> one of the model's size: the largest square in its middle, each pixel the average of what it covers, transparent
// parts white. A picture that already has the size keeps its values.

const BRIGHT = 0.5; // a grey picture with brighter edges is dark on bright, and models of grey pictures saw bright on black
const GREY = [0.299, 0.587, 0.114];

/**
 * @param {{width: number, height: number, data: ArrayLike<number>}} picture  RGBA, as in an ImageData
 * @returns {Float32Array} (colours, size, size) in [0, 1]
 */
export function prepared({ width, height, data } = {}, size, colours) {
  if (!(width > 0 && height > 0) || data?.length !== 4 * width * height) {
    throw new Error('This is no picture: it has no pixels, or not as many as its sides say.');
  }
  const side = Math.min(width, height), result = new Float32Array(colours * size * size);
  const columns = spans((width - side) / 2, side, size, width), rows = spans((height - side) / 2, side, size, height);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const sum = [0, 0, 0];
      for (const [row, tall] of rows[y]) {
        for (const [column, wide] of columns[x]) {
          const at = 4 * (row * width + column), alpha = data[at + 3] / 255;
          for (let c = 0; c < 3; c++) sum[c] += tall * wide * (data[at + c] * alpha + 255 * (1 - alpha));
        }
      }
      const rounded = sum.map((value) => Math.round(value) / 255);
      const grey = rounded.reduce((all, value, c) => all + value * GREY[c], 0);
      const values = colours === 1 ? [Math.round(255 * grey) / 255] : rounded;
      values.forEach((value, c) => { result[(c * size + y) * size + x] = value; });
    }
  }
  return colours === 1 && brightEdges(result, size) ? result.map((value) => 1 - value) : result;
}

/** For each of `size` cells over [start, start + side): which pixels it covers, and which share of the cell each is. */
function spans(start, side, size, limit) {
  const step = side / size;
  return Array.from({ length: size }, (_, i) => {
    const begin = start + i * step, end = begin + step, covered = [];
    for (let p = Math.floor(begin); p < Math.min(limit, Math.ceil(end)); p++) {
      const share = (Math.min(end, p + 1) - Math.max(begin, p)) / step;
      if (share > 1e-9) covered.push([p, share]);
    }
    return covered;
  });
}

function brightEdges(picture, size) {
  const edge = picture.filter((_, p) => p < size || p >= size * (size - 1) || p % size === 0 || p % size === size - 1);
  return edge.reduce((sum, value) => sum + value, 0) / edge.length > BRIGHT;
}
