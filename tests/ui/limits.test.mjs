// The recorded curves on limits without a page: what fills the sentences, what is drawn.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { power, short, wordsOf } from '../../var_mini/ui/lib/format.js';
import { chartOf, facts, KINDS } from '../../var_mini/ui/lib/limits.js';

const read = (path) => JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url)));
const DATA = read('assets/results/limits-curves.json'), WORDS = read('var_mini/ui/words.json');

test('every experiment that is recorded has a chapter, with a paper, all of its curves and a place to begin', () => {
  assert.deepEqual(Object.keys(KINDS).sort(), Object.keys(DATA).sort());
  for (const [name, { paper, curves, compared = [] }] of Object.entries(KINDS)) {
    assert.match(paper, /^\d{4}\.\d{5}$/);
    assert.deepEqual([...curves, ...(name === 'bound' ? ['same'] : [])].sort(), Object.keys(DATA[name].series).sort());
    assert.ok(compared.every((one) => curves.includes(one)) && DATA[name].places.includes(DATA[name].start));
    for (const values of Object.values(DATA[name].series)) assert.equal(values.length, DATA[name].places.length);
  }
});

test('every sentence of an experiment is filled at each of its places, in both languages', () => {
  for (const [name, data] of Object.entries(DATA)) {
    for (const language of ['en', 'zh']) {
      const word = wordsOf(WORDS, language);
      data.places.forEach((_, i) => {
        const told = facts(name, data, i);
        for (const part of ['title', 'short', 'here', 'claim', 'slider', 'error', 'seen', 'not']) assert.doesNotMatch(word(`limits_${name}_${part}`, told), /[{}]|undefined|NaN/, `${name} ${part}`);
      });
      const named = (part, series) => (WORDS[`limits_${name}_${part}_${series}`] ? word(`limits_${name}_${part}_${series}`, facts(name, data, 0)) : word(`limits_${name}_${part}`, { series }));
      const names = KINDS[name].curves.map((series) => named('curve', series));
      assert.equal(new Set(names).size, names.length);
      [...names, ...data.marks.map(({ series }) => named('mark', series ?? 'all'))].forEach((text) => assert.doesNotMatch(text, /[{}]|undefined/));
    }
  }
});

test('numbers of a place are those recorded there; shares are told in percent', () => {
  const data = { places: [0.5, 1], start: 1, series: { 2: [0.01, 1.17e-13], alone: [128, 256], same: [1, 0.25] }, marks: [{ series: null, at: 2.0393 }, { series: '3', at: 1.35 }],
    facts: { side: 8, multiplications: { 2: 0.125 } } };
  assert.deepEqual(facts('bound', data, 1), { at: 1, value_2: '1.2\u2009\u00d7\u200910\u207b\u00b9\u00b3', value_alone: '256', value_same: '25 %', mark: 2.039, mark_3: 1.35, side: 8, multiplications_2: '13 %' });
});

test('a chart has the recorded points, and lines to compare with have no markers', () => {
  const { series, marks } = chartOf('coupling', DATA.coupling, (one) => `curve ${one}`, () => 'radius');
  assert.deepEqual(series.map(({ name, dashed, markers }) => [name, dashed, markers]), [['curve 1', false, true], ['curve 2', false, true], ['curve 3', false, true], ['curve alone', true, false]]);
  assert.deepEqual(series[0].points, DATA.coupling.places.map((place, i) => [place, DATA.coupling.series[1][i]]));
  assert.deepEqual(marks, [{ x: DATA.coupling.marks[0].at, label: 'radius' }]);
  assert.deepEqual(chartOf('order', DATA.order, String, String).marks.map(({ style }) => style), [0, 1, 2]);
});

test('numbers of every size are short', () => {
  assert.deepEqual([0, 0.0451, 3.81, 0.001, 250, 1.17e-13, 1234].map(short), ['0', '0.045', '3.8', '0.001', '250', '1.2\u2009\u00d7\u200910\u207b\u00b9\u00b3', '1.2\u2009\u00d7\u200910\u00b3']);
  assert.equal(power(-10), '10\u207b\u00b9\u2070');
});
