// Exact attention with its cache of keys and values, and the interface that every kind of attention has here:
//
//   extend(k, v, n)       takes in the keys and values of one more scale
//   attend(q, n, out)     what n queries see, written to out (n, H d)
//
// for one sequence in one layer. Queries and keys are unit vectors, so that the logit s (q . k) of a pair lies in [-s, s]; s is
// learned for every head. There is no mask: what is not there yet cannot be seen, and within a scale all tokens see each other.
import { paddedColumns, paddedRows } from './linear.js';

const PANEL = 8;

/**
 * @typedef {object} Heads
 * @property {number} heads  H
 * @property {number} dim  d, a multiple of 8
 * @property {number} capacity  tokens of the whole sequence
 * @property {Float32Array} scale  s of every head
 */

/**
 * Rows (n, 3 H d) of the layer's projection -> q, k, v, each (H, padded n, d), q and k of length 1.
 * @param {import('./linear.js').Space} space
 */
export function splitHeads(space, qkv, n, { heads, dim }) {
  const block = paddedRows(n) * dim, row = 3 * heads * dim;
  const parts = [0, 1, 2].map(() => space.take(heads * block));
  parts.forEach((part, which) => {
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < n; t++) {
        const from = t * row + (which * heads + h) * dim, to = h * block + t * dim;
        let length = 1; // of q and k; values keep theirs
        if (which < 2) {
          let squares = 0;
          for (let i = 0; i < dim; i++) squares += qkv[from + i] ** 2;
          length = Math.max(Math.sqrt(squares), 1e-12);
        }
        for (let i = 0; i < dim; i++) part[to + i] = qkv[from + i] / length;
      }
    }
  });
  return parts;
}

/**
 * softmax(s q k^T) v over everything seen so far: the KV cache. Keys and values are kept as the product wants them, in panels of
 * 8 columns: for q k^T a column is a token, for (weights) v it is one of the d numbers of a value.
 */
export class ExactState {
  /** @param {import('./linear.js').Space} space @param {Heads} shape */
  constructor(space, shape) {
    this.space = space;
    this.shape = shape;
    this.capacity = paddedColumns(shape.capacity);
    const each = () => Array.from({ length: shape.heads }, () => space.zeros(this.capacity * shape.dim));
    this.keys = each();
    this.values = each();
    this.noBias = space.zeros(this.capacity);
    this.length = 0;
    this.fell = []; // nothing to fall back from
    this.fallbacks = 0;
  }

  extend(k, v, n) {
    const { heads, dim } = this.shape, block = paddedRows(n) * dim;
    for (let h = 0; h < heads; h++) {
      const keys = this.keys[h], values = this.values[h];
      for (let t = 0; t < n; t++) {
        const u = this.length + t, from = h * block + t * dim, column = (u & -PANEL) * dim + (u % PANEL);
        for (let i = 0; i < dim; i++) {
          keys[column + i * PANEL] = k[from + i];
          values[(i & -PANEL) * this.capacity + u * PANEL + (i % PANEL)] = v[from + i];
        }
      }
    }
    this.length += n;
  }

  attend(q, n, out) {
    for (let h = 0; h < this.shape.heads; h++) this.attendHead(h, q, n, out);
  }

  attendHead(h, q, n, out) {
    const { heads, dim, scale } = this.shape, { space } = this, mark = space.top, rows = paddedRows(n);
    const T = this.length, width = paddedColumns(T);
    const scaled = space.rows(n, dim), weights = space.rows(n, width), sums = space.doubles(n), mixed = space.rows(n, dim);
    for (let i = 0; i < n * dim; i++) scaled[i] = q[h * rows * dim + i] * scale[h];
    space.multiply(scaled, this.keys[h], this.noBias, weights, rows, dim, width, dim * PANEL); // the logits
    for (let t = 0; t < n; t++) {
      const row = t * width;
      let most = -Infinity, sum = 0;
      for (let u = row; u < row + T; u++) if (weights[u] > most) most = weights[u];
      space.exponentials(weights, row, width, most);
      for (let u = row; u < row + T; u++) sum += weights[u];
      weights.fill(0, row + T, row + width);
      sums[t] = sum;
    }
    space.multiply(weights, this.values[h], this.noBias, mixed, rows, width, dim, this.capacity * PANEL);
    for (let t = 0; t < n; t++) {
      for (let i = 0; i < dim; i++) out[(t * heads + h) * dim + i] = mixed[t * dim + i] / sums[t];
    }
    space.release(mark);
  }

  get bytes() {
    return 2 * this.shape.heads * this.length * this.shape.dim * 4;
  }
}

/**
 * One row of the attention matrix, for showing: the weights of a query q (d) over keys (T, d), and the products q . k behind
 * them.
 * @param {(dots: Float64Array) => Float64Array} unnormalised  from the dots q . k to weights that do not sum to 1 yet
 */
export function attentionRow(q, keys, unnormalised) {
  const d = q.length, dots = new Float64Array(keys.length / d);
  for (let u = 0; u < dots.length; u++) for (let i = 0; i < d; i++) dots[u] += q[i] * keys[u * d + i];
  const weights = unnormalised(dots), sum = weights.reduce((a, b) => a + b, 0);
  return { dots, weights: weights.map((w) => w / sum) };
}

/** exp(s q . k), up to a factor that the sum takes out again. */
export const exactWeights = (scale) => (dots) => dots.map((dot) => Math.exp(scale * (dot - 1)));
