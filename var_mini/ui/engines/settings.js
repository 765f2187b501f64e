// What a caller may ask for, checked: whatever comes from a form or a link ends in sound settings, or in one readable sentence.

export const MAX_SEED = 2 ** 32 - 1;
export const RANGES = { // as in var_mini/config.py
  seed: [0, MAX_SEED, true],
  guidance: [0, 100, false],
  temperature: [0.01, 10, false],
  top_k: [0, 2 ** 31 - 1, true],
  top_p: [0, 1, false],
};

const SHORT = { poly: 'poly-2', landmark: 'landmark-64' }; // as in var_mini/attention/spec.py

/** A number, or a text that is one, inside its range. */
export function number(name, given, [low, high, whole]) {
  const value = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
  if (typeof value !== 'number' || !(value >= low && value <= high) || (whole && !Number.isInteger(value))) {
    throw new Error(`${name} = ${shown(given)}: must be a ${whole ? 'whole ' : ''}number from ${low} to ${high}.`);
  }
  return value;
}

/** The index that a name or a number means; null, undefined and an empty text mean none. */
export function choice(name, given, names, count) {
  if (given === null || given === undefined || given === '') return null;
  const named = names.indexOf(given);
  return named >= 0 ? named : number(name, given, [0, count - 1, true]);
}

/**
 * Settings of a run as `generate` takes them and as the run records them. What is not given is the model's own.
 * @param {object} config  of the model
 * @param {import('./engine.js').Settings} given
 */
export function checked(config, given) {
  const { transformer: t, sampling, class_names: classes, style_names: styles } = config, settings = { model: config.name };
  settings.label = choice('class', given.class ?? given.label, classes, t.num_classes);
  if (settings.label === null) throw new Error(`class = nothing: must be one of the model's ${t.num_classes} classes.`);
  if (t.num_styles) {
    settings.style = choice('style', given.style === 'any' ? null : given.style, styles, t.num_styles + 1) ?? t.num_styles;
  } else if (given.style !== undefined && given.style !== null && given.style !== '') {
    throw new Error(`style = ${shown(given.style)}: ${config.name} has no styles.`);
  }
  for (const [name, range] of Object.entries(RANGES)) settings[name] = number(name, given[name] === undefined ? sampling[name] ?? 0 : given[name], range);
  settings.attention = SHORT[given.attention] ?? given.attention ?? 'exact';
  return settings;
}

/** Tokens that are given instead of drawn: a list of ids and which of them count, for every scale. */
export function checkedForced(config, forced) {
  if (forced === undefined || forced === null) return null;
  const { pyramid: { counts }, tokenizer: { vocab_size: V } } = config;
  const fits = Array.isArray(forced) && forced.length === counts.length
    && forced.every((scale, k) => scale?.ids?.length === counts[k] && scale?.where?.length === counts[k]);
  if (!fits) throw new Error(`forced: must hold ids and where of every scale, ${counts.join(', ')} of them.`);
  for (const { ids } of forced) for (const id of ids) number('forced id', id, [0, V - 1, true]);
  return forced;
}

/** What a run draws, in words: its class, and its style where one was asked for. */
export function subject(config, { label, style }) {
  const name = config.class_names[label], named = config.style_names[style];
  return named === undefined ? name : `${name} (${named})`;
}

export const shown = (value) => (JSON.stringify(value) ?? String(value)).slice(0, 60);
