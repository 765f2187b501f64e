// Three pictures of one thing: the mask of training, the steps of generation without one, and what has to be kept, all for the
// scale of the scrubber. One module for two hosts, the page (gr.HTML) and notebooks; no dependencies, nothing fetched.
//
//   const picture = mountMasks(element, { words });
//   picture.show(data);   // the JSON of var_mini.view.memory.memory with a name, and `same`, the comparison, where there is one
//
// Every picture is a few rectangles in true proportion: a token is one unit of mask and steps, a number one unit of area in memory.

const MASKS_PLAY_MS = 1100;
const ROUNDING = 1e-4; // of the largest logit: what float32 may lose over all layers
const GRID_TOKENS = 200; // up to so many tokens single cells can be told apart
const SVG = 'http://www.w3.org/2000/svg';

export function mountMasks(root, host) {
  const words = host.words;
  const fill = (name, values) => words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const whole = (value) => Math.round(value).toLocaleString('en-US');
  const size = (count) => count >= 1e9 ? `${(count / 1e9).toFixed(2)} GB` : count >= 1e6 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e3).toFixed(1)} kB`;
  const small = (value) => (value !== 0 && Math.abs(value) < 0.01 ? value.toExponential(1) : value.toFixed(2));
  const unique = `vb${Math.random().toString(36).slice(2)}`; // a pattern's id must be its own on the page
  let data = null, scale = 0, cursor = null, timer = null;

  function make(tag, attributes = {}, ...children) {
    const node = ['svg', 'rect', 'path', 'text', 'pattern', 'defs', 'g', 'title'].includes(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  root.classList.add('vb');
  const facts = make('p', { class: 'vb-facts' });
  const play = make('button', { type: 'button', class: 'vb-play', onclick: () => (timer ? stop() : start()) });
  const scrubber = make('input', { type: 'range', min: 0, step: 1, 'aria-label': words.scrubber, oninput: () => { stop(); go(+scrubber.value); } });
  const place = make('output', { class: 'vb-place' });
  const say = make('p', { class: 'vb-say', 'aria-live': 'polite' });
  const mask = make('svg', { class: 'vb-mask', role: 'img', tabindex: 0, preserveAspectRatio: 'xMidYMid meet',
    onpointermove: point, onclick: choose, onpointerleave: () => { cursor = null; look(); }, onkeydown: key, onblur: () => { cursor = null; look(); } });
  const pair = make('p', { class: 'vb-caption vb-pair', 'aria-live': 'polite' });
  const steps = make('svg', { class: 'vb-steps', role: 'img' });
  const kept = make('svg', { class: 'vb-kept', role: 'img' });
  const captions = Object.fromEntries(['mask', 'steps', 'cache', 'state', 'verdict'].map((name) => [name, make('p', { class: 'vb-caption' })]));
  const same = make('div', { class: 'vb-same' });
  const table = make('div', { class: 'vb-scroll', tabindex: 0, role: 'group', 'aria-label': words.table });
  const key3 = (name) => make('li', {}, make('i', { class: `vb-key vb-key-${name}` }), words[`legend_${name}`]);
  const figure = (title, picture, ...rest) => make('figure', {}, make('h2', {}, words[title]), picture, make('figcaption', {}, ...rest));
  const question = (name) => make('details', {}, make('summary', {}, words[`ask_${name}`]), make('p', {}, words[`answer_${name}`]));
  root.replaceChildren(
    facts, make('div', { class: 'vb-controls' }, play, scrubber, place), say,
    make('ul', { class: 'vb-legend' }, key3('own'), key3('earlier'), key3('hidden')),
    make('div', { class: 'vb-figures' },
      figure('title_mask', mask, captions.mask, pair),
      figure('title_steps', steps, captions.steps),
      figure('title_kept', kept, captions.cache, captions.state, captions.verdict)),
    same,
    make('div', { class: 'vb-questions' }, question('see'), question('mask'), question('state')),
    make('details', { class: 'vb-numbers' }, make('summary', {}, words.table), table));

  // -- data

  function show(next) {
    if (!next || !next.scales) return;
    const fresh = !data || data.name !== next.name;
    data = next;
    scrubber.max = data.scales.length - 1;
    if (fresh) { stop(); scale = Math.floor(data.scales.length / 2); cursor = null; }
    facts.textContent = fill('facts', { name: data.name, tokens: whole(data.tokens), scales: data.scales.length, layers: data.layers,
      heads: data.heads, dim: data.head_dim });
    root.dataset.name = data.name;
    root.dataset.attention = data.attention;
    root.dataset.same = data.same ? (data.same.scales ? 'computed' : 'told') : '';
    drawMask();
    numbers();
    if (timer) return;
    play.textContent = '\u25b6';
    play.setAttribute('aria-label', words.play);
    go(scale);
  }

  function go(next) {
    scale = Math.min(Math.max(next, 0), data.scales.length - 1);
    scrubber.value = scale;
    root.dataset.scale = scale + 1;
    place.textContent = fill('scale_of', { scale: scale + 1, scales: data.scales.length });
    scrubber.setAttribute('aria-valuetext', place.textContent);
    const s = data.scales[scale], values = { scale: scale + 1, queries: whole(s.queries), earlier: whole(s.keys - s.queries), keys: whole(s.keys),
      pairs: whole(s.queries * s.keys) };
    say.textContent = fill(scale ? 'say' : 'say_first', values);
    mask.querySelectorAll('[data-row]').forEach((node) => node.classList.toggle('vb-now', +node.dataset.row === scale));
    mask.setAttribute('aria-label', fill('mask_label', { tokens: whole(data.tokens), pairs: whole(data.pairs), ...values }));
    drawSteps();
    drawKept();
    drawSame();
    look();
  }

  function start() {
    if (scale === data.scales.length - 1) go(0);
    play.textContent = '\u23f8';
    play.setAttribute('aria-label', words.pause);
    timer = setInterval(() => (scale < data.scales.length - 1 ? go(scale + 1) : stop()), MASKS_PLAY_MS);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = '\u25b6';
    play.setAttribute('aria-label', words.play);
  }

  // -- mask and steps: one unit is one token

  const before = (k) => data.scales[k].keys - data.scales[k].queries;
  const rect = (x, y, width, height, name, extra = {}) => make('rect', { x, y, width, height, class: name, 'vector-effect': 'non-scaling-stroke', ...extra });

  function frame(svg, ...content) {
    const L = data.tokens, margin = L * 0.012;
    svg.setAttribute('viewBox', `${-margin} ${-margin} ${L + 2 * margin} ${L + 2 * margin}`);
    svg.replaceChildren(...content);
  }

  const row = (k, name) => {
    const s = data.scales[k], start = before(k);
    return [rect(0, start, start, s.queries, `vb-earlier ${name}`, { 'data-row': k }), rect(start, start, s.queries, s.queries, `vb-own ${name}`, { 'data-row': k })];
  };

  function drawMask() {
    const L = data.tokens, stripe = L / 40;
    const defs = make('defs', {},
      make('pattern', { id: `${unique}-hidden`, width: stripe, height: stripe, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
        make('path', { d: `M0 0V${stripe}`, class: 'vb-stripe', 'stroke-width': stripe * 0.35 })),
      make('pattern', { id: `${unique}-cells`, width: 1, height: 1, patternUnits: 'userSpaceOnUse' }, make('path', { d: 'M0 0H1M0 0V1', class: 'vb-cell', 'stroke-width': 0.12 })));
    const hidden = data.scales.map((s, k) => rect(s.keys, before(k), L - s.keys, s.queries, 'vb-hidden', { style: `fill:url(#${unique}-hidden)` }));
    const parts = [defs, ...hidden, ...data.scales.flatMap((_, k) => row(k, ''))];
    if (L <= GRID_TOKENS) parts.push(rect(0, 0, L, L, 'vb-cells', { style: `fill:url(#${unique}-cells)` }));
    data.scales.forEach((s, k) => { // the side of every scale that has room for it, on its own block of the diagonal
      if (s.queries > L * 0.055) parts.push(make('text', { x: before(k) + s.queries / 2, y: before(k) + s.queries / 2, 'font-size': Math.min(L * 0.05, s.queries * 0.3), class: 'vb-side' }, `${s.side}\u00d7${s.side}`));
    });
    parts.push(rect(0, 0, L, L, 'vb-frame'), rect(0, 0, 0, 0, 'vb-cursor'));
    frame(mask, ...parts);
    captions.mask.textContent = fill('caption_mask', { tokens: whole(L), cells: whole(L * L), pairs: whole(data.pairs), share: `${((100 * data.pairs) / L / L).toFixed(0)} %` });
  }

  function drawSteps() {
    const s = data.scales[scale], past = Array.from({ length: scale }, (_, k) => row(k, 'vb-past')).flat();
    frame(steps, rect(0, 0, data.tokens, data.tokens, 'vb-blank'), ...past, ...row(scale, 'vb-now'), rect(0, before(scale), s.keys, s.queries, 'vb-outline'));
    const done = data.scales.slice(0, scale + 1).reduce((sum, x) => sum + x.queries * x.keys, 0);
    captions.steps.textContent = fill('caption_steps', { scale: scale + 1, queries: whole(s.queries), keys: whole(s.keys), pairs: whole(s.queries * s.keys), done: whole(done), all: whole(data.pairs) });
    steps.setAttribute('aria-label', captions.steps.textContent);
  }

  function look() {
    const block = mask.querySelector('.vb-cursor');
    if (!block || !data) return;
    block.style.display = cursor ? '' : 'none';
    pair.textContent = words.pair_hint;
    if (!cursor) return;
    const q = data.scales[cursor.query], k = data.scales[cursor.key];
    Object.entries({ x: before(cursor.key), y: before(cursor.query), width: k.queries, height: q.queries }).forEach(([name, value]) => block.setAttribute(name, value));
    const name = cursor.key === cursor.query ? 'pair_own' : cursor.key < cursor.query ? 'pair_earlier' : 'pair_hidden';
    pair.textContent = fill(name, { query: cursor.query + 1, key: cursor.key + 1, queries: whole(q.queries), keys: whole(k.queries), cells: whole(q.queries * k.queries) });
  }

  function point(event) {
    const matrix = mask.getScreenCTM();
    if (!matrix) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    const scaleOf = (token) => data.scales.findIndex((s) => token < s.keys);
    cursor = [at.x, at.y].every((value) => value >= 0 && value < data.tokens) ? { query: scaleOf(at.y), key: scaleOf(at.x) } : null;
    look();
  }

  function choose(event) {
    point(event);
    if (cursor) { stop(); go(cursor.query); }
  }

  function key(event) {
    if (event.key === 'Enter' && cursor) { stop(); go(cursor.query); return; }
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move) { if (event.key === 'Escape') { cursor = null; look(); } return; }
    event.preventDefault();
    const inside = (value) => Math.min(Math.max(value, 0), data.scales.length - 1);
    cursor = cursor ? { query: inside(cursor.query + move[0]), key: inside(cursor.key + move[1]) } : { query: scale, key: scale };
    look();
  }

  // -- memory: one unit of area is one number; a square of the cache gets a ring from every scale

  function drawKept() {
    const last = data.scales[data.scales.length - 1], s = data.scales[scale], d = data.head_dim;
    const cacheSide = (k) => Math.sqrt(data.scales[k].keys * data.cache_columns);
    const stateSide = (k) => Math.sqrt(data.scales[k].state_rows * data.state_columns);
    const end = data.scales.length - 1, own = data.method !== 'exact';
    const first = cacheSide(end), second = own ? stateSide(end) : 0, tall = Math.max(first, second), gap = tall * 0.12, edge = tall * 0.012;
    kept.setAttribute('viewBox', `${-edge} ${-edge} ${first + (own ? gap + second : 0) + 2 * edge} ${tall + 2 * edge}`);
    const square = (x, side, name) => rect(x, tall - side, side, side, name);
    const parts = [square(0, first, 'vb-frame')];
    for (let k = scale; k >= 0; k--) parts.push(square(0, cacheSide(k), `vb-ring ${k === scale ? 'vb-own vb-now' : 'vb-earlier vb-now'}`));
    if (own) {
      if (!data.constant) parts.push(square(first + gap, second, 'vb-frame'));
      parts.push(square(first + gap, stateSide(scale), 'vb-state'));
    }
    kept.replaceChildren(...parts);
    kept.dataset.cache = s.keys * data.cache_columns;
    kept.dataset.state = s.state_rows * data.state_columns;
    captions.cache.replaceChildren(make('i', { class: 'vb-key vb-key-cache' }), fill('cache', { keys: whole(s.keys), dim: d, numbers: whole(s.keys * data.cache_columns), size: size(s.cache_bytes), all: size(last.cache_bytes) }));
    const name = { exact: 'state_exact', pool: 'state_pool' }[data.method] || 'state_constant';
    captions.state.replaceChildren(...(own ? [make('i', { class: 'vb-key vb-key-state' })] : []), fill(name, { name: data.attention, rows: whole(s.state_rows), dim: d, numbers: whole(s.state_rows * data.state_columns), size: size(s.state_bytes) }));
    const from = data.smaller_from, more = last.cache_bytes / last.state_bytes;
    captions.verdict.textContent = !own ? '' : from === null ? fill('verdict_never', { times: (1 / more).toFixed(1) }) : fill('verdict_from', { scale: from + 1, times: more.toFixed(more < 10 ? 1 : 0) });
    if (data.method === 'landmark' || data.attention.endsWith('calibrated')) captions.verdict.append(' ', words.reserve);
    kept.setAttribute('aria-label', [captions.cache.textContent, captions.state.textContent, captions.verdict.textContent].join(' '));
  }

  // -- the comparison, and all numbers as text

  function drawSame() {
    const found = data.same;
    same.hidden = !found;
    if (!found) return;
    const line = make('p', { class: 'vb-note' }, found.note);
    if (!found.scales) { same.replaceChildren(line); return; }
    const now = found.scales[scale];
    const heads = ['col_scale', 'col_loop', 'col_unmasked', 'col_triangular', 'col_largest'].map((name) => make('th', { scope: 'col' }, words[name]));
    const rows = found.scales.map((s, k) => make('tr', k === scale ? { class: 'vb-current', 'aria-current': 'true' } : {}, make('th', { scope: 'row' }, `${s.side} \u00d7 ${s.side}`),
      ...[s.loop, s.unmasked, s.triangular, s.largest].map((value) => make('td', {}, small(value)))));
    same.replaceChildren(make('h2', {}, words.title_same), line,
      make('p', { class: 'vb-result' }, fill('same_scale', { scale: scale + 1, loop: small(now.loop), count: whole(now.logits), largest: small(now.largest) }),
        ...(now.loop < ROUNDING * now.largest ? [' ', words.same_rounding] : [])),
      make('div', { class: 'vb-scroll', tabindex: 0, role: 'group', 'aria-label': words.title_same }, make('table', {}, make('thead', {}, make('tr', {}, ...heads)), make('tbody', {}, ...rows))),
      make('p', { class: 'vb-caption' }, words.same_foils));
  }

  function numbers() {
    const heads = ['col_scale', 'col_queries', 'col_keys', 'col_pairs', 'col_cache', 'col_state'].map((name) => make('th', { scope: 'col' }, words[name]));
    const rows = data.scales.map((s) => make('tr', {}, make('th', { scope: 'row' }, `${s.side} \u00d7 ${s.side}`),
      ...[whole(s.queries), whole(s.keys), whole(s.queries * s.keys), size(s.cache_bytes), size(s.state_bytes)].map((text) => make('td', {}, text))));
    table.replaceChildren(make('table', {}, make('thead', {}, make('tr', {}, ...heads)), make('tbody', {}, ...rows)));
  }

  return { show, state: () => ({ scale, cursor, playing: !!timer }) };
}
