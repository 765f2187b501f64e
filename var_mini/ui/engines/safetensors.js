// Reads a safetensors file: eight bytes with the length of a header, the header as JSON (name -> type, shape, place), then the
// numbers. Weights are stored as float16; everything here computes in float32.
import { HALF } from './half.js';

const BYTES = { F16: 2, F32: 4 };
const INFINITE = 0x7c00; // float16 with all these bits is infinite or no number
const MAX_HEADER = 1 << 20;

/**
 * One tensor where it stands in the file: its numbers as float32, or as the bits of float16 where `half`.
 * @typedef {{half: boolean, count: number, at: (i: number) => number}} Stored
 */

/** The tensors of one file. They are read where they are asked for, so that nothing is held twice. */
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

  /** One tensor; `shape`, where given, must be the one it has. Throws where float16 numbers are not finite. @returns {Stored} */
  stored(name, shape = this.shape(name)) {
    const entry = this.shape(name) && this.header[name];
    if (entry.shape.join() !== shape.join()) {
      const [has, needs] = [entry.shape, shape].map((sides) => sides.join(' x '));
      throw new Error(`${this.name} does not fit the model: ${name} is ${has}, must be ${needs}.`);
    }
    const [begin, end] = entry.data_offsets;
    const view = new DataView(this.buffer, this.start + begin, end - begin); // which needs no aligned places, as arrays do
    const count = (end - begin) / BYTES[entry.dtype];
    if (entry.dtype === 'F32') return { half: false, count, at: (i) => view.getFloat32(4 * i, true) };
    for (let i = 0; i < count; i++) {
      if ((~view.getUint16(2 * i, true) & INFINITE) === 0) throw new Error(`${this.name}: ${name} holds numbers that are not finite.`);
    }
    return { half: true, count, at: (i) => view.getUint16(2 * i, true) };
  }

  /** One tensor as an array of float32, for what is kept as it is. */
  get(name, shape = this.shape(name)) {
    const { half, count, at } = this.stored(name, shape);
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = half ? HALF[at(i)] : at(i);
    return values;
  }
}
