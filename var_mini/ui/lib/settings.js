// What a run depends on: { model, class, style, seed, guidance, temperature, top_k, top_p, attention }, and how a link says it.

import { MAX_SEED, RANGES } from '../engines/settings.js';

export { MAX_SEED };
export const NUMBERS = Object.keys(RANGES);
const OWN = ['class', 'style', ...NUMBERS, 'attention'];

// the settings that a model is first shown with: those of its recorded run, by its own sampling
export function defaults(model) {
  return { model: model.name, class: model.first.label, style: model.style_names.length ? model.first.style : null, seed: model.first.seed,
    ...model.sampling, attention: 'exact' };
}

// the record that the server keeps of a run <-> settings
export const toRecord = ({ class: label, style, ...rest }) => ({ ...rest, label, ...(style === null ? {} : { style }) });
export const fromRecord = ({ label, style = null, model, seed, guidance, temperature, top_k, top_p, attention = 'exact' }) =>
  ({ model, class: label, style, seed, guidance, temperature, top_k, top_p, attention });

export const same = (a, b) => a.model === b.model && OWN.every((name) => a[name] === b[name]);

export const toQuery = (settings) => new URLSearchParams(toRecord(settings)).toString();

// Settings of a link, null where it names none. Throws an Error that says in the words of `word` what is wrong with it.
export function fromQuery(query, models, word) {
  const given = new URLSearchParams(query);
  if (!given.has('model')) return null;
  const model = models.find((one) => one.name === given.get('model'));
  if (!model) throw new Error(word('link_choice', { name: word('model'), value: given.get('model').slice(0, 60), names: models.map((one) => one.name).join(', ') }));
  const settings = defaults(model);
  const read = (name, [from, to, whole]) => {
    const text = given.get(name), value = Number(text);
    if (!text || !(value >= from && value <= to) || (whole && !Number.isInteger(value))) {
      throw new Error(word(whole ? 'link_whole' : 'link_number', { name: word(name === 'label' ? 'class' : name), value: text.slice(0, 40), from, to }));
    }
    return value;
  };
  if (given.has('label')) settings.class = read('label', [0, model.class_names.length - 1, true]);
  if (given.has('style') && model.style_names.length) settings.style = read('style', [0, model.style_names.length, true]);
  for (const name of NUMBERS) if (given.has(name)) settings[name] = read(name, RANGES[name]);
  if (given.has('attention')) settings.attention = given.get('attention');
  return settings;
}

// what a chapter sets beside exact attention: the kinds that the model has, and the one that is chosen, or else the first
export const lowRanks = (model) => model.attentions.filter((spec) => spec !== 'exact' && spec !== 'auto');
export const lowRank = (model, { attention }) => (lowRanks(model).includes(attention) ? attention : lowRanks(model)[0]);

// a seed for another picture
export const otherSeed = (seed, random = Math.random) => {
  const next = Math.floor(random() * 10000);
  return next === seed ? next + 1 : next;
};
