// The transformer of VAR (arXiv 2404.02905): it predicts all tokens of a scale at once, from all coarser scales.
//
//   block:  x += gamma1 attention(modulate(x, scale1, shift1))
//           x += gamma2 feedForward(modulate(x, scale2, shift2))
//   with    modulate(x, scale, shift) = LayerNorm(x) (scale + 1) + shift        (AdaLN: the class steers every block)
//
// Several sequences go through together, one after the other in the rows of x: with guidance there are two, one that is told the
// class and one that is not. C is the width, n the tokens of a scale.
import { ExactState, splitHeads } from './attention.js';
import { paddedColumns } from './linear.js';
import { LandmarkState, PolyState, landmarkTables } from './lowrank.js';

const EPS = 1e-6; // of the layer norms

/**
 * All that depends on class and style alone, for one sequence. A block has gamma1, gamma2, scale1, scale2, shift1, shift2.
 * @typedef {{start: Float32Array, blocks: Float32Array[][], head: Float32Array[]}} Conditioning
 */

export class Transformer {
  /**
   * @param {import('./linear.js').Space} space
   * @param {import('./safetensors.js').Tensors} tensors
   * @param {object} config  of the whole model, as model.json has it
   */
  constructor(space, tensors, config) {
    const t = config.transformer, C = t.width, A = t.heads * t.head_dim, hidden = Math.round(C * t.mlp_ratio);
    const V = config.tokenizer.vocab_size, z = config.tokenizer.z_channels;
    const get = (name, ...shape) => tensors.get(`transformer.${name}`, shape);
    const linear = (name, k, m, { bias = get(`${name}.bias`, m), length = k } = {}) =>
      space.pack(tensors.stored(`transformer.${name}.weight`, [m, k]), bias, k, m, (row, column) => column * k + row, length);
    Object.assign(this, { space, config: t, C, A });
    this.pyramid = config.pyramid;
    this.classes = get('class_emb.weight', t.num_classes + 1, C); // the last row is "no class"
    this.styles = t.num_styles ? get('style_emb.weight', t.num_styles + 1, C) : null; // the last row is "any"
    this.startPosition = get('pos_start', 1, this.pyramid.counts[0], C);
    this.positions = get('pos_1LC', 1, this.pyramid.tokens, C);
    this.levels = get('lvl_embed.weight', this.pyramid.counts.length, C);
    this.wordEmbed = linear('word_embed', z, C);
    this.sharedAda = linear('shared_ada_lin.1', C, 6 * C);
    this.headAda = linear('head_nm.ada_lin.1', C, 2 * C);
    this.head = linear('head', C, V);
    this.blocks = Array.from({ length: t.depth }, (_, i) => {
      const name = `blocks.${i}`, bias = new Float32Array(3 * A); // keys have no bias
      bias.set(get(`${name}.attn.q_bias`, A));
      bias.set(get(`${name}.attn.v_bias`, A), 2 * A);
      const logScale = get(`${name}.attn.scale_mul_1H11`, 1, t.heads, 1, 1);
      return {
        offset: get(`${name}.ada_gss`, 1, 1, 6, C),
        scale: logScale.map((value) => Math.exp(Math.min(value, Math.log(t.scale_cap)))), // s, the bound of a head's logits
        qkv: linear(`${name}.attn.mat_qkv`, C, 3 * A, { bias }),
        proj: linear(`${name}.attn.proj`, A, C),
        fc1: linear(`${name}.ffn.fc1`, C, hidden),
        fc2: linear(`${name}.ffn.fc2`, hidden, C, { length: paddedColumns(hidden) }),
      };
    });
    this.landmarks = {}; // m -> tables by layer, made when first used
  }

  /** Heads of a layer, as its attention states need them. */
  heads(layer) {
    const { heads, head_dim: dim } = this.config;
    return { heads, dim, capacity: this.pyramid.tokens, scale: this.blocks[layer].scale };
  }

  /** Landmark tables of all layers; `all` is the table (depth, H, m, d) of the calibration file. */
  useLandmarks(m, all) {
    const each = all.length / this.config.depth;
    const own = (i) => all.subarray(i * each, (i + 1) * each);
    this.landmarks[m] = this.blocks.map((_, i) => landmarkTables(this.space, own(i), m, this.heads(i)));
  }

  /** Empty attention states, one a layer, for one sequence. @param {{method: string, landmarks?: number}} attention */
  newStates({ method, landmarks }) {
    return this.blocks.map((_, i) => {
      if (method === 'poly') return new PolyState(this.space, this.heads(i));
      if (method === 'landmark') return new LandmarkState(this.space, this.heads(i), this.landmarks[landmarks][i]);
      return new ExactState(this.space, this.heads(i));
    });
  }

  /** What class and style (null: none, or any) do to every block; in the space until the caller releases it. @returns {Conditioning} */
  condition(label, style) {
    const { space, C } = this, { num_classes: classes, num_styles: styles } = this.config;
    const take = (count) => Array.from({ length: count }, () => space.take(C));
    const [start] = take(1), blocks = this.blocks.map(() => take(6)), head = take(2), mark = space.top, silu = space.rows(1, C);
    const classRow = (label ?? classes) * C, styleRow = (style ?? styles) * C;
    for (let i = 0; i < C; i++) {
      start[i] = this.classes[classRow + i] + (styles ? this.styles[styleRow + i] : 0);
      silu[i] = start[i] / (1 + Math.exp(-start[i]));
    }
    const shared = space.product(silu, 1, this.sharedAda), last = space.product(silu, 1, this.headAda);
    blocks.forEach((parts, layer) => parts.forEach((part, which) => {
      for (let i = 0; i < C; i++) part[i] = shared[which * C + i] + this.blocks[layer].offset[which * C + i];
    }));
    head.forEach((part, which) => part.set(last.subarray(which * C, (which + 1) * C)));
    space.release(mark);
    return { start, blocks, head };
  }

  /**
   * What the head reads of scale k for all sequences, as rows of C; they stay in the space until the caller releases it.
   * @param {Float32Array | null} input  f_hat seen at this scale's side, (n, z); null for the first scale
   * @param {Conditioning[]} conditions  one a sequence
   * @param {object[][]} states  by sequence and layer
   * @param {(layer: number, sequence: number, state: object, q: Float32Array, k: Float32Array, v: Float32Array) => void} [observe]
   */
  step(k, input, conditions, states, observe) {
    const { space, C, A } = this, n = this.pyramid.counts[k], rows = conditions.length * n;
    const x = this.embed(k, input, conditions), h = space.rows(rows, C), grown = space.rows(rows, C);
    const attended = space.rows(rows, A);
    this.attentionSeconds = 0;
    this.blocks.forEach((block, layer) => {
      const part = (which) => conditions.map((condition) => condition.blocks[layer][which]);
      const [gamma1, gamma2, scale1, scale2, shift1, shift2] = [0, 1, 2, 3, 4, 5].map(part), mark = space.top;
      modulate(x, n, C, scale1, shift1, h);
      const qkv = space.product(h, rows, block.qkv), began = performance.now();
      conditions.forEach((_, b) => {
        const inner = space.top, state = states[b][layer];
        const [q, key, value] = splitHeads(space, qkv.subarray(b * n * 3 * A), n, this.heads(layer));
        state.extend(key, value, n);
        state.attend(q, n, attended.subarray(b * n * A));
        observe?.(layer, b, state, q, key, value);
        space.release(inner);
      });
      this.attentionSeconds += (performance.now() - began) / 1000;
      addGated(x, space.product(attended, rows, block.proj, grown), n, C, gamma1);
      modulate(x, n, C, scale2, shift2, h);
      const hidden = space.product(h, rows, block.fc1);
      space.gelu(hidden, rows * block.fc1.width);
      addGated(x, space.product(hidden, rows, block.fc2, grown), n, C, gamma2);
      space.release(mark);
    });
    modulate(x, n, C, conditions.map((c) => c.head[0]), conditions.map((c) => c.head[1]), h);
    return h;
  }

  /**
   * Logits of `count` tokens from number `first` of their scale on, as rows of V: first those of one sequence, then of the next. All
   * of a scale at once would take more memory than all else.
   * @param {Float32Array} read  what `step` gave, for `sequences` of n tokens each
   */
  logits(read, n, sequences, first, count) {
    const { space, C } = this, rows = space.rows(sequences * count, C);
    for (let b = 0; b < sequences; b++) rows.set(read.subarray((b * n + first) * C, (b * n + first + count) * C), b * count * C);
    return space.product(rows, sequences * count, this.head);
  }

  /** Input rows: the class embedding at the first scale, else what f_hat is so far; plus where and on which level a token is. */
  embed(k, input, conditions) {
    const { space, C } = this, n = this.pyramid.counts[k], first = this.pyramid.starts[k];
    const x = space.rows(conditions.length * n, C);
    let words = null;
    if (k > 0) {
      const given = space.rows(n, this.wordEmbed.k);
      given.set(input);
      words = space.product(given, n, this.wordEmbed);
    }
    conditions.forEach(({ start }, b) => {
      for (let t = 0; t < n; t++) {
        for (let i = 0; i < C; i++) {
          const token = words ? words[t * C + i] : start[i] + this.startPosition[t * C + i];
          x[(b * n + t) * C + i] = token + (this.levels[k * C + i] + this.positions[(first + t) * C + i]);
        }
      }
    });
    return x;
  }
}

/** y = LayerNorm(x) (scale + 1) + shift; scale and shift are those of the row's sequence. */
function modulate(x, n, C, scales, shifts, y) {
  for (let row = 0; row < scales.length * n; row++) {
    const scale = scales[(row / n) | 0], shift = shifts[(row / n) | 0], begin = row * C;
    let mean = 0, variance = 0;
    for (let i = begin; i < begin + C; i++) mean += x[i];
    mean /= C;
    for (let i = begin; i < begin + C; i++) variance += (x[i] - mean) ** 2;
    const factor = 1 / Math.sqrt(variance / C + EPS);
    for (let i = 0; i < C; i++) y[begin + i] = (x[begin + i] - mean) * factor * (scale[i] + 1) + shift[i];
  }
}

/** x += gamma y. */
function addGated(x, y, n, C, gammas) {
  for (let row = 0; row < gammas.length * n; row++) {
    const gamma = gammas[(row / n) | 0];
    for (let i = 0; i < C; i++) x[row * C + i] += y[row * C + i] * gamma[i];
  }
}
