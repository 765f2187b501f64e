// y = W x + b, for many rows x at once. Linear layers, convolutions and attention all come down to this one product, which takes
// nearly all of the time: so it is written in WebAssembly with SIMD (product.wat), and once more in plain JavaScript for browsers
// that have no SIMD or compute it wrongly.
//
// All numbers lie in one memory that both can see. Views into it are Float32Arrays: what a function allocates it gives back by
// `release(mark)`, like a stack.

const PAGE = 65536; // bytes of a page of WebAssembly memory
const TILE = 4, PANEL = 8; // the product works on 4 rows x 8 columns at a time; rows and columns are padded to that

/** The next multiple of 4, and of 8. */
export const paddedRows = (n) => (n + TILE - 1) & -TILE;
export const paddedColumns = (m) => (m + PANEL - 1) & -PANEL;

/**
 * A matrix made ready for the product.
 * @typedef {object} Packed
 * @property {Float32Array} panels  W in panels of 8 columns, each k x 8
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
      this.fast = instance.exports.product;
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

  /** A matrix of `n` rows, with room for the padding of its rows behind it. */
  rows(n, width) {
    return this.take(paddedRows(n) * width);
  }

  /** Gives back all that was taken since `top` was `mark`. */
  release(mark) {
    this.top = mark;
  }

  /**
   * Packs W for the product. `read` writes its k m numbers into an array, where the one from input `row` to output `column` stands
   * at `at(row, column)`. That array is room which whatever is computed takes later, so that loading needs none of its own.
   * Input rows that are padded are `length` numbers long, of which those from k on do not count.
   * @returns {Packed}
   */
  pack(read, bias, k, m, at, length = k) {
    const width = paddedColumns(m), panels = this.zeros(length * width), padded = this.zeros(width);
    const mark = this.top, weights = this.take(k * m);
    read(weights);
    for (let column = 0; column < m; column++) {
      const panel = (column - (column % PANEL)) * length + (column % PANEL);
      for (let row = 0; row < k; row++) panels[panel + row * PANEL] = weights[at(row, column)];
    }
    this.release(mark);
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
    if (this.fast) {
      this.fast(x.byteOffset, panels.byteOffset, bias.byteOffset, out.byteOffset, n, k, m, stride * 4);
    } else {
      plainProduct(x, panels, bias, out, n, k, m, stride);
    }
  }
}

/** The same as product.wat, a row of a panel at a time. */
export function plainProduct(x, panels, bias, out, n, k, m, stride) {
  // views end where they were cut, but padding rows lie behind: so all places are counted from the start of the memory
  const f = new Float32Array(x.buffer), X = x.byteOffset >> 2, W = panels.byteOffset >> 2;
  const B = bias.byteOffset >> 2, Y = out.byteOffset >> 2;
  for (let j = 0; j < m; j += PANEL) {
    const panel = W + (j / PANEL) * stride, b = B + j;
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

/** Whether both products agree, exactly: on small whole numbers no sum is rounded. */
function selfTest(space) {
  const n = 8, k = 5, m = 16, stride = k * PANEL, mark = space.top;
  const given = [n * k, k * m, m].map((count) => {
    const view = space.take(count);
    for (let i = 0; i < count; i++) view[i] = ((i * 7 + count) % 11) - 5;
    return view;
  });
  const expected = space.zeros(n * m), got = space.zeros(n * m);
  plainProduct(...given, expected, n, k, m, stride);
  space.multiply(...given, got, n, k, m, stride);
  space.release(mark);
  return got.some((value) => value !== 0) && got.every((value, i) => value === expected[i]);
}
