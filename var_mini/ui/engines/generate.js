// Drawing a picture scale by scale (arXiv 2404.02905, figure 4), and looking into a run afterwards. A run is the JSON that
// var_mini/view/payload.py writes, so that whoever shows it need not know where it was drawn.
import { attentionRow, exactWeights } from './attention.js';
import { landmarkWeights, polyWeights } from './lowrank.js';
import { Noise } from './noise.js';
import { Sampler, guide } from './sampling.js';

export const AT_ONCE = 32; // tokens whose logits are in memory together

/** Lets waiting messages through, a request to stop among them. */
const breath = () => new Promise((resolve) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => { port1.close(); port2.close(); resolve(); };
  port2.postMessage(null);
});

/**
 * Draws one run, one scale after another.
 *
 * @param {import('./model.js').Model} model
 * @param {ReturnType<typeof import('./settings.js').checked>} settings
 * @param {{signal?: AbortSignal, raw?: 'picture' | 'logits'}} [options]  `raw` keeps the picture, or the logits as well,
 *   as floats, for tests
 * @yields the record of each scale
 */
export async function* generate(model, settings, { signal, raw } = {}) {
  const { space, transformer, quantizer, decoder, config } = model, { pyramid } = config, V = config.tokenizer.vocab_size;
  const attention = model.attention(settings.attention), base = space.top, K = pyramid.sides.length;
  try {
    const conditions = [transformer.condition(settings.label, settings.style)];
    if (settings.guidance > 0) conditions.push(transformer.condition(null, null)); // told nothing, drawn beside it
    const states = conditions.map(() => transformer.newStates(attention));
    const sampler = new Sampler(V, new Noise(settings.seed), settings);
    const fHat = new Float32Array(pyramid.sides.at(-1) ** 2 * quantizer.z); // the picture so far, in features
    let picture; // the same in pixels, one after the other in the same place
    for (let k = 0; k < K; k++) {
      const n = pyramid.counts[k], mark = space.top, begin = performance.now();
      const read = transformer.step(k, k ? quantizer.seen(fHat, k) : null, conditions, states), inner = space.top;
      const keptLogits = raw === 'logits' ? new Float32Array(n * V) : null, drawn = [];
      for (let first = 0; first < n; first += AT_ONCE) { // noise is drawn token by token, in their order
        const count = Math.min(AT_ONCE, n - first), logits = transformer.logits(read, n, conditions.length, first, count);
        if (settings.guidance > 0) guide(logits, count * V, K > 1 ? (settings.guidance * k) / (K - 1) : 0); // grows with the scale
        keptLogits?.set(logits.subarray(0, count * V), first * V);
        for (let t = 0; t < count; t++) {
          const given = settings.forced?.[k].where[first + t] ? settings.forced[k].ids[first + t] : null;
          drawn.push(sampler.draw(logits.subarray(t * V, (t + 1) * V), given));
        }
        space.release(inner);
      }
      space.release(mark);
      quantizer.add(fHat, drawn.map((token) => token.id), k); // phi_k(bicubic(code[ids]))
      const middle = performance.now();
      picture = decoder.decode(fHat, pyramid.sides.at(-1), picture);
      const end = performance.now();
      const attended = transformer.attentionSeconds, all = (what) => states.flat().reduce((sum, state) => sum + state[what], 0);
      const record = {
        ...scaleRecord(model, k, drawn, picture),
        seconds: [attended, (middle - begin) / 1000 - attended, (end - middle) / 1000].map((s) => round(s, 6)),
        state: all('bytes'),
        backend: attention.name,
        fallbacks: all('fallbacks'),
      };
      if (raw) Object.assign(record, { logits: keptLogits, picture: picture.slice() });
      yield record;
      await breath();
      signal?.throwIfAborted();
    }
  } finally {
    space.release(base);
  }
}

/** Side of a model's pictures in pixels. */
export const pictureSize = ({ pyramid, tokenizer: t }) => pyramid.sides.at(-1) * t.stem * 2 ** (t.channel_mult.length - 1);

/** What every run says of itself, before its scales. */
export function runHead({ config }, settings, subject) {
  const { tokenizer: t, transformer: f, pyramid } = config;
  return {
    model: config.name,
    subject,
    settings,
    sides: [...pyramid.sides],
    size: pictureSize(config),
    codes: t.vocab_size,
    layers: f.depth,
    heads: f.heads,
    tokens: pyramid.tokens,
    timed: { threads: 1 },
    scales: [],
  };
}

/** A picture (colours, S, S) in [0, 1] taken apart: a run without probabilities, whose pictures add up to the reconstruction. */
export async function tokenize(model, picture, signal) {
  const { quantizer, decoder, encoder, config } = model, run = runHead(model, { model: config.name }, '');
  const f = encoder.encode(picture, run.size), side = config.pyramid.sides.at(-1);
  quantizer.quantize(f, (k, ids, fHat) => {
    const record = scaleRecord(model, k, ids.map((id) => ({ id })), decoder.decode(fHat, side));
    run.scales.push({ ...record, seconds: [0, 0, 0], state: 0, backend: 'none' });
  });
  await breath();
  signal?.throwIfAborted();
  return run;
}

/**
 * Queries, keys and values of a finished run, by its token ids: its pass told the class once more, so that drawing itself is not
 * slower. They are [layer][head] -> (tokens, d); `fell` is [layer][scale][head], true where a head was computed exactly instead.
 */
export async function replay(model, settings, ids, signal) {
  const { space, transformer, quantizer, config: { pyramid, transformer: { depth, heads, head_dim: d } } } = model;
  const attention = model.attention(settings.attention), base = space.top;
  const times = (count, value) => Array.from({ length: count }, value);
  const each = () => times(depth, () => times(heads, () => new Float32Array(pyramid.tokens * d)));
  const found = { attention, q: each(), k: each(), v: each(), fell: Array.from({ length: depth }, () => []) };
  try {
    const conditions = [transformer.condition(settings.label, settings.style)], states = [transformer.newStates(attention)];
    const fHat = new Float32Array(pyramid.sides.at(-1) ** 2 * quantizer.z);
    for (let k = 0; k < pyramid.sides.length; k++) {
      const n = pyramid.counts[k], mark = space.top;
      transformer.step(k, k ? quantizer.seen(fHat, k) : null, conditions, states, (layer, _, state, ...seen) => {
        const block = seen[0].length / heads, from = pyramid.starts[k] * d;
        for (let h = 0; h < heads; h++) {
          ['q', 'k', 'v'].forEach((name, i) => found[name][layer][h].set(seen[i].subarray(h * block, h * block + n * d), from));
        }
        found.fell[layer].push([...state.fell]);
      });
      space.release(mark);
      quantizer.add(fHat, ids[k], k);
      await breath();
      signal?.throwIfAborted();
    }
    return found;
  } finally {
    space.release(base);
  }
}

/** Weights of one token over all that it sees, in one layer and head of a replayed run, and what they come from. */
function look(model, found, { layer, head, token }) {
  const { pyramid, transformer: { head_dim: d } } = model.config;
  const level = pyramid.starts.findIndex((start) => start > token) - 1;
  const scale = model.transformer.blocks[layer].scale[head], end = pyramid.starts[level + 1];
  const q = found.q[layer][head].subarray(token * d, (token + 1) * d), keys = found.k[layer][head].subarray(0, end * d);
  const { method, landmarks } = found.attention, fell = Boolean(found.fell[layer][level][head]);
  let unnormalised = exactWeights(scale);
  if (method === 'poly' && !fell) unnormalised = polyWeights(scale);
  if (method === 'landmark' && !fell) {
    unnormalised = () => landmarkWeights(q, keys, model.transformer.landmarks[landmarks][layer][head], scale);
  }
  return { ...attentionRow(q, keys, unnormalised), scale, level, exact: method === 'exact' || fell };
}

/** Where one token looks in one layer and head, out of a replayed run. @returns {import('./engine.js').AttentionRow} */
export function rowOf(model, found, place) {
  const { dots, weights, scale, level, exact } = look(model, found, place), d = model.config.transformer.head_dim;
  const row = { weights: [...weights], dots: [...dots], logits: Array.from(dots, (dot) => scale * dot), scale, level, exact };
  if (!exact) return row;
  const values = found.v[place.layer][place.head].slice(0, weights.length * d), output = new Float32Array(d);
  for (let i = 0; i < d; i++) output[i] = weights.reduce((sum, weight, u) => sum + weight * values[u * d + i], 0);
  return { ...row, dim: d, values, output };
}

/** How much of its attention each scale gives to each, mean over its tokens. @returns {Promise<import('./engine.js').Blocks>} */
export async function blocksOf(model, found, signal) {
  const { pyramid: { starts, counts }, transformer: { depth, heads } } = model.config, K = counts.length;
  const shares = new Uint16Array(depth * heads * K * K);
  for (let place = 0; place < depth * heads; place++) {
    const layer = Math.floor(place / heads), mass = new Float64Array(K * K);
    for (let token = 0; token < starts[K]; token++) {
      const { weights, level } = look(model, found, { layer, head: place % heads, token });
      for (let k = 0; k <= level; k++) for (let u = starts[k]; u < starts[k + 1]; u++) mass[level * K + k] += weights[u] / counts[level];
    }
    shares.set(mass.map((value) => Math.round(65535 * Math.min(1, Math.max(0, value)))), place * K * K);
    await breath();
    signal?.throwIfAborted();
  }
  return { shape: [depth, heads, K, K], weights: base64(new Uint8Array(shares.buffer)) };
}

function scaleRecord(model, k, drawn, picture) {
  const ids = drawn.map((token) => token.id), record = { side: model.config.pyramid.sides[k], ids };
  record.colours = base64(colours(model, ids));
  record.image = base64(pixels(picture, model.config.tokenizer.image_channels));
  if (drawn[0].top) {
    record.entropy = drawn.map((token) => round(token.entropy, 4));
    record.probability = drawn.map((token) => round(token.probability, 4));
    record.top = drawn.map((token) => token.top);
    record.top_probability = drawn.map((token) => token.topProbability.map((p) => round(p, 4)));
    record.top_colours = base64(colours(model, record.top.flat()));
  }
  return record;
}

/** RGB of codes, one after the other, as token maps show them. */
export function colours({ colours: table }, ids) {
  const bytes = new Uint8Array(3 * ids.length);
  ids.forEach((id, i) => bytes.set(table.subarray(3 * id, 3 * id + 3), 3 * i));
  return bytes;
}

/** (colours, S, S) in [0, 1] -> bytes (S, S, 3); grey becomes three equal colours. */
export function pixels(picture, channels) {
  const area = picture.length / channels, bytes = new Uint8Array(3 * area);
  for (let p = 0; p < area; p++) {
    for (let c = 0; c < 3; c++) bytes[3 * p + c] = Math.round(picture[(channels === 1 ? 0 : c) * area + p] * 255);
  }
  return bytes;
}

function base64(bytes) {
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode.apply(null, bytes.subarray(i, i + 8192));
  return btoa(text);
}

const round = (value, digits) => Math.round(value * 10 ** digits) / 10 ** digits;
