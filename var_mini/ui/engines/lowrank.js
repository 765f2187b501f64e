// Low-rank attention (arXiv 2302.13214, arXiv 2501.04377): the weight of a pair becomes a product of features,
//
//   exp(s q . k)  ~  phi(q)^T W phi(k),
//
// so that all keys and values fit into one state of constant size, S = sum over keys of phi(k) [v, 1]^T, and the output of a
// query is phi(q)^T W S, divided by its last column. Two choices of phi: the monomials of a polynomial, and the kernel seen from
// landmarks.
import { ExactState } from './attention.js';
import { paddedColumns, paddedRows } from './linear.js';

const PANEL = 8;
const RIDGE = 1e-5; // keeps the matrix of close landmarks invertible

/** What both have in common. A head where some denominator is not positive is computed exactly, as a whole, from the reserve. */
class FeatureState {
  /**
   * @param {import('./linear.js').Space} space
   * @param {import('./attention.js').Heads} shape
   * @param {number} rank  r, numbers in phi
   */
  constructor(space, shape, rank) {
    Object.assign(this, { space, shape, rank, fallbacks: 0, fell: new Array(shape.heads).fill(false), reserve: null });
    this.states = Array.from({ length: shape.heads }, () => this.emptyState());
  }

  extend(k, v, n) {
    const { heads, dim } = this.shape, block = paddedRows(n) * dim;
    for (let h = 0; h < heads; h++) {
      const mark = this.space.top;
      this.takeIn(h, k.subarray(h * block), v.subarray(h * block), n);
      this.space.release(mark);
    }
    this.reserve?.extend(k, v, n);
  }

  attend(q, n, out) {
    const { heads, dim } = this.shape, block = paddedRows(n) * dim;
    for (let h = 0; h < heads; h++) {
      const mark = this.space.top;
      const { sums, width } = this.giveOut(h, q.subarray(h * block), n); // n rows: d numbers, then the denominator
      let lowest = Infinity;
      for (let t = 0; t < n; t++) lowest = Math.min(lowest, sums[t * width + dim]);
      this.fell[h] = !(lowest > 0);
      for (let t = 0; t < n && !this.fell[h]; t++) {
        for (let i = 0; i < dim; i++) out[(t * heads + h) * dim + i] = sums[t * width + i] / sums[t * width + dim];
      }
      this.space.release(mark);
      if (this.fell[h]) {
        if (!this.reserve) throw new Error('A denominator of low-rank attention is not positive: it cannot be divided by.');
        this.reserve.attendHead(h, q, n, out);
        this.fallbacks++;
      }
    }
  }

  get bytes() {
    return this.shape.heads * this.rank * (this.shape.dim + 1) * 4;
  }
}

/**
 * exp(t) ~ 1 + t + t^2 / 2 with t = s (q . k): all monomials of degree 0, 1 and 2 of a vector, (d + 1)(d + 2) / 2 of them. The
 * polynomial is positive everywhere, so no denominator fails. Both sums are products, over tokens and over features.
 */
export class PolyState extends FeatureState {
  constructor(space, shape) {
    super(space, shape, ((shape.dim + 1) * (shape.dim + 2)) / 2);
    this.noBias = space.zeros(paddedColumns(shape.dim + 1));
  }

  /** (r, d + 1) as panels of 8 columns, for the product with phi(q). */
  emptyState() {
    return this.space.zeros(this.rank * paddedColumns(this.shape.dim + 1));
  }

  /** The monomials of n vectors: monomial `a` of vector t at `phi[t * perVector + a * perMonomial]`. */
  features(x, n, phi, perVector, perMonomial) {
    const d = this.shape.dim;
    for (let t = 0; t < n; t++) {
      let at = t * perVector;
      const put = (value) => { phi[at] = value; at += perMonomial; };
      put(1);
      for (let i = 0; i < d; i++) put(x[t * d + i]);
      for (let i = 0; i < d; i++) for (let j = i; j < d; j++) put(x[t * d + i] * x[t * d + j]);
    }
  }

  /** S += phi(k)^T [v, 1]: (r, n) times (n, d + 1). */
  takeIn(h, k, v, n) {
    const { space, rank } = this, d = this.shape.dim, width = paddedColumns(d + 1), state = this.states[h];
    const phi = space.rows(rank, n), sum = space.rows(rank, width), panels = space.zeros(n * width);
    this.features(k, n, phi, 1, n);
    for (let t = 0; t < n; t++) {
      for (let i = 0; i <= d; i++) panels[(i & -PANEL) * n + t * PANEL + (i % PANEL)] = i < d ? v[t * d + i] : 1;
    }
    space.multiply(phi, panels, this.noBias, sum, paddedRows(rank), n, width, n * PANEL);
    for (let a = 0; a < rank; a++) {
      for (let i = 0; i < width; i++) state[(i & -PANEL) * rank + a * PANEL + (i % PANEL)] += sum[a * width + i];
    }
  }

  /** phi(q)^T W S: (n, r) times (r, d + 1). W is diagonal: s^j / j!, times 2 for x_i x_j, which comes from two orders. */
  giveOut(h, q, n) {
    const { space, rank } = this, { dim: d, scale } = this.shape, s = scale[h], state = this.states[h];
    const width = paddedColumns(d + 1);
    const phi = space.rows(n, rank), mixed = space.take(rank * width), sums = space.rows(n, width);
    this.features(q, n, phi, rank, 1);
    let a = 0;
    const weigh = (weight) => {
      for (let at = a * PANEL; at < rank * width; at += rank * PANEL) {
        for (let i = at; i < at + PANEL; i++) mixed[i] = weight * state[i];
      }
      a++;
    };
    weigh(1);
    for (let i = 0; i < d; i++) weigh(s);
    for (let i = 0; i < d; i++) for (let j = i; j < d; j++) weigh(i === j ? (s * s) / 2 : s * s);
    space.multiply(phi, mixed, this.noBias, sums, paddedRows(n), rank, width, rank * PANEL);
    return { sums, width };
  }
}

/** 1 + t + t^2 / 2 of the logits t: the weights that the state above adds up. */
export const polyWeights = (scale) => (dots) => dots.map((dot) => 1 + scale * dot + (scale * dot) ** 2 / 2);

/**
 * Nystrom's method with m fixed landmarks L of a head: phi(x) = exp(s (L x - 1)) and W = K_LL^-1. Exact at the landmarks, near
 * them good; elsewhere weights, and so denominators, can be negative. Sums are float64, for W makes rounding errors large.
 */
export class LandmarkState extends FeatureState {
  /** @param {ReturnType<typeof landmarkTables>} tables  of this layer, one a head */
  constructor(space, shape, tables) {
    super(space, shape, tables[0].m);
    this.tables = tables;
    this.reserve = new ExactState(space, shape);
  }

  /** (r, d + 1), row by row. */
  emptyState() {
    return this.space.doubles(this.rank * (this.shape.dim + 1));
  }

  features(h, x, n) {
    const dots = this.space.product(x, n, this.tables[h].packed); // (n, padded m)
    return kernel(dots, n, this.rank, this.tables[h].packed.width, this.shape.scale[h], this.space.doubles(n * this.rank));
  }

  takeIn(h, k, v, n) {
    const d = this.shape.dim, r = this.rank, phi = this.features(h, k, n), state = this.states[h];
    for (let t = 0; t < n; t++) {
      for (let a = 0; a < r; a++) {
        const weight = phi[t * r + a], row = a * (d + 1);
        for (let i = 0; i < d; i++) state[row + i] += weight * v[t * d + i];
        state[row + d] += weight;
      }
    }
  }

  giveOut(h, q, n) {
    const width = this.shape.dim + 1, r = this.rank, phi = this.features(h, q, n), sums = this.space.doubles(n * width);
    const mixed = this.space.doubles(r * width);
    mixed.set(this.states[h]);
    solve(this.tables[h].factor, mixed, r, width);
    for (let t = 0; t < n; t++) {
      for (let a = 0; a < r; a++) {
        const weight = phi[t * r + a];
        for (let i = 0; i < width; i++) sums[t * width + i] += weight * mixed[a * width + i];
      }
    }
    return { sums, width };
  }
}

/** exp(s (dot - 1)) of n rows with m dots each, which are `width` apart, written to `phi`. */
function kernel(dots, n, m, width, scale, phi = new Float64Array(n * m)) {
  for (let t = 0; t < n; t++) for (let a = 0; a < m; a++) phi[t * m + a] = Math.exp(scale * (dots[t * width + a] - 1));
  return phi;
}

/**
 * The landmarks of one layer made ready, for every head: L packed for the product, and the Cholesky factor of K_LL + ridge.
 * @param {import('./linear.js').Space} space
 * @param {Float32Array} landmarks  (H, m, d), unit vectors
 */
export function landmarkTables(space, landmarks, m, { heads, dim, scale }) {
  return Array.from({ length: heads }, (_, h) => {
    const L = landmarks.subarray(h * m * dim, (h + 1) * m * dim), factor = new Float64Array(m * m);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j <= i; j++) {
        let dot = 0;
        for (let x = 0; x < dim; x++) dot += L[i * dim + x] * L[j * dim + x];
        let rest = Math.exp(scale[h] * (dot - 1)) + (i === j ? RIDGE : 0);
        for (let x = 0; x < j; x++) rest -= factor[i * m + x] * factor[j * m + x];
        factor[i * m + j] = i === j ? Math.sqrt(rest) : rest / factor[j * m + j];
      }
    }
    return { m, L, factor, packed: space.pack({ half: false, at: (i) => L[i] }, null, dim, m, (row, column) => column * dim + row) };
  });
}

/** (G G^T)^-1 times B (m, columns), in place: forwards through the lower triangle G, backwards through its transpose. */
function solve(G, B, m, columns) {
  for (let c = 0; c < columns; c++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < i; j++) B[i * columns + c] -= G[i * m + j] * B[j * columns + c];
      B[i * columns + c] /= G[i * m + i];
    }
    for (let i = m - 1; i >= 0; i--) {
      for (let j = i + 1; j < m; j++) B[i * columns + c] -= G[j * m + i] * B[j * columns + c];
      B[i * columns + c] /= G[i * m + i];
    }
  }
  return B;
}

/** phi(q)^T W phi(k) of one query (d) with keys (T, d): the weights that the state above adds up. */
export function landmarkWeights(q, keys, { m, L, factor }, scale) {
  const d = q.length, T = keys.length / d;
  const features = (x, n) => {
    const dots = new Float64Array(n * m);
    for (let t = 0; t < n; t++) {
      for (let a = 0; a < m; a++) for (let i = 0; i < d; i++) dots[t * m + a] += x[t * d + i] * L[a * d + i];
    }
    return kernel(dots, n, m, m, scale);
  };
  const mixed = solve(factor, features(q, 1), m, 1), phi = features(keys, T);
  return Float64Array.from({ length: T }, (_, u) => mixed.reduce((sum, value, a) => sum + value * phi[u * m + a], 0));
}
