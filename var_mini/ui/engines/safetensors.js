// Reads a safetensors file: eight bytes with the length of a header, the header as JSON (name -> type, shape, place), then the
// numbers. Weights are stored as float16; everything here computes in float32.

/** What float16 bits mean: sign, five bits of exponent, ten of fraction; one table for all 65,536 of them. */
const HALF = Float32Array.from({ length: 65536 }, (_, bits) => {
  const sign = bits >> 15 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
});
const BYTES = { F16: 2, F32: 4 };
const MAX_HEADER = 1 << 20;

/** The tensors of one file. They are turned into float32 where they are asked for, so that nothing is held twice. */
export class Tensors {
  /**
   * @param {ArrayBuffer} buffer  the whole file
   * @param {string} name  how errors call it
   * @throws {Error} where the file is truncated or no safetensors file
   */
  constructor(buffer, name) {
    this.buffer = buffer;
    this.name = name;
    const size = buffer.byteLength >= 8 ? Number(new DataView(buffer).getBigUint64(0, true)) : Infinity;
    if (size > MAX_HEADER || 8 + size > buffer.byteLength) throw new Error(`${name} is no model file, or was cut off.`);
    try {
      this.header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, size)));
      delete this.header.__metadata__;
    } catch {
      throw new Error(`${name} is no model file: its header cannot be read.`);
    }
    this.start = 8 + size;
    const fits = ({ dtype, shape, data_offsets: [begin, end] }) =>
      end - begin === BYTES[dtype] * shape.reduce((a, b) => a * b, 1) && begin >= 0 && this.start + end <= buffer.byteLength;
    try {
      if (Object.values(this.header).every(fits)) return;
    } catch { /* an entry without a shape or a place */ }
    throw new Error(`${name} is no model file, or was cut off: its header names numbers that are not there.`);
  }

  has(name) {
    return Object.hasOwn(this.header, name);
  }

  shape(name) {
    if (!this.has(name)) throw new Error(`${this.name} does not fit the model: it has no ${name}.`);
    return this.header[name].shape;
  }

  /**
   * What writes the numbers of one tensor into an array; `shape`, where given, must be the one it has.
   * @returns {(values: Float32Array) => void}
   */
  reader(name, shape = this.shape(name)) {
    const entry = this.shape(name) && this.header[name];
    if (entry.shape.join() !== shape.join()) {
      const [has, needs] = [entry.shape, shape].map((sides) => sides.join(' x '));
      throw new Error(`${this.name} does not fit the model: ${name} is ${has}, must be ${needs}.`);
    }
    const [begin, end] = entry.data_offsets;
    const view = new DataView(this.buffer, this.start + begin, end - begin); // which needs no aligned places, as arrays do
    const count = (end - begin) / BYTES[entry.dtype];
    if (entry.dtype === 'F32') return (values) => { for (let i = 0; i < count; i++) values[i] = view.getFloat32(4 * i, true); };
    return (values) => { for (let i = 0; i < count; i++) values[i] = HALF[view.getUint16(2 * i, true)]; };
  }

  /** One tensor as an array of float32, for what is kept as it is. */
  get(name, shape = this.shape(name)) {
    const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
    this.reader(name, shape)(values);
    return values;
  }

  /** Numbers of the largest tensor. */
  get largest() {
    return Math.max(...Object.values(this.header).map(({ shape }) => shape.reduce((a, b) => a * b, 1)));
  }
}
