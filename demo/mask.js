// The board of the edit tab: a picture, and a mask brushed on it at the grid of the last token map.
//
//   const editor = mount(element, { words, named(name), plan(query), sources, redraw(query) });
//   editor.show(start);   // as edit_tab.start makes it: { model, subject, facts, sides, ids, image, samples }
//   editor.redraw();      // asks for what is marked, or says what is still missing
//
// `plan({ model, mask })` returns the promise of { scales }: which tokens of every scale are drawn anew. `sources` bring start
// pictures: sample(name) asks for one; run(), picture(), result() return what other explorers show, take(run) asks for that one.

const WAIT_MS = 120; // after the last brush stroke, before the plan is asked for
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

export function mount(root, host) {
  const { words, sources } = host;
  let start = null, side = 0, mask = [], cells = [], at = [0, 0], brushing = null, timer = null, asked = 0;

  const button = (text, onclick, kind = '') => make('button', { type: 'button', class: kind, onclick }, text);
  const say = (text) => { status.textContent = text; };
  const taken = (find) => () => {
    const run = find();
    if (!run || !run.settings?.model || run.scales.length < run.sides.length) { say(words.none); return; }
    sources.take(run);
  };
  const samples = make('div', { class: 'vp-samples ve-samples', role: 'group', 'aria-label': words.samples });
  const picture = make('img', { alt: '' });
  const grid = make('div', { class: 've-grid', 'aria-hidden': 'true' });
  const board = make('div', { class: 've-board', tabindex: 0, role: 'application', 'aria-label': words.board }, picture, grid);
  const brush = make('select', { 'aria-label': words.brush }, ...[1, 2, 3].map((n) => make('option', { value: n }, `${n} \u00d7 ${n}`)));
  const status = make('p', { class: 've-status', role: 'status' });
  const title = make('h3', {}, words.start);
  const plans = make('ol', { class: 've-plan', 'aria-label': words.plan });
  const presets = [['left', (x) => x < Math.floor(side / 2)], ['middle', (x, y) => Math.min(x, y, side - 1 - x, side - 1 - y) >= side / 4],
    ['border', (x, y) => Math.min(x, y, side - 1 - x, side - 1 - y) < Math.max(1, Math.floor(side / 7))], ['all', () => true], ['clear', () => false],
    ['invert', (x, y) => !mask[y * side + x]]];
  root.append(
    make('section', { class: 'vp-part ve-start' }, title, make('p', { class: 'vp-hint' }, words.start_note), make('div', { class: 've-row' },
      button(words.from_run, taken(sources.run)), button(words.from_picture, taken(sources.picture)),
      button(words.from_result, taken(sources.result))), samples),
    make('section', { class: 'vp-part ve-mask' }, make('h3', {}, words.mask),
      make('div', { class: 've-work' }, board, make('div', { class: 've-tools' },
        make('div', { class: 've-row' }, ...presets.map(([name, rule]) => {
          const preset = button(words[name], () => { fillMask(rule); }, '');
          preset.dataset.preset = name;
          return preset;
        })),
        make('label', {}, make('span', {}, words.brush), brush), make('p', { class: 'vp-hint' }, words.hint))),
      make('h4', {}, words.plan), plans, make('p', { class: 'vp-hint' }, words.plan_note), status));

  function show(next) {
    if (!next || !next.sides) return;
    const same = start && next.sides.join() === start.sides.join();
    start = next;
    side = next.sides[next.sides.length - 1];
    const about = [host.named(next.subject), next.facts].filter(Boolean).join(' \u00b7 ');
    title.textContent = about ? fill(words.start_of, { subject: about }) : words.start;
    samples.replaceChildren(...next.samples.map(({ name, image }) => make('button', { type: 'button', title: host.named(name), onclick: () => sources.sample(name) },
      make('img', { src: image, alt: '' }), make('span', {}, host.named(name)))));
    picture.hidden = !next.image;
    if (next.image) picture.src = next.image;
    picture.alt = next.subject;
    root.dataset.start = next.ids.length ? next.subject : '';
    say('');
    if (same) return; // the mask stays
    mask = Array.from({ length: side * side }, (_, i) => (presets[0][1](i % side, Math.floor(i / side)) ? 1 : 0));
    at = [0, 0];
    cells = mask.map(() => make('i'));
    grid.style.setProperty('--side', side);
    grid.replaceChildren(...cells);
    refresh();
  }

  function refresh() {
    cells.forEach((cell, i) => {
      cell.className = [mask[i] ? 've-on' : '', i === at[1] * side + at[0] ? 've-at' : ''].join(' ').trim();
    });
    const count = mask.filter(Boolean).length;
    root.dataset.masked = count;
    board.setAttribute('aria-label', `${words.board} ${fill(words.masked, { count, all: mask.length })}`);
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  }

  function fillMask(rule) {
    mask = mask.map((_, i) => (rule(i % side, Math.floor(i / side)) ? 1 : 0));
    refresh();
  }

  // which tokens of every scale this mask redraws, before anything is drawn
  async function ask() {
    const mine = ++asked;
    try {
      const { scales } = await host.plan({ model: start.model, mask });
      if (mine !== asked) return;
      plans.replaceChildren(...scales.map((where, k) => make('li', {},
        make('div', { class: 've-mini', style: `--side:${start.sides[k]}`, 'aria-hidden': 'true' }, ...where.map((on) => make('i', { class: on ? 've-on' : '' }))),
        make('span', {}, `${start.sides[k]} \u00d7 ${start.sides[k]}`),
        make('small', {}, fill(words.plan_of, { drawn: where.filter(Boolean).length, count: where.length })))));
      root.dataset.plan = mask.join('');
    } catch (error) { if (mine === asked) say(String(error.message || error)); }
  }

  // -- brushing

  function dab(x, y, value) {
    const size = Number(brush.value), from = Math.floor((size - 1) / 2);
    for (let j = 0; j < size; j++) for (let i = 0; i < size; i++) {
      const u = x - from + i, v = y - from + j;
      if (u >= 0 && v >= 0 && u < side && v < side) mask[v * side + u] = value;
    }
  }

  function stroke(x, y) { // every cell between the last place and this one, however fast the pointer moves
    const [x0, y0] = brushing.last, steps = Math.max(Math.abs(x - x0), Math.abs(y - y0), 1);
    for (let i = 0; i <= steps; i++) dab(Math.round(x0 + ((x - x0) * i) / steps), Math.round(y0 + ((y - y0) * i) / steps), brushing.value);
    brushing.last = at = [x, y];
    refresh();
  }

  const cellAt = (event) => {
    const box = grid.getBoundingClientRect();
    const place = (offset, length) => Math.max(0, Math.min(side - 1, Math.floor((offset / length) * side)));
    return [place(event.clientX - box.left, box.width), place(event.clientY - box.top, box.height)];
  };
  board.addEventListener('pointerdown', (event) => {
    if (event.button || !side) return;
    board.setPointerCapture(event.pointerId);
    const [x, y] = cellAt(event);
    brushing = { pointer: event.pointerId, value: mask[y * side + x] ? 0 : 1, last: [x, y] };
    stroke(x, y);
  });
  board.addEventListener('pointermove', (event) => { if (brushing?.pointer === event.pointerId) stroke(...cellAt(event)); });
  for (const name of ['pointerup', 'pointercancel']) board.addEventListener(name, (event) => { if (brushing?.pointer === event.pointerId) brushing = null; });
  board.addEventListener('dragstart', (event) => event.preventDefault());
  board.addEventListener('keydown', (event) => {
    const [x, y] = at;
    const target = { ArrowLeft: [x - 1, y], ArrowRight: [x + 1, y], ArrowUp: [x, y - 1], ArrowDown: [x, y + 1], Home: [0, y], End: [side - 1, y] }[event.key];
    if (target) at = target.map((v) => Math.max(0, Math.min(side - 1, v)));
    else if (event.key === ' ') {
      dab(x, y, mask[y * side + x] ? 0 : 1);
      say(fill(mask[y * side + x] ? words.cell_on : words.cell_off, { row: y + 1, column: x + 1 }));
    } else return;
    event.preventDefault();
    refresh();
  });

  function redraw() {
    if (!start?.ids.length) say(words.no_picture);
    else if (!mask.includes(1)) say(words.no_mask);
    else {
      say('');
      host.redraw({ model: start.model, ids: start.ids, mask });
    }
  }

  return { show, redraw };
}
