// The experiments on limits without a page: what is asked and kept, what fills their sentences, where their points stand.

import { percent, short } from './format.js';

// Of each: its paper on arXiv; of those with a chart also the error that is drawn, from and to which power of ten, and another
// number by degree.
export const KINDS = {
  bound: { paper: '2501.04377', error: 'logits', powers: [-14, 1], extra: (row) => percent(row.same_tokens) },
  norm: { paper: '2406.03136', error: 'relative_error', powers: [-15, 1], extra: (row, answer) => percent(row.multiplications / answer.explicit_multiplications) },
  order: { paper: '2310.04064', error: 'relative_error', powers: [-3, 0], extra: (row) => String(row.features) },
  dimension: { paper: '2410.11279' },
};

// One question at a time: while the server computes, of the places that a slider passes only the last is remembered.
// `tell({ answers, last, problem })` after each answer; answers are kept, by value. `last` is the place to be shown.
export function createExperiment(ask, tell) {
  const answers = new Map();
  let current = null, wanted = null, asking = false, last = null;
  async function work() {
    asking = true;
    while (wanted !== null) {
      const value = wanted;
      let problem = '';
      wanted = null;
      try {
        answers.set(value, await ask(value));
        last = value;
      } catch (error) { problem = String(error.message || error); }
      if (answers.has(current)) { // the slider has come back to it, or never left
        wanted = null;
        last = current;
        problem = '';
      }
      tell({ answers, last, problem });
    }
    asking = false;
  }
  return {
    async want(value) {
      current = value;
      wanted = answers.has(value) ? null : value;
      if (wanted === null) {
        last = value;
        tell({ answers, last, problem: '' });
      } else if (!asking) await work();
    },
  };
}

// what fills the braces of an experiment's sentences
export function facts(name, answer) {
  const value = answer[name];
  if (name === 'dimension') {
    const [first, second, third] = answer.coupled;
    return { value, starts: answer.starts, found: answer.found, expected: answer.expected, coupling: answer.coupling, radius: answer.radius.toFixed(3), first, second, third };
  }
  const { error, extra } = KINDS[name], low = answer.rows[0], high = answer.rows.at(-1);
  const told = { value, low: short(low[error]), high: short(high[error]), low_degree: low.degree, high_degree: high.degree, low_extra: extra(low, answer), high_extra: extra(high, answer) };
  if (name === 'bound') return { ...told, side: answer.side, root: answer.sqrt_log_tokens.toFixed(2) };
  if (name === 'norm') return { ...told, length: answer.length };
  return { ...told, tokens: answer.tokens, entries: answer.entries, largest: short(answer.largest_logit), terms: answer.terms };
}

// -- the chart: shares of its width from the left, and of its height from below

export const across = ({ low, high }, value) => (value - low) / (high - low);

export function up([floor, top], error) {
  const power = Math.log10(Math.max(error, 10 ** floor)); // a zero stands on the floor
  return Math.min(1, (power - floor) / (top - floor));
}

// of every degree its points, { value, x, y } from left to right, as far as answers are there
export function curves(name, slider, answers) {
  const { error, powers } = KINDS[name], found = [...answers.values()].sort((a, b) => a[name] - b[name]);
  return (found[0]?.rows ?? []).map(({ degree }, i) => ({
    degree, points: found.map((answer) => ({ value: answer[name], x: across(slider, answer[name]), y: up(powers, answer.rows[i][error]) })),
  }));
}

// whole numbers on an axis: all of few, every fifth of many
export function ticks(low, high) {
  const step = high - low > 6 ? 5 : 1, first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step) + 1 }, (_, i) => first + i * step);
}

// 2^d squares as near to a square as they come
export const grid = (d) => ({ columns: 2 ** Math.ceil(d / 2), rows: 2 ** Math.floor(d / 2) });
