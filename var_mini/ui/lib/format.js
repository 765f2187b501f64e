// Texts and numbers as they are shown.

export const fill = (text, values = {}) => text.replace(/\{(\w+)\}/g, (whole, key) => (key in values ? values[key] : whole));

// A share of 1 in percent; nothing that is there is shown as nothing.
export const percent = (share) => (share > 0 && share < 0.001 ? '< 0.1' : (100 * share).toFixed(share >= 0.0995 ? 0 : 1)) + ' %';

export const milliseconds = (seconds) => (seconds >= 0.1 ? (1000 * seconds).toFixed(0) : (1000 * seconds).toFixed(1));

export const megabytes = ({ download_kb: kb }) => (kb / 1000).toFixed(1);

export const signed = (value, digits = 2) => (value < 0 ? '\u2212' : '') + Math.abs(value).toFixed(digits);

const RAISED = { '-': '\u207b', 0: '\u2070', 1: '\u00b9', 2: '\u00b2', 3: '\u00b3', 4: '\u2074', 5: '\u2075', 6: '\u2076', 7: '\u2077', 8: '\u2078', 9: '\u2079' };

// a power of ten, and a number from 0 on with two digits, as a power where zeros would have to be counted
export const power = (exponent) => `10${[...String(exponent)].map((c) => RAISED[c]).join('')}`;

export function short(value) {
  if (value === 0 || (value >= 0.001 && value < 1000)) return String(Number(value.toPrecision(2)));
  const [digits, exponent] = value.toExponential(1).split('e');
  return `${digits}\u2009\u00d7\u2009${power(Number(exponent))}`;
}

const GROUPED = new Intl.NumberFormat('en-US', { maximumFractionDigits: 6 }); // made once: toLocaleString would make one for each value

// a value on an axis or in a table: three digits that count and all before the point, as a power where there would be many zeros
export function number(value) {
  if (value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e9)) {
    return GROUPED.format(Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3))).replace('-', '\u2212');
  }
  const [digits, exponent] = Number(value.toPrecision(3)).toExponential().split('e');
  return `${digits === '1' ? '' : `${digits.replace('-', '\u2212')}\u2009\u00d7\u2009`}${power(Number(exponent))}`;
}

// The texts of one language out of { name: { en, zh } }; `word(name, values)` fills the braces.
export function wordsOf(all, language) {
  return (name, values) => {
    if (!all[name]) throw new Error(`words.json has no ${name}`);
    return fill(all[name][language] ?? all[name].en, values);
  };
}

// The texts with the names of all things, which stand apart and are read for whoever needs them; without them a thing keeps its English name.
export async function withNames(all, language, read) {
  if (language === 'en') return all;
  const shown = await read(`names/${language}.json`).catch(() => ({}));
  const names = Object.fromEntries(Object.entries(shown).map(([name, text]) => [name, { [language]: text }]));
  return { ...all, names: { ...names, ...all.names } };
}

// A name of the data set as a reader writes it: 'red-heart' -> 'red heart'. `names` translates those that it has.
export function title(name, names, language) {
  return names[name]?.[language] ?? name.replaceAll('-', ' ');
}
