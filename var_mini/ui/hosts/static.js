// The front end on a page without a server: files of a static host alone, the model in this browser. It stands in the folder ui/ of the
// site that demo/live/build.py writes; models, runs and pictures lie beside that folder.

import { browserEngine } from '../engines/browser.js';
import { siteEngine } from '../engines/site.js';
import { broken } from '../lib/broken.js';
import { createDownloads } from '../lib/downloads.js';
import { megabytes, withNames, wordsOf } from '../lib/format.js';
import { followAddress } from '../lib/address.js';
import { fromQuery } from '../lib/settings.js';
import { createStore } from '../lib/store.js';
import { STORY } from '../lib/story.js';
import { mountAlone } from '../views/Alone.js';
import { mountApart } from '../views/Apart.js';
import { mountContents } from '../views/Contents.js';
import { mountDownload } from '../views/Download.js';
import { mount } from '../views/First.js';
import { mountLimits } from '../views/Limits.js';
import { mountNumbers } from '../views/Numbers.js';
import { mountFoot, mountStory } from '../views/Story.js';

const SITE = new URL('../../', import.meta.url), LANGUAGE = 'vm_language';
const PLACES = [...STORY, 'apart', 'numbers']; // of demo/live/page/index.html, in its order
const LINKS = { paper: 'https://arxiv.org/abs/2404.02905', lowrank: 'https://arxiv.org/abs/2501.04377', licences: new URL('licences.txt', SITE).href };
const at = (id) => document.getElementById(id);

async function read(path) {
  const answer = await fetch(new URL(path, SITE)).catch(() => { throw new Error(`${path} could not be loaded: there is no connection.`); });
  if (!answer.ok) throw new Error(`${path} could not be loaded: the server answered ${answer.status}.`);
  return answer.json();
}

// the language chosen here before, or the browser's; where storage is denied nothing is remembered
function remembered() {
  try { return localStorage.getItem(LANGUAGE); } catch { return null; }
}
function remember(code) {
  try { localStorage.setItem(LANGUAGE, code); } catch { /* as above */ }
}

// the address reproduces the run that is shown; a recorded one leaves it alone
function told(run) {
  if (!run.recorded) history.replaceState(history.state, '', `?${new URLSearchParams(run.settings)}${location.hash}`);
}

// what a link asks for, refused before a download where no download would help
function offered(asked, models, word) {
  const known = asked && models.find((one) => one.name === asked.model).attentions;
  if (!known || known.includes(asked.attention)) return asked;
  throw new Error(word('link_choice', { name: word('attention'), value: asked.attention.slice(0, 40), names: known.join(', ') }));
}

async function begin() {
  let language = remembered() ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');
  const refusal = (name) => wordsOf(all, language)('download_needed', { model: named(name).shown, mb: megabytes(named(name)) });
  const computing = browserEngine({ models: new URL('models/', SITE) });
  const store = createStore({ asked: '', loading: '', share: 0, plain: false });
  const downloads = createDownloads(computing, store.set, refusal), engine = siteEngine(read, computing, downloads);
  const [words, more, { model, models, measured, raster }, limits, counted] = await Promise.all([read('ui/words.json'), read('ui/words/masks.json'),
    engine.start(), read('limits.json'), read('masks.json')]);
  const all = { ...words, ...more }, learnNames = async () => Object.assign(all, await withNames(all, language, (path) => read(`ui/${path}`)));
  await learnNames();
  const named = (name) => models.find((one) => one.name === name);
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const sheets = ({ thumbnails }, style, kind) => new URL(thumbnails.files[kind][style ?? 0], SITE).href;
  const first = mount(at('vm-first'), { engine, models, model, all, language, languages, sheets, links: LINKS, told, calm });

  function rest() { // again whenever the language changes
    document.documentElement.lang = { en: 'en', zh: 'zh-CN' }[language];
    const host = { engine, models, downloads, store, all, language, calm, there: PLACES };
    mountContents(at('vm-contents'), host);
    mountStory(at('vm-story'), first, { ...host, measured: raster });
    mountAlone(at('vm-alone'), first, { ...host, measured, counted });
    mountLimits(at('vm-limits'), { ...host, data: limits });
    mountApart(at('vm-apart'), first, host);
    at('vm-numbers').textContent = wordsOf(all, language)('numbers_title');
    mountNumbers(at('vm-run'), first, host);
    mountFoot(at('vm-end'), { ...host, id: 'numbers' });
    mountDownload(at('vm-foot'), host);
  }

  function languages(code) {
    const show = () => { first.store.set({ language }); rest(); };
    language = code;
    remember(code);
    show();
    learnNames().then(show);
  }

  rest();
  followAddress();
  first.store.subscribe((state) => { if (![undefined, state.model.name].includes(downloads.about())) downloads.answer(null); }); // another model now
  window.varMini = { store: first.store, acts: first.acts, run: first.run, engine };
  let asked = null, problem = '';
  const word = wordsOf(all, language);
  try { asked = offered(fromQuery(location.search, models, word), models, word); } catch (error) { problem = error.message; }
  if (asked) first.store.set({ model: named(asked.model) });
  await first.acts.begin();
  if (asked) first.acts.draw(asked); // the recorded run stays until there is more
  if (problem) first.store.set({ problem });
}

begin().catch((error) => broken(at('vm-first'), error))
  .finally(() => { document.body.dataset.ready = 'true'; });
// storage denied: the page works, but not without a network
navigator.serviceWorker?.register(new URL('sw.js', SITE)).catch(() => {});
