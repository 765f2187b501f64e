// What happens at the scale shown last, in one sentence.

import { milliseconds } from './format.js';
import { offset, totalSeconds } from './run.js';

// `preparing` is what stands there while the first scale is computed
export function caption({ run, shown, playing, computing, problem }, word, preparing) {
  if (problem) return problem;
  if (!run || !shown) return computing ? preparing : word('ready');
  const side = run.sides[shown - 1], values = { scale: shown, count: side * side, before: offset(run.sides, shown - 1), scales: run.sides.length,
    tokens: run.tokens, time: milliseconds(totalSeconds(run)) };
  if (shown === run.sides.length && !playing) return word(totalSeconds(run) > 0 ? 'caption_end' : 'caption_end_untimed', values);
  return word(shown === 1 ? 'caption_first' : 'caption', values);
}
