// The first screen on the Gradio page: it stands there before Gradio does, and is linked to it as soon as its bridge is made.

import { fromQuery, toRecord } from '../lib/settings.js';
import { wordsOf } from '../lib/format.js';
import { gradioEngine } from '../engines/gradio.js';
import { mount } from '../views/First.js';
import { mountLimits } from '../views/Limits.js';
import { mountNumbers } from '../views/Numbers.js';
import { mountStory } from '../views/Story.js';
import * as chapters from './chapters.js';

const base = new URL('../', import.meta.url);
const engine = gradioEngine(base);
const language = navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
const LINKS = { paper: 'https://arxiv.org/abs/2404.02905', lowrank: 'https://arxiv.org/abs/2501.04377', licences: new URL('data/licences.txt', base).href };
const RESULTS = ['vm-compare', 'vm-gallery'];
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

// results further down belong to the settings that they were asked with
function follow(store, text) {
  let last = store.get().settings;
  store.subscribe(({ settings }) => {
    if (settings === last) return;
    last = settings;
    for (const id of RESULTS) {
      const result = document.getElementById(id);
      if (result?.querySelector('figure, table')) result.dataset.stale = text;
    }
  });
}

const ready = (async () => {
  const [{ model, models, chapters: names }, all] = await Promise.all([engine.start(), fetch(new URL('words.json', base)).then((answer) => answer.json())]);
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const first = mount(document.getElementById('vm-first'), { engine, models, model, all, language, languages, sheets, links: LINKS, told, calm });
  mountStory(document.getElementById('vm-story'), first, { engine, all, language, calm });
  let asked = null, problem = '';
  try { asked = fromQuery(location.search, models); } catch (error) { problem = error.message; }
  window.varMini = { open: chapters.open, opened: chapters.opened, run: first.run, record: () => toRecord(first.store.get().settings), store: first.store, acts: first.acts,
    failed: () => engine.failed(wordsOf(all, language)('failed')) };
  follow(first.store, wordsOf(all, language)('stale_result'));
  chapters.begin(names);
  await first.begin(asked);
  if (problem) first.store.set({ problem });
  return first;
})();

// called by the bridge
export async function connect(component) {
  engine.connect(component, async (run) => (await ready).acts.put(run));
}

// the chapter with the numbers of the run
export async function numbers(element) {
  const first = await ready;
  mountNumbers(element.querySelector('.vu-run'), first, { engine, all: first.all, language });
}

// the chapter on limits
export async function limits(element, sliders) {
  const { all } = await ready;
  mountLimits(element.querySelector('.vu'), { engine, sliders, all, language });
}
