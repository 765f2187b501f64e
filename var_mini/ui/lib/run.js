// Geometry and numbers of a run, the JSON that var_mini/view/payload.py makes. Nothing of a browser but atob.

export function bytes(text) {
  const letters = atob(text), found = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) found[i] = letters.charCodeAt(i);
  return found;
}

// number of the first token of a scale among all tokens of a run
export const offset = (sides, scale) => sides.slice(0, scale).reduce((n, side) => n + side * side, 0);

// token number among all -> { scale, index }
export function locate(sides, key) {
  let scale = 0;
  while (key >= sides[scale] ** 2) key -= sides[scale++] ** 2;
  return { scale, index: key };
}

// the square of a token in its map, as shares of the map's side
export function area(side, index) {
  return { left: (index % side) / side, top: Math.floor(index / side) / side, size: 1 / side };
}

// the token of a map of `side` that lies under a point, given as shares of the map
export function tokenAt(side, x, y) {
  const place = (share) => Math.max(0, Math.min(side - 1, Math.floor(share * side)));
  return place(y) * side + place(x);
}

// the token one step away by an arrow key, or null for another key
export function moved(side, index, key) {
  const y = Math.floor(index / side), x = index % side;
  const to = { ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1], ArrowUp: [y - 1, x], ArrowDown: [y + 1, x], Home: [y, 0], End: [y, side - 1] }[key];
  if (!to) return null;
  const inside = (v) => Math.max(0, Math.min(side - 1, v));
  return inside(to[0]) * side + inside(to[1]);
}

// sums of a token's attention weights over its own and every coarser map
export function masses(sides, weights) {
  const sums = [];
  for (let scale = 0, start = 0; scale < sides.length && start < weights.length; start += sides[scale++] ** 2) {
    let sum = 0;
    for (let i = start; i < start + sides[scale] ** 2; i++) sum += weights[i];
    sums.push(sum);
  }
  return sums;
}

// keys with the largest weights, largest first
export function strongest(weights, count) {
  return Array.from(weights, (weight, key) => ({ key, weight })).sort((a, b) => b.weight - a.weight).slice(0, count);
}

export const secondsOf = (scale) => scale.seconds.reduce((a, b) => a + b, 0);
export const totalSeconds = (run) => run.scales.reduce((sum, scale) => sum + secondsOf(scale), 0);
export const whole = (run) => Boolean(run) && run.scales.length === run.sides.length;
export const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// pixel by pixel: what a scale changed in the picture, grey where nothing changed
export function added(now, before) {
  return now.map((value, i) => 128 + Math.max(-128, Math.min(127, before ? value - before[i] : value - 128)));
}

// whether two of them show the same; whether `run` has all that `earlier` had, so that it is more of it
const told = (run, scales) => JSON.stringify([run.model, run.settings, run.note, run.scales.slice(0, scales).map(({ ids, given }) => [ids, given])]);
export const equal = (a, b) => Boolean(a) && a.scales.length === b.scales.length && told(a) === told(b);
export const continues = (earlier, run) => Boolean(earlier) && earlier.scales.length <= run.scales.length
  && told({ ...earlier, note: run.note }) === told(run, earlier.scales.length);
