// y = W x + b, for many rows x at once. Linear layers, convolutions and attention all come down to this one product, which takes
// most of the time, and the exponentials of softmax and GELU much of the rest: so these are written in WebAssembly with SIMD
// (product.wat), and once more in plain JavaScript for browsers that have no SIMD or compute it wrongly.
//
// All numbers lie in one memory that both can see. Views into it are Float32Arrays: what a function allocates it gives back by
// `release(mark)`, like a stack.
//
// Matrices whose file has float16 stay float16 there, at half the memory: the product widens them, eight columns at a time.
import { HALF } from './half.js';

const PAGE = 65536; // bytes of a page of WebAssembly memory
const TILE = 4, PANEL = 8; // the product works on 4 rows x 8 columns at a time; rows and columns are padded to that

/** The next multiple of 4, and of 8. */
export const paddedRows = (n) => (n + TILE - 1) & -TILE;
export const paddedColumns = (m) => (m + PANEL - 1) & -PANEL;

/**
 * A matrix made ready for the product.
 * @typedef {object} Packed
 * @property {Float32Array | Uint16Array} panels  W in panels of 8 columns, each k x 8: float32, or the bits of float16
 * @property {Float32Array} bias
 * @property {number} k  numbers of an input row
 * @property {number} m  numbers of an output row
 * @property {number} width  m padded to a multiple of 8: how far output rows are apart
 */

/** One memory, the product over it, and a stack of views. */
export class Space {
  /**
   * @param {number} floats  how many numbers fit
   * @param {BufferSource | null} wasm  the compiled product; null asks for plain JavaScript
   */
  static async create(floats, wasm) {
    const space = new Space(floats);
    if (wasm) await space.useWebAssembly(wasm);
    try {
      space.numbers ??= new Float32Array(floats);
    } catch {
      throw new Error(`There is not enough memory for this model here: it needs ${Math.round(floats / 250000)} MB.`);
    }
    return space;
  }

  constructor(floats) {
    this.size = floats;
    this.top = 0;
    this.fast = null;
  }

  /** Takes the WebAssembly product, unless there is none here or it does not compute what the plain one computes. */
  async useWebAssembly(wasm) {
    try {
      const memory = new WebAssembly.Memory({ initial: Math.ceil((this.size * 4) / PAGE) });
      const { instance } = await WebAssembly.instantiate(wasm, { engine: { memory } });
      this.numbers = new Float32Array(memory.buffer);
      this.fast = instance.exports;
      if (!selfTest(this)) this.fast = null;
    } catch {
      this.fast = null; // no WebAssembly, no SIMD, or no memory for it
    }
  }

  /** `n` numbers, not cleared. Views begin at multiples of 16 bytes. */
  take(n) {
    const begin = this.top;
    this.top += paddedRows(n);
    if (this.top > this.size) throw new Error(`The model needs more memory than the ${this.size * 4} bytes reserved for it.`);
    return this.numbers.subarray(begin, begin + n);
  }

  /** `n` zeros. */
  zeros(n) {
    return this.take(n).fill(0);
  }

  /** `n` zeros of float64, for sums that need it. */
  doubles(n) {
    return new Float64Array(this.numbers.buffer, this.take(2 * n).byteOffset, n).fill(0);
  }

  /** The bits of `n` float16 zeros. */
  halves(n) {
    return new Uint16Array(this.numbers.buffer, this.zeros(Math.ceil(n / 2)).byteOffset, n);
  }

  /** A matrix of `n` rows, with room for the padding of its rows behind it. */
  rows(n, width) {
    return this.take(paddedRows(n) * width);
  }

  /** Gives back all that was taken since `top` was `mark`. */
  release(mark) {
    this.top = mark;
  }

  /**
   * Packs W for the product. Of its k m numbers the one from input `row` to output `column` is number `place(row, column)`. Input
   * rows that are padded are `length` numbers long, of which those from k on do not count.
   * @param {import('./safetensors.js').Stored} stored
   * @returns {Packed}
   */
  pack({ half, at }, bias, k, m, place, length = k) {
    const width = paddedColumns(m), panels = half ? this.halves(length * width) : this.zeros(length * width);
    const padded = this.zeros(width);
    for (let column = 0; column < m; column++) {
      const panel = (column - (column % PANEL)) * length + (column % PANEL);
      for (let row = 0; row < k; row++) panels[panel + row * PANEL] = at(place(row, column));
    }
    if (bias) padded.set(bias);
    return { panels, bias: padded, k: length, m, width };
  }

  /** The product of `n` rows with a packed matrix: a new matrix of n rows, each `packed.width` long, or into `out`. */
  product(x, n, packed, out = this.rows(n, packed.width)) {
    this.multiply(x, packed.panels, packed.bias, out, paddedRows(n), packed.k, packed.width, packed.k * PANEL);
    return out;
  }

  /** out (n, m) = x (n, k) W + bias; panels of W begin `stride` numbers apart. n is a multiple of 4, m of 8. */
  multiply(x, panels, bias, out, n, k, m, stride) {
    const mark = this.top, size = panels.BYTES_PER_ELEMENT, room = size === 2 ? this.take(k * PANEL) : null;
    if (this.fast) {
      this.fast.product(x.byteOffset, panels.byteOffset, bias.byteOffset, out.byteOffset, n, k, m, stride * size, room?.byteOffset ?? 0);
    } else {
      plainProduct(x, panels, bias, out, n, k, m, stride, room);
    }
    this.release(mark);
  }

  /** x[i] = exp(x[i] - most) for `n` numbers from number `begin` on; both are multiples of 4. */
  exponentials(x, begin, n, most) {
    if (this.fast) this.fast.exponentials(x.byteOffset + 4 * begin, n, most);
    else for (let i = begin; i < begin + n; i++) x[i] = Math.exp(x[i] - most);
  }

  /** GELU by its tanh formula, 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), in place: x times a logistic function. */
  gelu(x, n) {
    if (this.fast) this.fast.gelu(x.byteOffset, n);
    else plainGelu(x, n);
  }
}

function plainGelu(x, n) {
  const twice = 2 * Math.sqrt(2 / Math.PI);
  for (let i = 0; i < n; i++) {
    const v = x[i];
    x[i] = v / (1 + Math.exp(-twice * (v + 0.044715 * v * v * v)));
  }
}

/** The same as product.wat, a row of a panel at a time. */
export function plainProduct(x, panels, bias, out, n, k, m, stride, room = null) {
  // views end where they were cut, but padding rows lie behind: so all places are counted from the start of the memory
  const f = new Float32Array(x.buffer), X = x.byteOffset >> 2, W = (room ?? panels).byteOffset >> 2;
  const B = bias.byteOffset >> 2, Y = out.byteOffset >> 2;
  for (let j = 0; j < m; j += PANEL) {
    const first = (j / PANEL) * stride, panel = room ? W : W + first, b = B + j;
    if (room) for (let p = 0; p < k * PANEL; p++) room[p] = HALF[panels[first + p]];
    for (let i = 0; i < n; i++) {
      let s0 = f[b], s1 = f[b + 1], s2 = f[b + 2], s3 = f[b + 3], s4 = f[b + 4], s5 = f[b + 5], s6 = f[b + 6], s7 = f[b + 7];
      for (let p = 0, w = panel, a = X + i * k; p < k; p++, w += PANEL, a++) {
        const v = f[a];
        s0 += v * f[w]; s1 += v * f[w + 1]; s2 += v * f[w + 2]; s3 += v * f[w + 3];
        s4 += v * f[w + 4]; s5 += v * f[w + 5]; s6 += v * f[w + 6]; s7 += v * f[w + 7];
      }
      const y = Y + i * m + j;
      f[y] = s0; f[y + 1] = s1; f[y + 2] = s2; f[y + 3] = s3; f[y + 4] = s4; f[y + 5] = s5; f[y + 6] = s6; f[y + 7] = s7;
    }
  }
}

/** Whether what is computed fast is what is computed plainly: products exactly, for on small whole numbers no sum is rounded. */
function selfTest(space) {
  const n = 8, k = 5, m = 16, stride = k * PANEL, mark = space.top;
  const [x, floats, bias] = [n * k, k * m, m].map((count) => {
    const view = space.take(count);
    for (let i = 0; i < count; i++) view[i] = ((i * 7 + count) % 11) - 5;
    return view;
  });
  const halves = space.halves(k * m), expected = space.zeros(n * m), got = space.zeros(n * m);
  floats.forEach((value, i) => { halves[i] = HALF.indexOf(value); });
  plainProduct(x, floats, bias, expected, n, k, m, stride);
  const agree = [floats, halves].every((panels) => {
    space.multiply(x, panels, bias, got.fill(0), n, k, m, stride);
    return got.some((value) => value !== 0) && got.every((value, i) => value === expected[i]);
  });
  const curved = [(values) => space.exponentials(values, 0, m, 1), (values) => space.gelu(values, m)].every((fast, which) => {
    const plain = Float32Array.from(bias, (value) => value / 2), values = space.take(m);
    values.set(plain);
    if (which) plainGelu(plain, m);
    else plain.forEach((value, i) => { plain[i] = Math.exp(value - 1); });
    fast(values);
    return values.every((value, i) => Math.abs(value - plain[i]) <= 1e-6 * Math.max(1, Math.abs(plain[i])));
  });
  space.release(mark);
  return agree && curved;
}
