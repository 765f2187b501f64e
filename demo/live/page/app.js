// The page: a form, a strip of scales, a token looked into. All that computes is behind the engine's interface, see
// engines/engine.js.
import { browserEngine } from './engines/browser.js';
import { tokenNumber } from './engines/engine.js';
import { checked, shown, subject } from './engines/settings.js';
import { clear, colour, heat, paint } from './paint.js';

const $ = (selector) => document.querySelector(selector);
const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const form = $('#settings'), SAMPLING = ['guidance', 'temperature', 'top_k', 'top_p'];
const state = { models: [], run: null, note: '', loaded: new Set(), work: null, chosen: null, recorded: {} };
const engine = browserEngine({ models: new URL('models/', document.baseURI) });

// -- words -----------------------------------------------------------------------------------------------------------

const WORDS = await (await fetch('words.json')).json();
let language = navigator.language.startsWith('zh') ? 1 : 0;

/** A text in the visitor's language, with {names} filled in. */
const say = (word, values = {}) => WORDS[word][language].replace(/\{(\w+)\}/g, (_, name) => values[name]);

function translate() {
  document.documentElement.lang = ['en', 'zh-CN'][language];
  for (const node of document.querySelectorAll('[data-word]')) node.textContent = say(node.dataset.word);
  if (state.models.length) fillForm(Object.fromEntries(new FormData(form)));
  showRun();
}

// -- the form --------------------------------------------------------------------------------------------------------

const info = (name = form.model.value) => state.models.find((model) => model.name === name);
const megabytes = ({ download_kb: kb }) => (kb / 1000).toFixed(1);
/** What `checked` needs to know of a model that has not been downloaded. */
const outline = (model) => ({
  ...model, transformer: { num_classes: model.class_names.length, num_styles: model.style_names.length },
});

/** Options and values of the form for a model; values that it does not have fall back to its own. */
function fillForm(values) {
  const model = info(values.model) ?? state.models[0], option = (value, text) => new Option(text, value);
  form.model.replaceChildren(...state.models.map((m) => option(m.name, say('model_option', { ...m, mb: megabytes(m) }))));
  $('#classes').replaceChildren(...model.class_names.map((name) => option(name)));
  form.style.replaceChildren(option('', say('any_style')), ...model.style_names.map((name) => option(name, name)));
  $('#style-field').hidden = !model.style_names.length;
  form.attention.replaceChildren(...model.attentions.map((name) => {
    const m = name.split('-')[1];
    return option(name, name.startsWith('landmark') ? say('landmark', { m }) : say(name));
  }));
  form.model.value = model.name;
  form.class.value = values.class;
  form.seed.value = values.seed;
  form.style.value = model.style_names.includes(values.style) ? values.style : '';
  form.attention.value = model.attentions.includes(values.attention) ? values.attention : 'exact';
  for (const name of SAMPLING) form[name].value = values[name] ?? model.sampling[name];
  $('#draw').textContent = state.loaded.has(model.name) || model.stored ? say('draw') : say('draw_after', { mb: megabytes(model) });
}

/** The settings of a run as values of the form. */
function valuesOf({ label, style, ...settings }) {
  const { class_names: classes, style_names: styles } = info(settings.model);
  return { ...settings, class: classes[label], style: styles[style] ?? '' };
}

const defaults = (model) => ({ model: model.name, class: model.class_names[0], seed: 0 });

async function choose(name) {
  fail('');
  const run = await recordedRun(name), model = info(name);
  fillForm(run ? valuesOf({ ...run.settings, model: name }) : defaults(model));
  show(run, run ? 'recorded' : 'not_recorded');
}

async function recordedRun(name) {
  if (!info(name).recorded) return null;
  try {
    state.recorded[name] ??= await (await fetch(`runs/${name}.json`)).json();
  } catch { /* no connection on the first visit */ }
  return state.recorded[name] ?? null;
}

// -- runs ------------------------------------------------------------------------------------------------------------

function show(run, note) {
  Object.assign(state, { run, note, chosen: null });
  showRun();
}

function showRun() {
  const { run, note } = state;
  $('#note').textContent = note && say(note);
  $('#token').hidden = !state.chosen;
  $('#strip').replaceChildren(...(run?.scales ?? []).map(column));
  $('#run-title').textContent = run ? title(run) : '';
  if (state.chosen) look(state.chosen);
}

const title = ({ settings, subject }) => (settings.seed === undefined ? say('taken_apart') : say('run', { ...settings, subject }));

/** One scale: its token map, the picture after it, and the time it took. */
function column(scale, k) {
  const { side } = scale, ms = 1000 * scale.seconds.reduce((a, b) => a + b, 0);
  const map = make('canvas', { tabIndex: 0 }), over = make('canvas'), picture = make('canvas');
  map.setAttribute('role', 'button');
  map.setAttribute('aria-label', say('map_label', { side }));
  picture.setAttribute('role', 'img');
  picture.setAttribute('aria-label', say('image_label', { side }));
  paint(map, scale.colours, side);
  paint(picture, scale.image, state.run.size);
  let at = 0; // where the keyboard is
  map.onclick = (event) => {
    const { left, top, width, height } = map.getBoundingClientRect();
    const cell = (share) => Math.min(side - 1, Math.max(0, Math.floor(share * side)));
    at = cell((event.clientY - top) / height) * side + cell((event.clientX - left) / width);
    look({ level: k, index: at });
  };
  map.onkeydown = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -side, ArrowDown: side }[event.key];
    if (step) at = Math.min(side * side - 1, Math.max(0, at + step));
    else if (event.key !== 'Enter' && event.key !== ' ') return;
    event.preventDefault();
    look({ level: k, index: at });
  };
  const time = ms ? `, ${say('milliseconds', { ms: ms.toFixed(ms < 100 ? 1 : 0) })}` : '';
  return make('li', {}, make('div', { className: 'map' }, map, over), picture, make('span', {}, say('scale', { side }) + time));
}

const settingsOfForm = () => checked(outline(info()), Object.fromEntries(new FormData(form)));

/** Runs `work(signal)`, one at a time: the button Stop ends it, and a failure leaves what is shown. */
async function perform(work) {
  state.work?.abort();
  const control = (state.work = new AbortController());
  fail('');
  $('#stop').disabled = false;
  try {
    await work(control.signal);
  } catch (error) {
    if (error.name === 'AbortError') $('#status').textContent = say('stopped');
    else fail(error.message);
  } finally {
    if (state.work === control) {
      state.work = null;
      $('#stop').disabled = true;
      $('#progress').hidden = true;
    }
  }
}

async function download(name, signal) {
  const bar = $('#progress');
  bar.hidden = state.loaded.has(name);
  const facts = await engine.load(name, {
    signal,
    onProgress: (share) => {
      bar.value = share;
      if (!bar.hidden) $('#status').textContent = say('downloading', { name, percent: Math.floor(100 * share) });
    },
  });
  bar.hidden = true;
  state.loaded.add(name);
  $('#draw').textContent = say('draw');
  return facts;
}

function draw() {
  return perform(async (signal) => {
    const settings = settingsOfForm(), model = info();
    history.replaceState(null, '', `?${new URLSearchParams(settings)}`);
    const { fast } = await download(model.name, signal), begin = performance.now();
    const known = { model: model.name, settings, sides: model.patch_nums, size: model.size };
    const run = { ...known, subject: subject(outline(model), settings), scales: [] };
    const whole = await engine.draw(settings, {
      signal,
      onScale: (scale, k) => {
        run.scales.push(scale);
        show(run, '');
        $('#status').textContent = say('drawing', { k: k + 1, K: model.patch_nums.length });
      },
    });
    show(whole, '');
    $('#status').textContent = say(fast ? 'drawn' : 'drawn_plain', { ms: Math.round(performance.now() - begin) });
  });
}

function takeApart(file) {
  return perform(async (signal) => {
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      throw new Error(`${file.name} is not a picture that this browser can read.`);
    }
    const side = Math.min(1024, Math.max(bitmap.width, bitmap.height)), shrink = side / Math.max(bitmap.width, bitmap.height);
    const canvas = make('canvas', { width: Math.max(1, bitmap.width * shrink), height: Math.max(1, bitmap.height * shrink) });
    const context = canvas.getContext('2d');
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    await download(form.model.value, signal);
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    show(await engine.tokenize(form.model.value, pixels, { signal }), '');
    $('#status').textContent = '';
  });
}

// -- a token ---------------------------------------------------------------------------------------------------------

async function look(chosen) {
  const { run } = state, { level, index } = (state.chosen = chosen), scale = run.scales[level], { side } = scale;
  $('#token').hidden = false;
  const place = { row: Math.floor(index / side) + 1, column: (index % side) + 1, side, id: scale.ids[index] };
  $('#token-title').textContent = say('token', place);
  const head = (...words) => make('tr', {}, ...words.map((word) => make('th', { scope: 'col' }, say(word))));
  const row = (...cells) => make('tr', {}, ...cells.map((cell) => make('td', {}, cell)));
  const candidates = (scale.top?.[index] ?? []).map((id, i) => {
    const swatch = make('span', { className: 'swatch' });
    swatch.style.background = colour(scale.top_colours, index * scale.top[index].length + i);
    return row(make('span', {}, swatch, String(id)), percent(scale.top_probability[index][i]));
  });
  $('#candidates').replaceChildren(...(scale.top ? [head('code', 'probability'), ...candidates] : [row(say('no_candidates'))]));
  $('#looks').replaceChildren();
  for (const canvas of document.querySelectorAll('.map canvas + canvas')) clear(canvas);
  const counts = [run.layers, run.heads], picks = [$('#layer'), $('#head')];
  picks.forEach((pick, i) => {
    const numbers = Array.from({ length: counts[i] ?? 0 }, (_, n) => n);
    if (pick.length !== counts[i]) pick.replaceChildren(...numbers.map((n) => new Option(n + 1, n)));
  });
  const possible = state.loaded.has(run.model) && run.settings.seed !== undefined && run.scales.length === run.sides.length;
  $('#sum').textContent = possible ? '' : say(scale.top ? 'needs_model' : 'no_candidates');
  if (!possible) return;
  try {
    const token = tokenNumber(run.sides, level, index);
    const found = await engine.attention(run, { layer: picks[0].selectedIndex, head: picks[1].selectedIndex, token });
    if (state.chosen !== chosen) return; // another token was clicked meanwhile
    showAttention(found, token, head, row);
  } catch (error) {
    fail(error.message);
  }
}

function showAttention({ weights, dots, scale: s, level }, token, head, row) {
  const { sides } = state.run, largest = Math.max(...weights);
  document.querySelectorAll('.map canvas + canvas').forEach((canvas, k) => {
    const begin = tokenNumber(sides, k, 0);
    if (k <= level) heat(canvas, weights.slice(begin, begin + sides[k] ** 2), sides[k], largest, token - begin);
  });
  const order = weights.map((_, u) => u).sort((a, b) => weights[b] - weights[a]).slice(0, 5);
  const name = (u) => {
    const k = sides.findIndex((_, i) => u < tokenNumber(sides, i + 1, 0)), at = u - tokenNumber(sides, k, 0);
    return `${say('scale', { side: sides[k] })}: ${Math.floor(at / sides[k]) + 1}, ${(at % sides[k]) + 1}`;
  };
  const rows = order.map((u) => row(name(u), dots[u].toFixed(3), percent(weights[u])));
  $('#looks').replaceChildren(head('place', 'dot', 'weight'), ...rows);
  $('#sum').textContent = say('looks_sum', { count: weights.length, s: s.toFixed(2) });
}

const percent = (share) => (share > 0 && share < 0.001 ? '< 0.1 %' : `${(100 * share).toFixed(1)} %`);

function fail(message) {
  $('#error').textContent = message;
  if (message) $('#status').textContent = '';
}

// -- the visit -------------------------------------------------------------------------------------------------------

form.onsubmit = (event) => { event.preventDefault(); draw(); };
form.model.onchange = () => { state.work?.abort(); choose(form.model.value); };
$('#stop').onclick = () => state.work?.abort();
$('#dice').onclick = () => { form.seed.value = Math.floor(Math.random() * 2 ** 32); draw(); };
$('#upload').onchange = ({ target }) => { if (target.files[0]) takeApart(target.files[0]); target.value = ''; };
$('#layer').onchange = $('#head').onchange = () => state.chosen && look(state.chosen);
$('#language').onclick = () => { language = 1 - language; translate(); };

/** The run of the link goes into the form; a link that is spoilt leaves one sentence. The recorded run stays either way. */
async function open() {
  state.models = await engine.models();
  const link = Object.fromEntries(new URLSearchParams(location.search)), asked = 'model' in link;
  await choose(info(link.model) ? link.model : state.models[0].name);
  if (!asked) return;
  try {
    if (!info(link.model)) {
      throw new Error(`model = ${shown(link.model)}: must be one of ${state.models.map((model) => model.name).join(', ')}.`);
    }
    const settings = checked(outline(info()), link);
    fillForm(valuesOf(settings));
    $('#status').textContent = say('from_link', { subject: subject(outline(info()), settings), seed: settings.seed });
  } catch (error) {
    fail(error.message);
  }
}

translate();
await open().catch((error) => fail(error.message));
document.body.dataset.ready = 'true';
navigator.serviceWorker?.register('sw.js').catch(() => {}); // storage denied: the page works, but not without a network
