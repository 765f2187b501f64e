// What an engine is: whatever draws runs for the views. The model in this browser is one (browser.js), a server can be another.
// All methods are async, may be stopped by an AbortSignal, and fail with an Error of one readable sentence.

/**
 * @typedef {object} ModelInfo  what is known of a model before it is downloaded
 * @property {string} name
 * @property {number[]} patch_nums  sides of its token maps, from coarse to fine
 * @property {string[]} class_names
 * @property {string[]} class_groups  the group of each class; empty where there are none
 * @property {string[]} style_names  empty for a model without styles
 * @property {string[]} attentions  names of the kinds of attention that it can draw with
 * @property {number} size  side of its pictures in pixels
 * @property {number[]} near  of every class a like one of its group
 * @property {number} download_kb
 * @property {boolean} [stored]  whether it is here already, so that nothing need be downloaded
 */

/**
 * @typedef {object} Settings  what a run depends on. All but model and class may be left out: the model's own values stand in
 * @property {string} model
 * @property {number | string} class  number or name
 * @property {number | string | null} [style]  number or name; null, '' and 'any' are any
 * @property {number} [seed]  from 0 to 2^32 - 1; 0 where left out
 * @property {number} [guidance]
 * @property {number} [temperature]
 * @property {number} [top_k]
 * @property {number} [top_p]
 * @property {string} [attention]  'exact', 'poly-2' or 'landmark-M'
 * @property {Forced[]} [forced]  tokens that are given instead of drawn, one entry a scale
 */

/** @typedef {{ids: number[], where: boolean[]}} Forced  of one scale; ids count where `where` is true */

/**
 * @typedef {object} Scale  one scale of a run. Bytes are base64: colours (n, 3), image (size, size, 3), top_colours (n, 5, 3)
 * @property {number} side
 * @property {number[]} ids  token ids, row by row
 * @property {string} colours
 * @property {string} image  what the picture is after this scale
 * @property {[number, number, number]} seconds  attention, the rest of the transformer, decoder
 * @property {number} state  bytes of all attention states
 * @property {string} backend  the attention it was drawn with; 'none' in a picture taken apart
 * @property {number[]} [entropy]  nats; this and what follows is missing in a picture taken apart
 * @property {number[]} [probability]  of the token that is there
 * @property {number[][]} [top]  the five likeliest codes
 * @property {number[][]} [top_probability]
 * @property {string} [top_colours]
 */

/**
 * @typedef {object} Run  the JSON of var_mini/view/payload.py
 * @property {string} model
 * @property {string} subject
 * @property {object} settings  that reproduce it: model, label, style, seed, guidance, temperature, top_k, top_p, attention
 * @property {number[]} sides
 * @property {number} size
 * @property {number} codes
 * @property {number} layers
 * @property {number} heads
 * @property {number} tokens
 * @property {{threads?: number, device?: string}} [timed]  on what; for `conditionOf`
 * @property {Scale[]} scales
 */

/**
 * @typedef {object} AttentionRow  where one token looks, in one layer and head
 * @property {number[]} weights  over all tokens of its own and the coarser scales; they sum to 1
 * @property {number[]} dots  q . k with each of them
 * @property {number[]} logits  scale times dots
 * @property {number} scale  s, learned for the head
 * @property {number} level  which scale of the pyramid the token is on, from 0
 * @property {boolean} exact  whether these are softmax weights; false for poly and landmark
 * @property {number} [dim]  d; this and what follows is there where attention is exact
 * @property {Float32Array} [values]  (n, d), v of each of the n tokens
 * @property {Float32Array} [output]  (d,), the sum of weights times values
 */

/**
 * @typedef {object} Blocks  how much of its attention each scale gives to each, mean over its tokens
 * @property {number[]} shape  layers, heads, scales that look, scales that are looked at
 * @property {string} weights  uint16 in base64, where 65535 is all
 */

/** @typedef {{vector: number[], side: number, patch: Uint8Array}} Code  a code: its vector, and one cell (side, side, 3) of it */
/** @typedef {{codes: number[], colours: Uint8Array, images: Uint8Array[]}} Candidates  codes for a token, its
 * own first, with RGB of each and the picture that each makes */
/** @typedef {{scale: number, index: number}} Token */

/** @typedef {{onScale?: (scale: Scale, index: number, run: Run) => void, signal?: AbortSignal}} DrawOptions  `run` so far */
/** @typedef {{onProgress?: (share: number) => void, signal?: AbortSignal}} LoadOptions  share goes from 0 to 1 */
/** @typedef {{layer: number, head: number, token: number}} Place  token counts through the whole sequence, see `tokenNumber` */
/** @typedef {{width: number, height: number, data: ArrayLike<number>}} Picture  RGBA, as an ImageData has it */

/**
 * @typedef {object} Engine
 * @property {() => Promise<ModelInfo[]>} models
 * @property {(name: string, options?: LoadOptions) => Promise<{fast: boolean}>} load  makes a model ready
 *   `fast` is false where this browser lacks the WebAssembly that makes it fast
 * @property {(settings: Settings, options?: DrawOptions) => Promise<Run>} draw
 * @property {(settings: Settings, options?: DrawOptions) => Promise<Run>} edit
 *   `draw`, with tokens in settings.forced; see `forcedOutside`
 * @property {(run: Run, place: Place, options?: {signal?: AbortSignal}) => Promise<AttentionRow>} attention
 * @property {(run: Run, options?: {signal?: AbortSignal}) => Promise<Blocks>} [blocks]  a view leaves out what an engine lacks
 * @property {(run: Run, token: Token) => Promise<Code>} [code]
 * @property {(run: Run, token: Token) => Promise<Candidates>} [candidates]
 * @property {(model: string, picture: Picture, options?: {signal?: AbortSignal}) => Promise<Run>} tokenize
 *   takes a picture apart; the largest square in its middle, in the model's size
 * @property {() => void} close
 */

/** The number in the whole sequence of token `index` of scale `level`. */
export function tokenNumber(sides, level, index) {
  return sides.slice(0, level).reduce((sum, side) => sum + side * side, 0) + index;
}

/**
 * What `edit` is given so that a run is drawn anew inside a mask and stays as it is outside.
 * @param {Run} run
 * @param {boolean[]} mask  over the last token map, true where it is drawn anew. A coarser token is drawn anew where the mask
 *   covers at least half of its area
 * @returns {Forced[]}
 */
export function forcedOutside(run, mask) {
  const last = run.sides.at(-1);
  if (mask.length !== last * last || !mask.includes(true)) {
    throw new Error(`mask: must mark at least one of ${last * last} tokens.`);
  }
  return run.scales.map(({ side, ids }) => {
    const edges = (i) => [Math.floor((i * last) / side), Math.ceil(((i + 1) * last) / side)];
    const where = ids.map((_, token) => {
      const [top, bottom] = edges(Math.floor(token / side)), [left, right] = edges(token % side);
      let covered = 0;
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) covered += mask[y * last + x] ? 1 : 0;
      return covered / ((bottom - top) * (right - left)) < 0.5;
    });
    return { ids, where };
  });
}
