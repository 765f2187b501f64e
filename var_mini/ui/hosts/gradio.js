// The first screen on the Gradio page: it stands there before Gradio does, and is linked to it as soon as its bridge is made.

import { fromQuery, lowRank, toRecord } from '../lib/settings.js';
import { answered } from '../lib/answers.js';
import { broken } from '../lib/broken.js';
import { title, withNames, wordsOf } from '../lib/format.js';
import { reveal } from '../lib/reveal.js';
import { followAddress } from '../lib/address.js';
import { STORY } from '../lib/story.js';
import { gradioEngine } from '../engines/gradio.js';
import { mountContents } from '../views/Contents.js';
import { mountExplorer } from '../views/Explorer.js';
import { mount } from '../views/First.js';
import { mountCost } from '../views/Cost.js';
import { mountHead } from '../views/Head.js';
import { mountLimits } from '../views/Limits.js';
import { mountNumbers } from '../views/Numbers.js';
import { mountFoot, mountStory } from '../views/Story.js';
import { drawCharts } from './charts.js';

const base = new URL('../', import.meta.url);
const engine = gradioEngine(base);
const language = navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
const LINKS = { paper: 'https://arxiv.org/abs/2404.02905', lowrank: 'https://arxiv.org/abs/2501.04377', licences: new URL('data/licences.txt', base).href };
// where results stand that say, as demo/stale.py writes it, which settings they are of; those of low rank are of the kind set beside the exact one
const RESULTS = ['vm-compare', 'vm-gallery', 'vm-lowrank-compare', 'vm-lowrank-heat', 'vm-lowrank-limits', 'vm-edit-result'];
const PLACES = [...STORY, 'tour', 'tokenize', 'numbers']; // what demo/app.py builds, in its order
const NEAR = '50%'; // of the window's height: so far above and below it a chapter counts as seen
const KEPT_S = 365 * 24 * 3600; // how long a chosen language is remembered

const kept = (query) => [...new URLSearchParams(location.search)].filter(([name]) => name.startsWith('__')).forEach(([name, value]) => query.set(name, value));

// the address reproduces the run that is shown; a recorded run or a file leaves it alone
function told(run) {
  if (run.recorded || run.opened || !run.settings.model) return;
  const query = new URLSearchParams(run.settings);
  kept(query);
  history.replaceState(history.state, '', `?${query}${location.hash}`);
}

function languages(code) {
  document.cookie = `vm_language=${code}; path=/; max-age=${KEPT_S}; samesite=lax`;
  location.reload();
}

const sheets = (model, style, kind) => new URL(`data/${kind}.webp?model=${encodeURIComponent(model.name)}&style=${style ?? 0}`, base).href;

const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;

const recordOf = ({ model, settings }, low) => toRecord(low ? { ...settings, attention: lowRank(model, settings) } : settings);

// Marks results further down that are of other settings than the first screen has now. `renewed` is told that one was replaced.
function createJudge(store, text) {
  const judge = (id) => {
    const result = document.getElementById(id), told = result?.querySelector('[data-settings]');
    if (!told) return;
    const now = recordOf(store.get(), id.startsWith('vm-lowrank'));
    const other = Object.entries(JSON.parse(told.dataset.settings)).some(([name, value]) => (now[name] ?? null) !== value);
    if (other) Object.assign(result.dataset, { stale: text, other: '' });
    else if ('other' in result.dataset) { delete result.dataset.stale; delete result.dataset.other; } // what a control of its own marked stays
  };
  let last = store.get().settings;
  store.subscribe(({ settings }) => {
    if (settings === last) return;
    last = settings;
    RESULTS.forEach(judge);
  });
  return (id) => {
    const { dataset } = document.getElementById(id);
    delete dataset.stale;
    delete dataset.other;
    judge(id);
  };
}

// the page is there, though its first run may still be drawn
const made = (async () => {
  const [{ model, models: offered, raster: measured }, all] = await Promise.all([engine.start(),
    engine.read('words.json').then((words) => withNames(words, language, engine.read))]);
  const models = offered.map((one) => ({ ...one, shown: one.shown[language] })), word = wordsOf(all, language);
  const first = mount(document.getElementById('vm-first'), { engine, models, model, all, language, languages, sheets, links: LINKS, told, calm });
  mountContents(document.getElementById('vm-contents'), { all, language, there: PLACES });
  mountStory(document.getElementById('vm-story'), first, { engine, all, language, calm, there: PLACES, measured });
  let asked = null, problem = '';
  try { asked = fromQuery(location.search, models, word); } catch (error) { problem = error.message; }
  window.varMini = { run: first.run, record: () => recordOf(first.store.get()), named: (name) => title(name, all.names, language), store: first.store, acts: first.acts,
    renewed: createJudge(first.store, word('stale_result')), failed: () => engine.failed(word('failed')) };
  followAddress();
  return { first, asked, problem };
})();
made.catch((error) => broken(document.getElementById('vm-first'), error));
const ready = made.then(async ({ first, asked, problem }) => {
  await first.begin(asked);
  if (problem) first.store.set({ problem });
  return first;
});

// called by the bridge
export async function connect(component) {
  engine.connect(component, async (run) => (await ready).acts.put(run));
}

// A chapter that Gradio makes: its head. While the chapter is in sight, or nearly, the component's value is the record of the settings that
// the chapter works on, so that a listener with this component among its inputs is given them; out of sight nobody asks, and a draw need not
// wait until Gradio has passed them to every chapter. `tell` is called when one of the settings that the chapter `follows` has changed.
export async function chapter(element, props, tell) {
  const { store, acts, all } = (await made).first, { name, wants, follows } = props;
  let last = null, told = null, seen = false;
  mountHead(element.querySelector('.vu'), { store, acts }, { name, wants, all, language });
  const look = () => {
    if (!seen) return;
    const state = store.get();
    if (state.settings !== last) props.value = recordOf(state, wants.includes('low_rank'));
    last = state.settings;
    const followed = JSON.stringify(follows.map((one) => props.value[one]));
    if (followed === told) return;
    told = followed;
    tell();
  };
  store.subscribe(look);
  new IntersectionObserver((entries) => { seen = entries.at(-1).isIntersecting; look(); }, { rootMargin: NEAR }).observe(element.closest('[id^=vm-chapter-]'));
}

// the ways on at a chapter's end
export async function foot(element, name) {
  mountFoot(element.querySelector('.vu'), { id: name, there: PLACES, all: (await made).first.all, language });
}

// a component that is an explorer: its value is the run
export async function explore(element, props, watch) {
  const { all } = (await made).first, { attention, code, blocks } = engine;
  const explorer = mountExplorer(element.querySelector('.vx'), { engine: { attention, code, blocks }, all, language, calm }), show = () => explorer.show(props.value);
  watch('value', show);
  show();
}

// charts in what the server writes into a component
export { drawCharts as charts };

// the chapter with the numbers of the run
export async function numbers(element) {
  const first = await ready;
  mountNumbers(element.querySelector('.vu-run'), first, { engine, all: first.all, language });
}

// what it costs: recorded curves, and points measured here, the component's value {rows}; `tell` hears of what is chosen
export async function cost(element, props, watch, tell) {
  const [{ first }, data] = await Promise.all([made, engine.data('cost')]);
  const show = () => mountCost(element.querySelector('.vu'), { data, here: props.value?.rows ?? [], all: first.all, language, tell });
  watch('value', show);
  show();
}

// the chapter on limits
export async function limits(element) {
  const [{ first }, data] = await Promise.all([made, engine.data('limits')]);
  mountLimits(element.querySelector('.vu'), { data, there: PLACES, all: first.all, language });
}

// The views of the components below are loaded when Gradio has made them, with their own words where they have any, so that the first screen
// does not wait for them. A component is { element, props, watch, trigger, server }; `mount` gives what is called whenever its value is another.
async function later({ props, watch }, view, words, mount) {
  const [{ first }, loaded, own] = await Promise.all([made, view, words ? engine.read(`words/${words}.json`) : {}]), all = { ...first.all, ...own };
  const show = mount(loaded, { first, all, word: wordsOf(all, language), named: (name) => title(name, all.names, language) });
  watch('value', show);
  show();
}

// masks and memory: the component's value is what the server counts; `tell` hears where a comparison is wanted, too
export function masks(component, tell) {
  const { element, props } = component;
  return later(component, import('../views/Masks.js'), 'masks', ({ mountMasks }, { all }) => () => {
    mountMasks(element.querySelector('.vu'), { data: props.value, all, language });
    if (props.value.wanted) tell();
  });
}

// pictures to take apart: samples and a canvas; its value is what it offers
export function picker(component) {
  const { element, props, trigger } = component;
  return later(component, import('../views/Picker.js'), 'tokenize', ({ mountPicker }, { word, named }) => () => {
    mountPicker(element.querySelector('.vu'), { offered: props.value, word, named, onSample: (name) => trigger('sample', { name }), onDrawn: (image) => trigger('drawing', { image }) });
  });
}

// a picture that was taken apart, which is its value
export function tokens(component) {
  const { element, props, server } = component;
  return later(component, import('../views/Tokens.js'), 'tokenize', ({ mountTokens }, { all, word }) => {
    const texts = { map: word('tokenize_map'), read_token: word('tokenize_token_hint') };
    const acts = mountTokens(element.querySelector('.vu'), { word, explorer: (root, options) => mountExplorer(root, { all, language, calm, texts, ...options }),
      candidates: (query) => answered(server.candidates(query)), replace: (query) => answered(server.replace(query)) });
    return () => acts.show(props.value);
  });
}

// a part of a picture drawn anew: its value is the picture to begin with
export function edit(component) {
  const { element, props, trigger, server } = component, root = element.querySelector('.vu');
  const mine = (run) => (run?.settings.model === props.value.model ? run : null); // of an earlier model it is no start
  const shown = (id) => mine(document.querySelector(`#${id} .vx`)?.explorer?.run());
  return later(component, import('../views/Edit.js'), null, ({ mountEdit }, { first, word, named }) => {
    root.editor = mountEdit(root, { word, named, plan: (query) => answered(server.plan(query)), onSample: (name) => trigger('sample', { name }),
      places: { run: () => mine(first.run()), picture: () => shown('vm-tokenize'), result: () => shown('vm-edit-run') },
      take: (run) => trigger('take', { model: run.settings.model, subject: run.subject, ids: run.scales.map((scale) => scale.ids) }),
      redraw: (query) => {
        trigger('redraw', query);
        reveal(document.getElementById('vm-edit-result'), calm);
      } });
    return () => root.editor.show(props.value);
  });
}

// the guided tour: its words come with it
export async function tour(element, { words, values, steps }) {
  const { mountTour } = await import('../views/Tour.js');
  mountTour(element.querySelector('.vt'), { words: words[language], values: values[language], steps, calm });
}
