// Convolutions and what stands between them, for encoder, decoder and phi. A feature map is a matrix with a row a pixel, so that
// a 1x1 convolution is a linear layer, and a 3x3 one is a linear layer over the nine neighbours of every pixel, side by side.

const EPS = 1e-6; // of the group norms

/**
 * A square feature map: `side` x `side` pixels of `channels` numbers, pixels `row` numbers apart.
 * @typedef {{data: Float32Array, side: number, channels: number, row: number}} FeatureMap
 */

/**
 * A convolution packed for the product: its weight (out, in, size, size) as a matrix of size^2 in -> out.
 * @param {import('./linear.js').Space} space @param {import('./safetensors.js').Tensors} tensors
 */
export function packConvolution(space, tensors, name) {
  const [out, channels, size] = tensors.shape(`${name}.weight`);
  const weight = tensors.stored(`${name}.weight`), bias = tensors.get(`${name}.bias`, [out]);
  const at = (row, column) => (column * channels + (row % channels)) * size * size + Math.floor(row / channels);
  return { size, channels, out, packed: space.pack(weight, bias, channels * size * size, out, at) };
}

/**
 * @param {FeatureMap} map  as many channels as the convolution takes
 * @param {number} [stride]  2 halves the side, with the zeros of the edge on the right and below alone
 * @returns {FeatureMap}
 */
export function convolve(space, convolution, map, stride = 1) {
  const { size, channels, out, packed } = convolution, side = map.side / stride, n = side * side;
  const result = space.rows(n, packed.width), mark = space.top;
  let columns = map.data;
  if (size > 1 || map.row !== channels) {
    const before = stride === 1 ? (size - 1) / 2 : 0; // zeros on the left and above
    columns = space.rows(n, packed.k).fill(0, 0, n * packed.k);
    const { numbers } = space, source = map.data.byteOffset / 4, target = columns.byteOffset / 4;
    for (let pixel = 0; pixel < n; pixel++) {
      const top = Math.floor(pixel / side) * stride - before, left = (pixel % side) * stride - before;
      for (let tap = 0; tap < size * size; tap++) {
        const y = top + Math.floor(tap / size), x = left + (tap % size);
        if (y < 0 || x < 0 || y >= map.side || x >= map.side) continue;
        const from = source + (y * map.side + x) * map.row;
        numbers.copyWithin(target + pixel * packed.k + tap * channels, from, from + channels);
      }
    }
  }
  space.product(columns, n, packed, result);
  space.release(mark);
  return { data: result, side, channels: out, row: packed.width };
}

/** silu(GroupNorm(x)): each group of channels has mean 0 and variance 1 over the whole map, then x / (1 + exp(-x)). */
export function normalise(space, { weight, bias }, map, groups) {
  const { data, side, channels, row } = map, n = side * side, size = channels / groups, y = space.rows(n, channels);
  for (let first = 0; first < channels; first += size) {
    let mean = 0, variance = 0;
    for (let p = 0; p < n; p++) for (let i = first; i < first + size; i++) mean += data[p * row + i];
    mean /= n * size;
    for (let p = 0; p < n; p++) for (let i = first; i < first + size; i++) variance += (data[p * row + i] - mean) ** 2;
    const factor = 1 / Math.sqrt(variance / (n * size) + EPS);
    for (let p = 0; p < n; p++) {
      for (let i = first; i < first + size; i++) {
        const u = (data[p * row + i] - mean) * factor * weight[i] + bias[i];
        y[p * channels + i] = u / (1 + Math.exp(-u));
      }
    }
  }
  return { data: y, side, channels, row: channels };
}

export const loadNorm = (tensors, name) => ({ weight: tensors.get(`${name}.weight`), bias: tensors.get(`${name}.bias`) });

/** A residual block: shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x)))))). */
export class ResidualBlock {
  constructor(space, tensors, name, groups) {
    this.groups = groups;
    [this.norm1, this.norm2] = [1, 2].map((i) => loadNorm(tensors, `${name}.norm${i}`));
    [this.conv1, this.conv2] = [1, 2].map((i) => packConvolution(space, tensors, `${name}.conv${i}`));
    this.shortcut = tensors.has(`${name}.nin_shortcut.weight`) ? packConvolution(space, tensors, `${name}.nin_shortcut`) : null;
  }

  /** @returns {FeatureMap} */
  apply(space, map) {
    const h = convolve(space, this.conv1, normalise(space, this.norm1, map, this.groups));
    const y = convolve(space, this.conv2, normalise(space, this.norm2, h, this.groups));
    const x = this.shortcut ? convolve(space, this.shortcut, map) : map;
    for (let p = 0; p < y.side * y.side; p++) {
      for (let i = 0; i < y.channels; i++) y.data[p * y.row + i] += x.data[p * x.row + i];
    }
    return y;
  }
}

/** The residual blocks `name.0`, `name.1`, ... as far as the file has them. */
export function residualBlocks(space, tensors, name, groups) {
  const blocks = [];
  while (tensors.has(`${name}.${blocks.length}.conv1.weight`)) {
    blocks.push(new ResidualBlock(space, tensors, `${name}.${blocks.length}`, groups));
  }
  return blocks;
}
