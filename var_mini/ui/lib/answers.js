// The answers about a run that a server or a kernel gives (var_mini/view/questions.py), as an engine gives them.

import { bytes } from './run.js';

// Throws an Error of what the server says instead of an answer.
export async function answered(asked) {
  const answer = await asked;
  if (answer.error) throw new Error(answer.error);
  return answer;
}

export const floats = (text) => new Float32Array(bytes(text).buffer);

// one token's attention on scale `level`; beyond the weights there is more only where attention is exact
export function attentionOf(answer, level) {
  const exact = Boolean(answer.logits), logits = exact ? floats(answer.logits) : [];
  return { weights: floats(answer.weights), logits, dots: Array.from(logits, (value) => value / answer.scale), scale: answer.scale, level, exact,
    ...(exact ? { dim: answer.dim, values: floats(answer.values), output: floats(answer.output) } : {}) };
}

export const codeOf = ({ vector, side, patch }) => ({ vector: Array.from(floats(vector)), side, patch: bytes(patch) });
