// Chapters 4 to 7 on a page without a server. What the model in the browser can compute is computed; what was counted or measured
// when the project was made stands there with its recorded figures.

import { html, render, useEffect, useState } from '../vendor/preact-htm.js';
import { forcedOutside } from '../engines/engine.js';
import { title, wordsOf } from '../lib/format.js';
import { preset } from '../lib/mask.js';
import { whole } from '../lib/run.js';
import { lowRank } from '../lib/settings.js';
import { useStore } from '../lib/use.js';
import { Canvas } from '../parts/Canvas.js';
import { pixelsOf } from '../parts/Pyramid.js';
import { attentionName, Choice } from '../parts/Settings.js';
import { Shared, useSettings } from './Head.js';
import { Masks } from './Masks.js';
import { Ask, Chapter } from './Story.js';

const OWN = 'own'; // the pyramid of the model that the first screen shows

// how many tokens of two runs are the same
export const same = (one, other) => one.scales.reduce((sum, scale, k) => sum + scale.ids.filter((id, i) => id === other.scales[k].ids[i]).length, 0);

const imageOf = (run) => pixelsOf(run.scales.at(-1)).image;

// two pictures that are computed when asked for, forgotten when `about` changes; `compute()` gives { runs, ... }, `say` of that
// { captions, told }, in the language of the moment
function Pair({ about, start, compute, say, word, children }) {
  const [found, setFound] = useState(null), [busy, setBusy] = useState(false), [problem, setProblem] = useState('');
  useEffect(() => { setFound(null); setProblem(''); }, [about]);
  const work = async () => {
    setBusy(true);
    setProblem('');
    try { setFound({ about, ...await compute() }); } catch (error) { if (error.name !== 'AbortError') setProblem(String(error.message || error)); }
    setBusy(false);
  };
  const shown = found?.about === about ? { ...found, ...say(found) } : null;
  return html`${shown && html`<div class="vu-pair">${shown.runs.map((run, i) => html`<figure key=${i}><${Canvas} side=${run.size} rgb=${imageOf(run)} label=${shown.captions[i]} />
      <figcaption><b>${shown.captions[i]}</b></figcaption></figure>`)}</div>`}
    <div class="vu-say">${children}<button type="button" class="vu-button vu-primary" disabled=${busy} onclick=${work}>${word(start)}</button>
      <p class=${problem ? 'vu-problem' : ''} role="status">${busy ? word('waiting') : problem || (shown?.told ?? '')}</p></div>`;
}

function LowRank({ first, engine, all, word, measured }) {
  const { model, settings } = useStore(first.store), attention = lowRank(model, settings);
  const compute = async () => {
    const runs = [];
    for (const kind of ['exact', attention]) runs.push(await engine.draw({ ...settings, model: model.name, attention: kind }));
    return { runs };
  };
  const say = ({ runs }) => ({ captions: runs.map((run) => attentionName(word, run.settings.attention)), told: word('lowrank_alone_same', { same: same(...runs), all: runs[0].tokens }) });
  return html`<${Pair} about=${settings} start=${'lowrank_alone_start'} ...${{ compute, say, word }}><${Ask} name="lowrank" ...${{ all, word }} />
    ${measured.map((one) => html`<p key=${one.model} class="vu-soft">${word('lowrank_alone', { ...one, name: attentionName(word, one.attention) })}</p>`)}<//>`;
}

function Edit({ first, engine, word, named }) {
  const { run, models } = useStore(first.store);
  if (!whole(run)) return '';
  const compute = async () => {
    const forced = forcedOutside(run, preset('left', run.sides.at(-1)).map(Boolean)), seed = (run.settings.seed + 1) % 2 ** 32;
    const label = models.find(({ name }) => name === run.model).near[run.settings.label];
    const edited = await engine.edit({ ...run.settings, label, model: run.model, attention: 'exact', seed, forced });
    const drawn = forced.reduce((sum, { where }) => sum + where.filter((given) => !given).length, 0);
    return { runs: [run, edited], drawn };
  };
  const say = ({ runs, drawn }) => ({ captions: runs.map(({ subject, settings }, i) => word(i ? 'edit_alone_after' : 'edit_alone_before', { thing: named(subject), seed: settings.seed })),
    told: word('edit_alone_told', { drawn, all: run.tokens }) });
  return html`<${Pair} about=${run} start=${'edit_alone_start'} ...${{ compute, say, word }}><p>${word('edit_ask')}</p><p class="vu-soft">${word('edit_alone')}</p><//>`;
}

function Seen({ first, all, language, word, counted }) {
  const { model, settings } = useSettings(first.store), [pyramid, setPyramid] = useState(OWN);
  const shapes = Object.keys(counted.shapes).map((name) => [word('masks_published', { size: name.replace('var-', '') }), name]);
  const kinds = pyramid === OWN ? counted.models[model.name] : counted.shapes[pyramid];
  return html`<div class="vu-lead"><p>${word('masks_ask')}</p><p class="vu-try"><b>${word('try')}</b> ${word('masks_alone')}</p></div>
    <${Shared} store=${first.store} acts=${first.acts} wants=${['model', 'low_rank']} ...${{ word, all, language }} />
    <div class="vu-choosers"><${Choice} label=${word('masks_pyramid')} value=${pyramid} options=${[[word('masks_own'), OWN], ...shapes]} onChoose=${setPyramid} /></div>
    <${Masks} data=${kinds[lowRank(model, settings)]} word=${word} />`;
}

function Cost({ word, measured }) {
  return html`<div class="vu-say"><p>${word('cost_alone_ask')}</p><p class="vu-soft">${word('cost_alone', { ...measured, name: attentionName(word, measured.attention) })}</p></div>`;
}

function Alone({ first, engine, all, language, word, named, there, measured, counted }) {
  const part = { there, word };
  return html`<${Chapter} id="masks" ...${part}><${Seen} ...${{ first, all, language, word, counted }} /><//>
    <${Chapter} id="lowrank" ...${part}><${LowRank} ...${{ first, engine, all, word }} measured=${measured.lowrank} /><//>
    <${Chapter} id="cost" ...${part}><${Cost} word=${word} measured=${measured.cost} /><//>
    <${Chapter} id="edit" ...${part}><${Edit} ...${{ first, engine, word, named }} /><//>`;
}

// `measured`: { lowrank: [{ model, attention, error, same }], cost: { attention, processor, ... } }, as demo/live/figures.py reads them;
// `counted`: { models, shapes }, each name -> attention -> the numbers of masks and memory
export function mountAlone(root, first, { engine, all, language, there, measured, counted }) {
  const named = (name) => title(name, all.names, language);
  render(html`<${Alone} ...${{ first, engine, all, language, named, there, measured, counted }} word=${wordsOf(all, language)} />`, root);
}
