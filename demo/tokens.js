// A picture taken apart: the explorer, other codes for a token, the error after every scale, and the picture beside itself.
//
//   const tokens = mount(element, { mountExplorer, words, candidates(query), replace(query) });
//   tokens.show(picture);   // as tokenize_tab.view makes it: an explorer's payload with `original` and `errors`
//
// What a visitor has replaced is kept here alone, one whole picture for every step, so that it can be undone.

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
const STEPS_KEPT = 100;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function paint(canvas, side, rgb) {
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) image.data.set([rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2], 255], 4 * i);
  canvas.getContext('2d').putImageData(image, 0, 0);
}

export function mount(root, host) {
  const { words } = host;
  let history = [], place = null, offered = null, asked = 0, shown = 0; // history: the picture as taken apart first, then every change

  const strip = make('div', { class: 'vx' });
  const swap = make('section', { class: 'vk-card vk-swap' });
  const errors = make('div', { class: 'vk-errors' });
  const figures = make('div', { class: 'vk-figures' });
  root.append(strip, swap, make('section', { class: 'vk-card vk-below' }, figures, errors));
  const explorer = host.mountExplorer(strip, {
    texts: { map: words.map, read_token: words.token_hint },
    changed: (scale) => { shown = scale; mark(); },
    chosen: (token) => { place = token; offer(); },
  });

  const now = () => history[history.length - 1];
  const whole = (picture) => picture && picture.scales.length === picture.sides.length;

  function show(picture) {
    if (!picture || !picture.sides) return;
    history = [picture];
    place = offered = null;
    draw();
  }

  function draw() {
    const picture = now();
    explorer.show(picture);
    if (place) explorer.choose(place.scale, place.index);
    root.dataset.replaced = replaced().length;
    drawErrors(picture);
    drawFigures(picture);
    drawSwap();
  }

  // [scale, token] of all codes that are not the encoder's own
  function replaced() {
    const found = [];
    if (whole(now())) now().scales.forEach((s, k) => s.ids.forEach((id, i) => id !== history[0].scales[k].ids[i] && found.push([k, i])));
    return found;
  }

  // -- other codes for a token

  async function offer() {
    const mine = ++asked, { scale, index } = place, picture = now(), own = history[0].scales[scale].ids[index];
    offered = null;
    drawSwap();
    const ids = picture.scales.map((s) => [...s.ids]);
    ids[scale][index] = own; // candidates stay those around the encoder's choice, whatever has been tried since
    try {
      const answer = await host.candidates({ model: picture.settings.model, ids, scale, token: index });
      if (mine !== asked) return;
      offered = answer;
      drawSwap();
    } catch (error) { if (mine === asked) drawSwap(String(error.message || error)); }
  }

  async function use(code) {
    const { scale, index } = place, picture = now();
    if (code === picture.scales[scale].ids[index]) return;
    const mine = ++asked;
    try {
      const answer = await host.replace({ model: picture.settings.model, ids: picture.scales.map((s) => s.ids), scale, token: index,
        code, original: picture.original });
      if (mine !== asked) return;
      history.push({ ...answer, subject: picture.subject, settings: picture.settings });
      if (history.length > STEPS_KEPT) history.splice(1, 1);
      now().note = fill(words.replaced, { count: replaced().length, psnr: now().errors.at(-1).psnr.toFixed(1) });
      draw();
    } catch (error) { if (mine === asked) drawSwap(String(error.message || error)); }
  }

  function undo(all) {
    asked++;
    history = all ? history.slice(0, 1) : history.slice(0, -1);
    draw();
  }

  function drawSwap(problem = '') {
    const picture = now(), focused = swap.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    swap.replaceChildren(make('h3', {}, words.swap));
    if (!place || !whole(picture)) { swap.append(make('p', { class: 'vk-hint' }, words.swap_hint)); return; }
    const { scale, index } = place, s = picture.scales[scale], code = s.ids[index], own = history[0].scales[scale].ids[index];
    swap.append(make('p', {}, fill(words.swap_at, { row: Math.floor(index / s.side) + 1, column: (index % s.side) + 1, side: s.side, code, own })));
    if (offered) {
      const { near } = offered, rgb = bytes(offered.colours);
      const button = (i) => {
        const picked = offered.codes[i], thumb = make('canvas', { 'aria-hidden': 'true' });
        if (offered.images[i]) paint(thumb, picture.size, bytes(offered.images[i]));
        const distance = fill(words.distance, { distance: offered.distances[i].toFixed(2) });
        return make('button', { type: 'button', class: 'vk-code', 'data-key': `code-${picked}`, 'aria-pressed': String(picked === code),
          onclick: () => use(picked) }, ...(offered.images[i] ? [thumb] : []),
          make('span', {}, make('i', { class: 'vk-swatch', style: `background:rgb(${rgb.slice(3 * i, 3 * i + 3).join()})`, 'aria-hidden': 'true' }), String(picked)),
          make('small', {}, i === 0 ? words.own : distance));
      };
      const list = (from, to) => make('div', { class: 'vk-codes' }, ...Array.from({ length: to - from }, (_, i) => button(from + i)));
      swap.append(make('h4', {}, words.near), list(0, near + 1));
      if (offered.codes.length > near + 1) swap.append(make('h4', {}, words.far), list(near + 1, offered.codes.length));
    } else if (!problem) swap.append(make('p', { class: 'vk-hint' }, words.waiting));
    const number = make('input', { type: 'number', min: 0, max: picture.codes - 1, step: 1, value: code, 'data-key': 'number',
      onkeydown: (e) => { if (e.key === 'Enter') use(Number(number.value)); } });
    const tool = (key, text, onclick, off = false) => make('button', { type: 'button', 'data-key': key, onclick, ...(off ? { disabled: '' } : {}) }, text);
    swap.append(make('div', { class: 'vk-tools' }, make('label', {}, make('span', {}, fill(words.number, { last: picture.codes - 1 })), number),
      tool('use', words.use, () => use(Number(number.value))),
      tool('undo', words.undo, () => undo(false), history.length < 2), tool('reset', words.reset, () => undo(true), history.length < 2)));
    swap.append(make('p', { class: 'vk-problem', role: 'status' }, problem));
    swap.dataset.offered = offered ? `${scale} ${index}` : '';
    if (focused) (swap.querySelector(`[data-key="${focused}"]:not(:disabled)`) || number).focus();
  }

  // -- errors and figures

  function drawErrors(picture) {
    errors.replaceChildren();
    if (!picture.errors.length) return;
    const best = Math.max(...picture.errors.map((e) => e.psnr)), worst = Math.max(...picture.errors.map((e) => e.mae), 1e-9);
    const most = Math.max(1, ...picture.errors.map((e) => e.residual));
    const bar = (kind, share) => make('i', { class: `vk-bar vk-${kind}`, style: `width:${(100 * Math.max(0, share)).toFixed(1)}%`, 'aria-hidden': 'true' });
    const cell = (text, kind, share) => make('td', {}, make('span', {}, text), bar(kind, share));
    const body = picture.errors.map((e, k) => make('tr', { 'data-scale': k }, make('th', { scope: 'row' }, `${picture.sides[k]} \u00d7 ${picture.sides[k]}`),
      cell(`${(100 * e.residual).toFixed(1)} %`, 'residual', e.residual / most), cell(fill(words.decibel, { value: e.psnr.toFixed(1) }), 'psnr', e.psnr / best),
      cell(`${(100 * e.mae).toFixed(1)} %`, 'mae', e.mae / worst)));
    const head = [words.scale, words.residual, words.psnr, words.mae].map((text) => make('th', { scope: 'col' }, text));
    errors.append(make('table', {}, make('caption', {}, words.errors), make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...body)),
      make('p', { class: 'vk-hint' }, words.errors_note));
    mark();
  }

  // the scale that is shown last
  function mark() {
    for (const row of errors.querySelectorAll('tbody tr')) row.classList.toggle('vk-current', Number(row.dataset.scale) === shown);
  }

  function drawFigures(picture) {
    figures.replaceChildren();
    if (!whole(picture) || !picture.original) return;
    const original = bytes(picture.original), result = bytes(picture.scales.at(-1).image);
    const changed = replaced().length > 0, base = changed ? bytes(history[0].scales.at(-1).image) : original;
    const difference = result.map((v, i) => 128 + Math.max(-128, Math.min(127, v - base[i])));
    const psnr = picture.errors.at(-1).psnr.toFixed(1);
    for (const [key, rgb, caption] of [['original', original, words.original], ['result', result, fill(words.rebuilt, { psnr })],
      ['difference', difference, changed ? words.changed : words.missing]]) {
      const canvas = make('canvas', { role: 'img', 'aria-label': `${picture.subject}: ${caption}`, 'data-figure': key });
      paint(canvas, picture.size, rgb);
      figures.append(make('figure', {}, canvas, make('figcaption', {}, caption)));
    }
  }

  return { show };
}
