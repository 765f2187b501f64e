// The experiments on limits without a page: recorded curves (var_mini/theory/curves.py), what is drawn of them, what fills their sentences.

import { percent, short } from './format.js';

// Of each: its paper on arXiv; its curves, in the order of their colours; those that are lines to compare with; its axes,
// of which x has the symbol that its slider explains.
// What is recorded beyond the curves fills sentences alone.
export const KINDS = {
  bound: { paper: '2501.04377', curves: ['2', '4', '6'], x: { label: 'R' }, y: { log: true } },
  depth: { paper: '2501.04299', curves: ['head', 'tree', 'chain'], x: { label: 'n', log: true }, y: { log: true } },
  norm: { paper: '2406.03136', curves: ['2', '4', '6'], x: { label: 'Γ' }, y: { log: true } },
  order: { paper: '2310.04064', curves: ['2', '3', '4'], x: { label: 'B' }, y: { log: true } },
  series: { paper: '2412.06061', curves: ['head', 'zero', 'linear'], compared: ['zero', 'linear'], x: { label: 'v' }, y: { from: 0 } },
  coupling: { paper: '2410.11279', curves: ['1', '2', '3', 'alone'], compared: ['alone'], x: { label: 'c' }, y: { from: 0 } },
};

const roots = (value) => Number(value.toFixed(3));
const shown = (value) => (Number.isInteger(value) ? String(value) : short(value)); // what is counted has all of its digits

// What fills the braces of an experiment's sentences at one of its places: {at}, the place; {value_NAME} of every series; {mark}, {mark_NAME};
// and its facts. A share is told in percent.
export function facts(name, data, i) {
  const told = { at: roots(data.places[i]) };
  for (const [series, values] of Object.entries(data.series)) told[`value_${series}`] = series === 'same' ? percent(values[i]) : shown(values[i]);
  for (const { series, at } of data.marks) told[series === null ? 'mark' : `mark_${series}`] = roots(at);
  for (const [fact, value] of Object.entries(data.facts)) {
    if (typeof value !== 'object') told[fact] = value;
    else for (const [series, share] of Object.entries(value)) told[`${fact}_${series}`] = percent(share);
  }
  return told;
}

// the series and marks of a chart; `named(series)` and `marked(series)` give their texts
export function chartOf(name, data, named, marked) {
  const { curves, compared = [] } = KINDS[name];
  return {
    series: curves.map((one, style) => ({ name: named(one), style, dashed: compared.includes(one), markers: !compared.includes(one), points: data.places.map((place, i) => [place, data.series[one][i]]) })),
    marks: data.marks.map(({ series, at }) => ({ x: at, label: marked(series), ...(series === null ? {} : { style: curves.indexOf(series) }) })),
  };
}
