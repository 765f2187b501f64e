// The token-map explorer: a strip of all scales, a scrubber, and the token under the cursor. One module for two hosts, the
// page (gr.HTML) and notebooks (anywidget); no dependencies, nothing fetched.
//
//   const explorer = mount(element, { words, row(run, scale, token), blocks(run), changed(run, state), chosen(run, state) });
//   explorer.show(run);   // the JSON of var_mini.view.payload; again with more scales while a run goes on
//
// `words` are all texts, {} of name -> text. `row` and `blocks` return promises of {shape, weights} as
// var_mini.view.payload.weights_payload makes them: (layers, heads, keys) of one token, (layers, heads, scales, scales).
// They, `changed` (another scale or token is shown) and `chosen` (a token was clicked, or Enter pressed on it), may be missing.

const PLAY_MS = 900;
const SHOWN_CODES = 64; // code numbers read out before "and more"

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const percent = (share) => (share > 0 && share < 0.001 ? '< 0.1' : (100 * share).toFixed(share >= 0.0995 ? 0 : 1)) + ' %';
const milliseconds = (seconds) => (seconds >= 0.1 ? (1000 * seconds).toFixed(0) : (1000 * seconds).toFixed(1));

// cividis at nine places: dark blue to yellow, readable by colour-blind eyes and in grey
const CIVIDIS = [[0, 34, 78], [27, 58, 107], [65, 78, 107], [93, 98, 110], [125, 124, 120], [157, 149, 116], [190, 176, 104],
  [225, 205, 83], [254, 232, 56]];

function heat(share) {
  const place = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1), low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return CIVIDIS[low].map((c, i) => Math.round(c + (CIVIDIS[low + 1][i] - c) * (place - low)));
}

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// RGB bytes (side * side * 3), or a function of the pixel's index that gives RGBA, at one canvas pixel each
function paint(canvas, side, source) {
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    const colour = typeof source === 'function' ? source(i) : [source[3 * i], source[3 * i + 1], source[3 * i + 2], 255];
    image.data.set(colour, 4 * i);
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

export function mount(root, host) {
  const words = host.words;
  const state = { scale: 0, token: null, pinned: false, layer: 0, head: 0, added: false, playing: null };
  let run = null, columns = [], row = null, shares = null, asked = 0; // row, shares: {shape, values} of the two answers

  root.classList.add('vx');
  root.innerHTML = '';
  const note = make('p', { class: 'vx-note', 'aria-live': 'polite' });
  const facts = make('p', { class: 'vx-facts' });
  const play = make('button', { type: 'button', class: 'vx-play', onclick: () => (state.playing ? stop() : start()) });
  const scrubber = make('input', { type: 'range', min: 0, step: 1, 'aria-label': words.scrubber, oninput: () => { stop(); go(+scrubber.value); } });
  const added = make('button', { type: 'button', 'aria-pressed': 'false', onclick: () => { state.added = !state.added; refresh(); } });
  added.textContent = words.added;
  const layer = make('select', { 'aria-label': words.layer, onchange: () => { state.layer = +layer.value; describe(); overlay(); table(); } });
  const head = make('select', { 'aria-label': words.head, onchange: () => { state.head = +head.value; describe(); overlay(); table(); } });
  const strip = make('ol', { class: 'vx-strip', tabindex: 0, 'aria-label': words.strip });
  const canvas = make('canvas', { class: 'vx-big', role: 'img', 'aria-label': words.image_empty });
  const caption = make('p', { class: 'vx-caption' });
  const detail = make('div', { class: 'vx-token', 'aria-live': 'polite' });
  const blocks = make('div', { class: 'vx-blocks' });
  root.append(
    make('section', { class: 'vx-card vx-left' },
      make('div', { class: 'vx-head' }, note, facts),
      make('div', { class: 'vx-controls' }, play, scrubber, added, ...(host.row
        ? [make('label', {}, make('span', {}, words.layer), layer), make('label', {}, make('span', {}, words.head), head)] : [])),
      strip,
      make('p', { class: 'vx-legend' }, ...['attention', 'rest', 'decoder'].map((name, i) => make('span', {}, make('i', { class: `vx-phase-${i}` }), words[`phase_${name}`]))),
      make('details', { class: 'vx-more', ...(host.blocks ? {} : { hidden: '' }), ontoggle: (e) => { if (e.target.open) askBlocks(); } }, make('summary', {}, words.blocks), make('p', { class: 'vx-hint' }, words.blocks_note), blocks)),
    make('section', { class: 'vx-card vx-right' }, canvas, caption, detail));

  // -- a run, or more of one

  function show(next) {
    if (!next || !next.sides) return;
    const same = run && run.model === next.model && JSON.stringify(run.settings) === JSON.stringify(next.settings)
      && next.scales.length >= run.scales.length && run.scales.every((s, k) => s.ids.join() === next.scales[k].ids.join());
    run = next;
    if (!same) build();
    run.scales.forEach((_, k) => drawColumn(k));
    options(layer, run.layers);
    options(head, run.heads);
    scrubber.max = Math.max(0, run.scales.length - 1);
    const values = { name: run.model, size: run.size, scales: run.sides.length, tokens: run.tokens, codes: run.codes,
      done: run.scales.length };
    note.textContent = run.note || fill(run.scales.length < run.sides.length ? words.drawing : words.done, values);
    facts.textContent = fill(words.facts, values);
    root.dataset.drawn = run.scales.length;
    root.dataset.scales = run.sides.length;
    go(run.scales.length - 1, true);
    if (root.querySelector('.vx-more').open) askBlocks(); else table();
  }

  function options(select, count) {
    if (select.options.length === count) return;
    select.replaceChildren(...Array.from({ length: count }, (_, i) => make('option', { value: i }, String(i + 1))));
    state[select === layer ? 'layer' : 'head'] = 0;
  }

  function build() {
    stop();
    Object.assign(state, { scale: 0, token: null, pinned: false });
    row = shares = null;
    columns = run.sides.map((side, k) => {
      const map = make('canvas', { class: 'vx-map' });
      const overlay = make('canvas', { class: 'vx-overlay' });
      const cursor = make('i', { class: 'vx-cursor' });
      const frame = make('div', { class: 'vx-frame', tabindex: 0, role: 'application', 'aria-label': fill(words.map_empty, { side }),
        onpointermove: (e) => hover(k, e), onpointerdown: (e) => { hover(k, e); ask(); }, onfocus: () => focusMap(k),
        onkeydown: (e) => key(k, e) }, map, overlay, cursor);
      const image = make('canvas', { class: 'vx-image', role: 'img', 'aria-label': words.image_empty });
      const mass = make('span', { class: 'vx-mass' });
      const total = make('b', { class: 'vx-total' }, '\u2013');
      const bar = make('div', { class: 'vx-bar', 'aria-hidden': 'true' });
      const entropy = make('span', { class: 'vx-entropy' }, '\u2013');
      const item = make('li', { class: 'vx-scale vx-waiting', onclick: () => { stop(); go(k); } },
        make('h3', {}, `${side} \u00d7 ${side} `, make('span', {}, fill(side === 1 ? words.one_token : words.tokens, { count: side * side }))),
        frame, mass, image, total, bar, entropy);
      paint(map, 1, () => [0, 0, 0, 0]);
      paint(image, 1, () => [0, 0, 0, 0]);
      return { item, map, overlay, cursor, frame, image, mass, total, bar, entropy, drawn: false };
    });
    strip.replaceChildren(...columns.map((c) => c.item));
  }

  function drawColumn(k) {
    const c = columns[k], s = run.scales[k];
    if (c.drawn) return;
    c.drawn = true;
    c.item.classList.remove('vx-waiting');
    paint(c.map, s.side, bytes(s.colours));
    if (s.given) markGiven(c, s);
    const codes = s.ids.slice(0, SHOWN_CODES).join(' ') + (s.ids.length > SHOWN_CODES ? ` \u2026` : '');
    c.frame.setAttribute('aria-label', fill(words.map, { side: s.side, codes }));
    drawImage(k);
    const seconds = s.seconds.reduce((a, b) => a + b, 0);
    if (seconds > 0) {
      c.total.textContent = fill(words.milliseconds, { value: milliseconds(seconds) });
      c.total.title = [words.phase_attention, words.phase_rest, words.phase_decoder].map((name, i) => `${name} ${milliseconds(s.seconds[i])}`).join(', ');
      const slowest = Math.max(...run.scales.map((x) => x.seconds.reduce((a, b) => a + b, 0)));
      columns.slice(0, run.scales.length).forEach((other, j) => other.bar.replaceChildren(...run.scales[j].seconds.map((part, i) =>
        make('i', { class: `vx-phase-${i}`, style: `width:${(100 * part) / slowest}%` }))));
    }
    if (s.entropy) {
      c.entropy.textContent = fill(words.entropy_of, { value: mean(s.entropy).toFixed(2) });
      c.entropy.title = fill(words.entropy_note, { codes: run.codes, most: Math.log(run.codes).toFixed(1) });
    }
  }

  // of an edited picture: a veil over the tokens that were given, so that those drawn anew stand out
  function markGiven(c, s) {
    const cell = 100 / s.side;
    s.given.forEach((given, i) => given && c.frame.insertBefore(make('i', { class: 'vx-given',
      style: `left:${(i % s.side) * cell}%;top:${Math.floor(i / s.side) * cell}%;width:${cell}%;height:${cell}%` }), c.overlay));
    const drawn = s.given.filter((given) => !given).length;
    c.item.insertBefore(make('span', { class: 'vx-redrawn' }, fill(words.redrawn, { drawn, count: s.given.length })), c.mass);
  }

  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

  // what this scale added: the difference from the image before it, grey where nothing changed
  function pixels(k) {
    const now = bytes(run.scales[k].image);
    if (!state.added) return now;
    const before = k > 0 && run.scales[k - 1].image ? bytes(run.scales[k - 1].image) : new Uint8Array(now.length).fill(128);
    return now.map((v, i) => 128 + Math.max(-128, Math.min(127, k > 0 ? v - before[i] : v - 128)));
  }

  function drawImage(k) {
    if (!run.scales[k].image) return;
    paint(columns[k].image, run.size, pixels(k));
    columns[k].image.setAttribute('aria-label', fill(state.added ? words.image_added : words.image, { subject: run.subject, scale: k + 1, scales: run.sides.length }));
  }

  // -- moving

  function start() {
    state.playing = setInterval(() => { if (state.scale + 1 < run.scales.length) go(state.scale + 1); else stop(); }, PLAY_MS);
    if (state.scale + 1 >= run.scales.length) go(0);
    buttons();
  }

  function stop() {
    clearInterval(state.playing);
    state.playing = null;
    buttons();
  }

  function buttons() {
    play.textContent = state.playing ? '\u275a\u275a' : '\u25b6';
    play.setAttribute('aria-label', state.playing ? words.pause : words.play);
    added.setAttribute('aria-pressed', String(state.added));
  }

  function go(scale, keepToken = false) {
    if (!run || !run.scales.length) return;
    state.scale = Math.max(0, Math.min(scale, run.scales.length - 1));
    if (!keepToken && state.token && state.token.scale !== state.scale) Object.assign(state, { token: null, pinned: false });
    refresh();
    host.changed?.(run, state);
  }

  function refresh() {
    if (!run || !run.scales.length) return;
    buttons();
    scrubber.value = state.scale;
    scrubber.setAttribute('aria-valuetext', fill(words.scale_of, { scale: state.scale + 1, scales: run.sides.length }));
    columns.forEach((c, k) => {
      c.item.classList.toggle('vx-current', k === state.scale);
      c.item.classList.toggle('vx-later', k > state.scale);
      if (c.drawn && run.scales[k]) drawImage(k);
    });
    if (run.scales[state.scale].image) {
      paint(canvas, run.size, pixels(state.scale));
      const values = { subject: run.subject, scale: state.scale + 1, scales: run.sides.length };
      canvas.setAttribute('aria-label', fill(state.added ? words.image_added : words.image, values));
      caption.textContent = fill(state.added ? words.caption_added : words.caption, values);
    }
    cursor();
    describe();
    overlay();
  }

  function cursor() {
    columns.forEach((c, k) => {
      const here = state.token && state.token.scale === k, side = run.sides[k];
      c.cursor.style.display = here ? 'block' : 'none';
      if (!here) return;
      const cell = 100 / side;
      Object.assign(c.cursor.style, { left: `${(state.token.index % side) * cell}%`, top: `${Math.floor(state.token.index / side) * cell}%`,
        width: `${cell}%`, height: `${cell}%` });
    });
  }

  function select(scale, index) {
    if (!run.scales[scale]) return;
    if (state.token && state.token.scale === scale && state.token.index === index) return;
    state.token = { scale, index };
    row = null;
    cursor();
    describe();
    overlay();
  }

  function hover(k, event) {
    if (event.type === 'pointermove' && (row || state.pinned)) return; // after a click the picture stays until the next one
    const box = columns[k].frame.getBoundingClientRect(), side = run.sides[k];
    const place = (offset, length) => Math.max(0, Math.min(side - 1, Math.floor((offset / length) * side)));
    select(k, place(event.clientY - box.top, box.height) * side + place(event.clientX - box.left, box.width));
  }

  function focusMap(k) {
    if (run.scales[k] && !(state.token && state.token.scale === k)) select(k, 0);
  }

  function key(k, event) {
    const side = run.sides[k], at = state.token && state.token.scale === k ? state.token.index : 0;
    const y = Math.floor(at / side), x = at % side;
    const target = { ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1], ArrowUp: [y - 1, x], ArrowDown: [y + 1, x],
      Home: [y, 0], End: [y, side - 1] }[event.key];
    if (target) {
      event.preventDefault();
      select(k, Math.max(0, Math.min(side - 1, target[0])) * side + Math.max(0, Math.min(side - 1, target[1])));
    } else if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); ask(); }
    else if (event.key === 'Escape') { row = null; state.pinned = false; overlay(); describe(); }
  }

  // -- the token under the cursor

  function describe() {
    detail.replaceChildren();
    if (!state.token || !run.scales[state.token.scale]) { detail.append(make('p', { class: 'vx-hint' }, words.token_hint)); return; }
    const { scale, index } = state.token, s = run.scales[scale];
    const swatch = (rgb) => make('i', { class: 'vx-swatch', style: `background:rgb(${Array.from(rgb).join()})`, 'aria-hidden': 'true' });
    const place = { row: Math.floor(index / s.side) + 1, column: (index % s.side) + 1, side: s.side };
    const rows = [make('h3', {}, fill(words.token, place)),
      make('p', {}, swatch(bytes(s.colours).slice(3 * index, 3 * index + 3)), fill(words.code, { code: s.ids[index], codes: run.codes }))];
    const given = s.given && s.given[index];
    if (s.probability) rows.push(make('p', {}, fill(given ? words.chosen_given : words.chosen, { probability: percent(s.probability[index]), entropy: s.entropy[index].toFixed(2) })));
    if (s.top) {
      const list = make('ol', { class: 'vx-top', 'aria-label': words.candidates });
      const colours = bytes(s.top_colours), n = s.top[index].length;
      s.top[index].forEach((code, i) => list.append(make('li', { class: code === s.ids[index] ? 'vx-drawn' : '' },
        swatch(colours.slice(3 * (index * n + i), 3 * (index * n + i) + 3)), make('span', {}, String(code)),
        make('b', { style: `--share:${s.top_probability[index][i]}` }), make('span', {}, percent(s.top_probability[index][i])))));
      rows.push(make('p', { class: 'vx-hint' }, words.candidates), list);
    }
    if (row) rows.push(make('p', { class: 'vx-attends' }, fill(words.attends, { layer: state.layer + 1, head: state.head + 1,
      shares: masses().map((share, k) => `${run.sides[k]}\u00d7${run.sides[k]} ${percent(share)}`).join(', ') })));
    else if (host.row) rows.push(make('p', { class: 'vx-hint' }, words.attention_hint));
    if (row?.cut?.[state.layer][state.head]) rows.push(make('p', { class: 'vx-hint' }, fill(words.cut, { count: row.cut[state.layer][state.head] })));
    detail.append(...rows);
  }

  // -- attention

  const offset = (scale) => run.sides.slice(0, scale).reduce((n, s) => n + s * s, 0);
  const decode = (answer) => ({ shape: answer.shape, cut: answer.cut, values: new Uint16Array(bytes(answer.weights).buffer) });

  // what the chosen layer and head of the chosen token give to key i
  function weight(i) {
    const [, heads, keys] = row.shape;
    return row.values[(state.layer * heads + state.head) * keys + i] / 65535;
  }

  function masses() {
    return run.sides.slice(0, state.token.scale + 1).map((side, k) => {
      let sum = 0;
      for (let i = offset(k); i < offset(k + 1); i++) sum += weight(i);
      return sum;
    });
  }

  const whole = () => run && run.scales.length === run.sides.length;

  async function ask() {
    if (host.chosen && state.token && whole()) {
      state.pinned = true;
      host.chosen(run, state);
    }
    if (!host.row || !state.token || !whole()) return;
    const mine = ++asked, { scale, index } = state.token;
    root.dataset.attention = 'waiting';
    let answer = null;
    try { answer = await host.row(run, scale, index); } catch (error) { note.textContent = String(error.message || error); }
    if (mine !== asked || !state.token || state.token.scale !== scale || state.token.index !== index) return;
    row = answer && decode(answer);
    root.dataset.attention = row ? 'shown' : 'failed';
    describe();
    overlay();
  }

  async function askBlocks() {
    if (!host.blocks || !whole() || shares) { table(); return; }
    const about = run;
    let answer = null;
    try { answer = await host.blocks(run); } catch (error) { note.textContent = String(error.message || error); }
    if (about !== run || !answer) return;
    shares = decode(answer);
    table();
  }

  function overlay() {
    const on = row && state.token;
    let largest = 0;
    for (let i = 0; on && i < row.shape[2]; i++) largest = Math.max(largest, weight(i));
    const mass = on ? masses() : [];
    columns.forEach((c, k) => {
      const shown = on && k <= state.token.scale;
      c.overlay.style.display = shown ? 'block' : 'none';
      c.mass.textContent = shown ? percent(mass[k]) : '';
      if (!shown) return;
      const from = offset(k);
      paint(c.overlay, run.sides[k], (i) => [...heat(Math.sqrt(weight(from + i) / (largest || 1))), 255]);
    });
  }

  // scale-to-scale table: how much of its attention each scale gives to every coarser one
  function table() {
    if (!shares) { blocks.replaceChildren(); return; }
    const names = run.sides.map((side) => `${side}\u00d7${side}`), [, heads, K] = shares.shape;
    const share = (k, j) => shares.values[((state.layer * heads + state.head) * K + k) * K + j] / 65535;
    const header = make('tr', {}, make('td'), ...names.map((name) => make('th', { scope: 'col' }, name)));
    const body = names.map((name, k) => make('tr', {}, make('th', { scope: 'row' }, name), ...names.map((_, j) => (j > k ? make('td') :
      make('td', { style: `background:rgb(${heat(share(k, j)).join()});color:${share(k, j) > 0.55 ? '#000' : '#fff'}` },
        Math.round(100 * share(k, j)).toString())))));
    const caption = make('caption', {}, fill(words.blocks_caption, { layer: state.layer + 1, head: state.head + 1 }));
    blocks.replaceChildren(make('table', {}, caption, make('thead', {}, header), make('tbody', {}, ...body)));
  }

  buttons();
  // shows a token as a click does
  function choose(scale, index) {
    go(scale);
    select(scale, index);
    state.pinned = true;
  }

  return { show, state, stop, choose, run: () => run };
}
