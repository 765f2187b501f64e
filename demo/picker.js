// Pictures to take apart: samples as buttons, and a canvas to draw on by mouse, finger or keyboard.
//
//   const picker = mount(element, { words, named(name), sample(name), drawing(dataUri) });
//   picker.show({ size, channels, samples: [{ name, image }] });

const GREYS = { white: '#ffffff', light: '#aaaaaa', dark: '#555555', black: '#000000' };
const COLOURS = { black: '#111111', white: '#ffffff', red: '#d7261e', orange: '#f08c00', yellow: '#fcc21b', green: '#4c9f38',
  blue: '#2a6fdb', purple: '#8e44ad', brown: '#7b4a2b', pink: '#f48fb1' };
const SIDE = 280; // pixels of the canvas, about
const STEPS = 28; // steps of an arrow key from edge to edge
const WAIT_MS = 150; // after the last stroke, before the drawing is sent

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
  const { words } = host;
  const pen = { colour: '#ffffff', width: 1 / 12, x: 0.5, y: 0.5, down: false, pointer: null };
  let kind = '', timer = null, paper = '#000000';

  const samples = make('div', { class: 'vp-samples', role: 'group', 'aria-label': words.samples });
  const canvas = make('canvas', { class: 'vp-canvas', tabindex: 0, role: 'application', 'aria-label': words.canvas });
  const cursor = make('i', { class: 'vp-cursor', 'aria-hidden': 'true' });
  const palette = make('div', { class: 'vp-palette', role: 'group', 'aria-label': words.palette });
  const width = make('input', { type: 'range', min: 2, max: 20, value: 8, 'aria-label': words.width,
    oninput: () => { pen.width = width.value / 100; place(); } });
  const clear = make('button', { type: 'button', onclick: () => { wipe(); say(words.cleared); } }, words.clear);
  const status = make('span', { class: 'vp-status', role: 'status' });
  const titles = [make('h3', {}, words.samples), make('h3', {}, words.draw)];
  const left = make('div', { class: 'vp-part vp-left' }, titles[0], samples);
  root.append(left, make('div', { class: 'vp-part' }, titles[1],
    make('div', { class: 'vp-board' }, make('div', { class: 'vp-sheet' }, canvas, cursor),
      make('div', { class: 'vp-tools' }, palette, make('label', {}, make('span', {}, words.width), width), clear, status,
        make('p', { class: 'vp-hint' }, words.draw_hint)))));
  pen.width = width.value / 100;
  const context = canvas.getContext('2d');

  function say(text) { status.textContent = text; }

  function show(value) {
    if (!value || !value.size) return;
    samples.replaceChildren(...value.samples.map(({ name, image }) => make('button', { type: 'button', title: host.named(name),
      onclick: () => host.sample(name) }, make('img', { src: image, alt: '' }), make('span', {}, host.named(name)))));
    left.hidden = value.samples.length === 0;
    const next = `${value.size} ${value.channels}`;
    if (next === kind) return;
    kind = next;
    canvas.width = canvas.height = value.size * Math.max(1, Math.round(SIDE / value.size));
    const colours = value.channels === 1 ? GREYS : COLOURS;
    paper = value.channels === 1 ? '#000000' : '#ffffff'; // grey models were trained on bright things on black
    palette.replaceChildren(...Object.entries(colours).map(([name, colour]) => make('button', { type: 'button',
      style: `background:${colour}`, 'aria-label': words[`colour_${name}`], title: words[`colour_${name}`], 'data-colour': colour,
      onclick: () => { pen.colour = colour; pressed(); } })));
    pen.colour = Object.values(colours)[0];
    pressed();
    wipe();
  }

  function pressed() {
    for (const button of palette.children) button.setAttribute('aria-pressed', String(button.dataset.colour === pen.colour));
    place();
  }

  function wipe() {
    clearTimeout(timer);
    context.fillStyle = paper;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }

  function line(x, y) {
    const n = canvas.width;
    Object.assign(context, { strokeStyle: pen.colour, lineWidth: Math.max(1, pen.width * n), lineCap: 'round', lineJoin: 'round' });
    context.beginPath();
    context.moveTo(pen.x * n, pen.y * n);
    context.lineTo(x * n + 0.01, y * n); // a line of no length would not be drawn
    context.stroke();
  }

  function move(x, y, draw) {
    if (draw) line(x, y);
    pen.x = x;
    pen.y = y;
    place();
  }

  function place() {
    Object.assign(cursor.style, { left: `${100 * pen.x}%`, top: `${100 * pen.y}%`, width: `${100 * pen.width}%`,
      height: `${100 * pen.width}%`, background: pen.down ? pen.colour : 'transparent' });
  }

  function send() {
    clearTimeout(timer);
    timer = setTimeout(() => host.drawing(canvas.toDataURL('image/png')), WAIT_MS);
  }

  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  canvas.addEventListener('pointerdown', (event) => {
    pen.pointer = event.pointerId;
    canvas.setPointerCapture(event.pointerId);
    move(...at(event), false);
    move(...at(event), true);
  });
  canvas.addEventListener('pointermove', (event) => { if (event.pointerId === pen.pointer) move(...at(event), true); });
  for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, (event) => {
    if (event.pointerId !== pen.pointer) return;
    pen.pointer = null;
    send();
  });
  canvas.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const inside = (value) => Math.min(1, Math.max(0, value));
    if (by) move(inside(pen.x + by[0] / STEPS), inside(pen.y + by[1] / STEPS), pen.down);
    else if (event.key === ' ') {
      pen.down = !pen.down;
      move(pen.x, pen.y, pen.down);
      say(pen.down ? words.pen_down : words.pen_up);
    } else return;
    event.preventDefault();
    if (pen.down || event.key === ' ') send();
  });
  canvas.addEventListener('blur', () => { pen.down = false; place(); });

  return { show };
}
