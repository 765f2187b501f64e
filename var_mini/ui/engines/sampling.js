// From logits to tokens: classifier-free guidance, temperature, top-k, top-p, and noise that belongs to the seed. The numbers are
// rounded to float32 where Python rounds them, so that the same codes win.
import { exponential } from './noise.js';

const { fround } = Math;
const BINS = 1024, PER_NAT = 24; // coarse bins of the logit, for sorting only what must be sorted
const CANDIDATES = 5; // likeliest codes that are shown of every token

/** (1 + w) conditional - w unconditional: `logits` holds both halves, n rows of V each. Written over the first half. */
export function guide(logits, count, weight) {
  const more = fround(1 + weight), less = fround(weight);
  for (let i = 0; i < count; i++) logits[i] = fround(more * logits[i]) - fround(less * logits[count + i]);
}

/**
 * What is known of one token after it was drawn.
 * @typedef {{id: number, entropy: number, probability: number, top: number[], topProbability: number[]}} Drawn
 */

/** Draws one code from one row of guided logits. @returns {Drawn} */
export class Sampler {
  /**
   * @param {number} V  codes
   * @param {import('./noise.js').Noise} noise
   * @param {{temperature: number, top_k: number, top_p: number}} settings
   */
  constructor(V, noise, { temperature, top_k: topK, top_p: topP }) {
    Object.assign(this, { V, noise, temperature: fround(temperature), topK: topK > 0 && topK < V ? topK : V, topP });
    this.greedy = topK === 1; // no noise is drawn then
    this.p = new Float64Array(V); // exp(logit - largest)
    this.u = new Float64Array(V); // a uniform random number for each code
    this.order = new Int32Array(V); // codes by falling logit, as far as they have been sorted
    [this.ends, this.next] = [0, 1].map(() => new Int32Array(BINS + 1)); // where each bin's codes lie in `order`
    this.sorted = 0; // bins that have been
  }

  /** `forced`, where it is a number, is taken instead of what would be drawn; the noise is drawn all the same. */
  draw(row, forced = null) {
    const { V, p, temperature } = this;
    let most = -Infinity;
    for (let v = 0; v < V; v++) {
      if (temperature !== 1) row[v] /= temperature;
      if (row[v] > most) most = row[v];
    }
    if (!Number.isFinite(most)) throw new Error('The model computed numbers that are not finite: no image is drawn from them.');
    for (let v = 0; v < V; v++) p[v] = Math.exp(row[v] - most);
    this.count(row, most);
    const least = this.filter(row);
    let sum = 0, weighted = 0;
    for (let v = 0; v < V; v++) {
      if (row[v] < least) continue;
      sum += p[v];
      if (p[v] > 0) weighted += p[v] * (row[v] - most);
    }
    const winner = this.greedy ? row.indexOf(most) : this.pick(row, least), id = forced ?? winner;
    const top = Array.from({ length: CANDIDATES }, (_, i) => this.rank(row, i));
    const share = (v) => (row[v] < least ? 0 : p[v] / sum);
    return { id, entropy: Math.log(sum) - weighted / sum, probability: share(id), top, topProbability: top.map(share) };
  }

  /**
   * The least logit that top-k and top-p keep. top-k keeps the k largest, and what is as large as the last of them. top-p keeps,
   * from the largest down, codes until their probabilities sum to p.
   */
  filter(row) {
    const { V, p, topK, topP } = this;
    let least = topK < V ? row[this.rank(row, topK - 1)] : -Infinity;
    if (topP < 1) {
      const floor = least;
      let total = 0, likelier = 0;
      for (let v = 0; v < V; v++) if (row[v] >= floor) total += p[v];
      for (let i = 0; i < V && (i === 0 || likelier < topP * total) && row[this.rank(row, i)] >= floor; i++) {
        least = row[this.order[i]];
        likelier += p[this.order[i]];
      }
    }
    return least;
  }

  /** Counts the codes into bins by falling logit, so that `rank` can order as many of them as are asked for. */
  count(row, most) {
    const { V, order, ends, next } = this, bin = (v) => Math.min(BINS - 1, Math.floor((most - row[v]) * PER_NAT));
    ends.fill(0);
    for (let v = 0; v < V; v++) ends[bin(v) + 1]++;
    for (let b = 0; b < BINS; b++) ends[b + 1] += ends[b];
    next.set(ends);
    for (let v = 0; v < V; v++) order[next[bin(v)]++] = v;
    this.sorted = 0;
  }

  /** The code of rank i by falling logit. A bin is sorted when its turn comes, and few bins ever are. */
  rank(row, i) {
    const { order, ends } = this;
    for (; ends[this.sorted] <= i; this.sorted++) {
      const begin = ends[this.sorted], end = ends[this.sorted + 1];
      if (end - begin > 1) order.subarray(begin, end).sort((v, w) => row[w] - row[v] || v - w);
    }
    return order[i];
  }

  /** argmax of p / e over the kept codes, e exponential noise: distributed exactly as p (the Gumbel-max trick). */
  pick(row, least) {
    const { V, p } = this, u = this.noise.uniform(this.u);
    let best = -1, id = 0;
    for (let v = 0; v < V; v++) {
      if (row[v] < least || p[v] * (1 + 1e-6) <= best * u[v]) continue; // e >= u but for rounding: most logarithms are not needed
      const value = p[v] / exponential(u[v]);
      if (value > best) [best, id] = [value, v];
    }
    return id;
  }
}
