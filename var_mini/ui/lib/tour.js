// The guided tour without a page: what is remembered of it, and how far one has come. `steps` are { name, chapter, target, right }.

export const KEY = 'var-mini-tour'; // in localStorage
export const ANSWERS = ['a', 'b', 'c'];

// { open, step, answers: step's name -> index of an answer } out of what is stored. Anybody may have written that: whatever is wrong is left out.
export function restored(text, steps) {
  const state = { open: false, step: 0, answers: {} };
  let saved = null;
  try { saved = Object(JSON.parse(text)); } catch { return state; }
  const index = (value, most) => Number.isInteger(value) && value >= 0 && value <= most;
  if (index(saved.step, steps.length)) state.step = saved.step; // the last one is the end
  for (const { name } of steps) {
    const answer = Object(saved.answers)[name];
    if (index(answer, ANSWERS.length - 1)) state.answers[name] = answer;
  }
  return { ...state, open: saved.open === true };
}

export const stored = ({ open, step, answers }) => JSON.stringify({ open, step, answers });

export const clamped = (step, steps) => Math.max(0, Math.min(step, steps.length));

// what fills the score
export const scoreOf = ({ answers }, steps) => ({ right: steps.filter(({ name, right }) => answers[name] === right).length, answered: Object.keys(answers).length, steps: steps.length });

// what fills the place
export const placeOf = ({ step }, steps) => ({ step: Math.min(step + 1, steps.length), steps: steps.length });

export const begun = ({ step, answers }) => step > 0 || Object.keys(answers).length > 0;
