// A model as three files: model.json (shapes, names, matrices), model.safetensors (weights), calibration.safetensors (landmarks);
// var_mini/ui/export.py writes the first and leaves the others as they are.
import { Decoder } from './decoder.js';
import { Encoder } from './encoder.js';
import { AT_ONCE } from './generate.js';
import { given } from './given.js';
import { paddedColumns, Space } from './linear.js';
import { Quantizer } from './quantizer.js';
import { Tensors } from './safetensors.js';
import { shown } from './settings.js';
import { Transformer } from './transformer.js';

const FORMAT = 'var-mini-browser-1';

/** Sides of the token maps from coarse to fine, and where each begins in the sequence of all tokens. */
export function pyramidOf(sides) {
  const counts = sides.map((side) => side * side), starts = [0];
  for (const count of counts) starts.push(starts.at(-1) + count);
  return { sides, counts, starts, tokens: starts.at(-1) };
}

export class Model {
  /**
   * @param {{config: object, weights: ArrayBuffer, calibration: ArrayBuffer | null}} files  the weights cannot be read afterwards
   * @param {BufferSource | null} wasm  the compiled product, or null for plain JavaScript
   * @throws {Error} in one sentence where a file is truncated, foreign or does not fit
   */
  static async open({ config: json, weights, calibration }, wasm) {
    if (json?.format !== FORMAT) throw new Error('model.json is not one that this page can read.');
    const config = { ...json, pyramid: pyramidOf(json.tokenizer.patch_nums) };
    const tensors = new Tensors(weights, 'model.safetensors');
    const model = new Model(), space = await Space.create(floatsNeeded(config, weights.byteLength / 4), wasm);
    model.config = config;
    model.space = space;
    model.calibration = calibration && new Tensors(calibration, 'calibration.safetensors');
    model.transformer = new Transformer(space, tensors, config);
    model.quantizer = new Quantizer(space, tensors, config);
    model.decoder = new Decoder(space, tensors, config);
    model.encoder = new Encoder(space, tensors, config);
    given(weights);
    model.colours = Uint8Array.from(atob(config.colours), (letter) => letter.charCodeAt(0)); // (V, 3), a colour a code
    return model;
  }

  /** Reads `exact`, `poly-2` or `landmark-32`, and makes its landmarks ready. Throws where this model has none of that name. */
  attention(name) {
    const known = ['exact', 'poly-2', ...this.config.landmarks.map((m) => `landmark-${m}`)];
    if (!known.includes(name)) throw new Error(`attention = ${shown(name)}: here it must be one of ${known.join(', ')}.`);
    const [method, number] = name.split('-');
    if (method !== 'landmark') return { name, method };
    const m = Number(number), { depth, heads, head_dim: d } = this.config.transformer;
    if (!this.transformer.landmarks[m]) {
      this.transformer.useLandmarks(m, this.calibration.get(`landmarks.${m}`, [depth, heads, m, d]));
    }
    return { name, method, landmarks: m };
  }
}

/** How many numbers a model holds at most at a time: its weights as in the file, the states of two sequences, one step or picture. */
function floatsNeeded({ tokenizer: t, transformer: f, pyramid, landmarks }, weights) {
  const n = Math.max(...pyramid.counts), rows = 2 * n, A = f.heads * f.head_dim, T = paddedColumns(pyramid.tokens);
  const rank = ((f.head_dim + 1) * (f.head_dim + 2)) / 2, columns = paddedColumns(f.head_dim + 1), most = Math.max(0, ...landmarks);
  const tables = f.depth * A * most * landmarks.length;
  const lowRank = f.heads * Math.max(rank, 2 * most) * columns; // of landmarks as float64, beside exact states
  const states = 2 * (f.depth * (2 * T * A + T + lowRank + 6 * f.width) + 3 * f.width); // and what the condition does to every block
  const step = rows * (4 * f.width + 7 * A + Math.round(f.width * f.mlp_ratio)), head = 2 * AT_ONCE * (f.width + t.vocab_size);
  const attend = n * (T + 3 * columns + 2 * rank) + 3 * rank * columns;
  const levels = t.channel_mult.length, width = t.channels * Math.max(...t.channel_mult);
  const pixels = (pyramid.sides.at(-1) * 2 ** (levels - 1)) ** 2;
  const picture = pixels * width * (9 + 6 * (levels * (t.res_blocks + 1) + 3));
  return Math.ceil(1.1 * (weights + tables + states + Math.max(step + Math.max(attend, head), picture))) + (1 << 18);
}
