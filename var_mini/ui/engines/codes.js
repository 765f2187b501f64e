// What a code means: its vector, what it looks like, and what becomes of a picture in which another one stands in its place.
import { colours, pixels } from './generate.js';

const NEAR = 8, FAR = 4; // other codes that are offered: the nearest of the code book and the farthest
const last = (list) => list[list.length - 1];

/** The vector of a code, and one cell, `side` pixels wide, of the picture that a last map full of it makes. */
export function meaningOf({ quantizer, decoder, config }, code) {
  const { sides } = config.pyramid, full = last(sides), fHat = new Float32Array(full * full * quantizer.z);
  quantizer.add(fHat, Array(full * full).fill(code), sides.length - 1);
  const bytes = pixels(decoder.decode(fHat, full), config.tokenizer.image_channels), size = Math.sqrt(bytes.length / 3);
  const side = size / full, begin = Math.floor(full / 2) * side, patch = new Uint8Array(3 * side * side);
  for (let y = 0; y < side; y++) {
    const row = 3 * ((begin + y) * size + begin);
    patch.set(bytes.subarray(row, row + 3 * side), 3 * y * side);
  }
  return { vector: [...quantizer.code(code)], side, patch };
}

/** All codes but this one by their distance from it, nearest first. */
export function neighbours({ codes, V, z }, code) {
  const distance = Float64Array.from({ length: V }, (_, v) => {
    let squares = 0;
    for (let i = 0; i < z; i++) squares += (codes[v * z + i] - codes[code * z + i]) ** 2;
    return squares;
  });
  return Array.from({ length: V }, (_, v) => v).filter((v) => v !== code).sort((a, b) => distance[a] - distance[b] || a - b);
}

/**
 * Codes for one token, its own first, the colour of each, and the whole picture with each of them as bytes. Pictures are decoded from sums, so only
 * what the token's own scale adds is computed anew.
 * @param {number[][]} ids  of every scale
 */
export function othersFor(model, ids, { scale, index }) {
  const { quantizer, decoder, config } = model, side = last(config.pyramid.sides), own = ids[scale][index], order = neighbours(quantizer, own);
  const codes = [own, ...order.slice(0, NEAR), ...order.slice(Math.max(NEAR, order.length - FAR))];
  const rest = new Float32Array(side * side * quantizer.z);
  ids.forEach((map, k) => { if (k !== scale) quantizer.add(rest, map, k); });
  const images = codes.map((code) => {
    const fHat = rest.slice(), map = [...ids[scale]];
    map[index] = code;
    quantizer.add(fHat, map, scale);
    return pixels(decoder.decode(fHat, side), config.tokenizer.image_channels);
  });
  return { codes, colours: colours(model, codes), images };
}
