// Multi-scale residual quantization (arXiv 2404.02905, section 3.2, algorithms 1 and 2). With f the features of a picture, scale
// k quantizes what the coarser scales left over:
//
//   z_k  = area(f - f_hat)                       what is missing, seen at side_k
//   id_k = argmin over codes of |z_k - code|^2   the token map
//   f_hat += phi_k(bicubic(code[id_k]))          what this scale adds, at full side
//
// Enlarging and averaging are linear in rows and columns, so each is a small matrix applied from both sides; PyTorch made them,
// and model.json has them.
import { convolve, packConvolution } from './convolution.js';

export class Quantizer {
  constructor(space, tensors, config) {
    const { vocab_size: V, z_channels: z, phi_ratio: ratio } = config.tokenizer, name = 'tokenizer.quantize';
    Object.assign(this, { space, V, z, ratio, sides: config.pyramid.sides, side: config.pyramid.sides.at(-1) });
    this.codes = tensors.get(`${name}.embedding.weight`, [V, z]);
    this.lengths = Float64Array.from({ length: V }, (_, v) => this.code(v).reduce((sum, x) => sum + x * x, 0));
    this.phi = config.phi_of_scale.map((i) => packConvolution(space, tensors, `${name}.quant_resi.qresi_ls.${i}`));
    this.bicubic = config.bicubic.map((matrix) => Float32Array.from(matrix)); // (side, side_k)
    this.area = config.area.map((matrix) => Float32Array.from(matrix)); // (side_k, side)
  }

  code(v) {
    return this.codes.subarray(v * this.z, (v + 1) * this.z);
  }

  /** f_hat += phi_k(bicubic(code[ids])), with phi(h) = (1 - ratio) h + ratio conv(h). f_hat: (side^2, z). */
  add(fHat, ids, k) {
    const { space, z, side, ratio } = this, mark = space.top, map = space.take(ids.length * z);
    ids.forEach((id, t) => map.set(this.code(id), t * z));
    const h = space.rows(side * side, z);
    h.set(resized(space, map, this.sides[k], this.bicubic[k], side, z));
    const { data, row } = convolve(space, this.phi[k], { data: h, side, channels: z, row: z });
    for (let p = 0; p < side * side; p++) {
      for (let i = 0; i < z; i++) fHat[p * z + i] += h[p * z + i] * (1 - ratio) + data[p * row + i] * ratio;
    }
    space.release(mark);
  }

  /** f (side^2, z) seen at the side of scale k: (n_k, z), in the space until the caller releases it. The transformer's input is this of f_hat, not the token map before. */
  seen(f, k) {
    return resized(this.space, f, this.side, this.area[k], this.sides[k], this.z);
  }

  /** The nearest code of every row of z numbers; the first of equally near ones. */
  nearest(rows) {
    const { V, z, codes, lengths } = this, ids = [];
    for (let t = 0; t < rows.length; t += z) {
      let best = 0, least = Infinity;
      for (let v = 0; v < V; v++) {
        let dot = 0;
        for (let i = 0; i < z; i++) dot += rows[t + i] * codes[v * z + i];
        const distance = lengths[v] - 2 * dot; // |row - code|^2 but for |row|^2, which is the same for all codes
        if (distance < least) [best, least] = [v, distance];
      }
      ids.push(best);
    }
    return ids;
  }

  /** Algorithm 1: the token maps of f (side^2, z), a list of ids a scale; `onScale(k, ids, fHat)` sees every step. */
  quantize(f, onScale = () => {}) {
    const fHat = new Float32Array(f.length);
    return this.sides.map((_, k) => {
      const mark = this.space.top, ids = this.nearest(this.seen(f.map((value, i) => value - fHat[i]), k));
      this.space.release(mark);
      this.add(fHat, ids, k);
      onScale(k, ids, fHat);
      return ids;
    });
  }
}

/** M X M^T for every channel: rows and columns of a map (from^2, z) through the matrix M (to, from), mostly zeros. */
function resized(space, map, from, matrix, to, z) {
  if (from === to) return map; // the last scale: neither enlarged nor averaged
  const wide = space.zeros(to * from * z), result = space.zeros(to * to * z);
  for (let y = 0; y < to; y++) {
    for (let r = 0; r < from; r++) {
      const weight = matrix[y * from + r];
      if (weight) for (let i = 0; i < from * z; i++) wide[y * from * z + i] += weight * map[r * from * z + i];
    }
  }
  for (let x = 0; x < to; x++) {
    for (let c = 0; c < from; c++) {
      const weight = matrix[x * from + c];
      if (!weight) continue;
      for (let y = 0; y < to; y++) {
        for (let i = 0; i < z; i++) result[(y * to + x) * z + i] += weight * wide[(y * from + c) * z + i];
      }
    }
  }
  return result;
}
