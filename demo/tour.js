// The guided tour: one question a step, answered before anything moves, then the reason, then the place to look at.
//
//   mount(element, { words, steps, values })
//
// `steps` are { name, chapter, target, right }: the texts of a step are words[name + '_title'], '_look', '_question', '_a', '_b',
// '_c', '_why' and '_try'; `target` is the selector of what to look at, in the chapter of that name, or on the first screen.
// `values` fill the braces of the texts. What the visitor has answered stays in the browser alone (localStorage).

const KEY = 'var-mini-tour';
const ANSWERS = ['a', 'b', 'c'];
const PATIENCE_MS = 5000; // a chapter may still be made
const FAR = 2; // windows: from here on the page does not scroll there but is there at once

export function mount(root, host) {
  const { words, steps, values } = host;
  const fill = (text, more = {}) => text.replace(/\{(\w+)\}/g, (_, key) => ({ ...values, ...more })[key]);
  const state = restore();
  let shown = null; // the element that is outlined

  // -- what is remembered: anybody may have written it, so everything is checked

  function restore() {
    const fresh = { open: false, step: 0, answers: {} };
    let saved = null;
    try { saved = JSON.parse(localStorage.getItem(KEY)); } catch { return fresh; }
    if (typeof saved !== 'object' || saved === null) return fresh;
    fresh.open = saved.open === true;
    if (Number.isInteger(saved.step) && saved.step >= 0 && saved.step <= steps.length) fresh.step = saved.step;
    for (const { name } of steps) {
      const answer = Object(saved.answers)[name];
      if (Number.isInteger(answer) && answer >= 0 && answer < ANSWERS.length) fresh.answers[name] = answer;
    }
    return fresh;
  }

  function save() {
    try { localStorage.setItem(KEY, JSON.stringify(state)); } catch { /* a browser that keeps nothing: the tour still works */ }
  }

  // -- small helpers

  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  const button = (name, act, kind = '') => make('button', { type: 'button', class: `vt-button ${kind}`, 'data-act': name, onclick: act },
    fill(words[name]));
  const answered = () => Object.keys(state.answers).length;
  const right = () => steps.filter((s) => state.answers[s.name] === s.right).length;
  const look = (step) => (step.chapter === 'first' ? words.look_first : fill(words.look, { chapter: values[`chapter_${step.chapter}`] }));
  const place = () => fill(words.progress, { step: Math.min(state.step + 1, steps.length), steps: steps.length });

  // -- the three looks: closed (one line), open (a card in the page), docked (a bar at the foot while the visitor looks)

  function render(focus) {
    unmark();
    root.dataset.look = state.open ? 'open' : 'closed';
    root.replaceChildren(state.open ? (state.step < steps.length ? card(steps[state.step]) : summary()) : bar());
    if (focus) root.querySelector(focus)?.focus({ preventScroll: false });
  }

  function bar() {
    const begun = state.step > 0 || answered() > 0;
    const about = begun ? place() : fill(words.about, { steps: steps.length });
    return make('div', { class: 'vt-bar' }, make('h2', {}, words.name), make('p', {}, about),
      make('div', { class: 'vt-row' }, button(begun ? 'resume' : 'start', () => { state.open = true; go(state.step); }, 'vt-primary')));
  }

  function card(step) {
    const given = state.answers[step.name];
    const reveal = make('div', { class: 'vt-reveal', role: 'status', tabindex: -1 });
    const check = button('check', () => {
      const chosen = root.querySelector('input:checked');
      if (!chosen) { reveal.replaceChildren(make('p', {}, words.choose)); return; }
      state.answers[step.name] = +chosen.value;
      save();
      tell(step, reveal);
      reveal.focus();
    }, 'vt-primary');
    const choices = ANSWERS.map((letter, i) => {
      const input = make('input', { type: 'radio', name: 'vt-answer', value: i });
      input.checked = given === i;
      return make('label', { class: 'vt-choice' }, input, make('span', {}, fill(words[`${step.name}_${letter}`])));
    });
    const question = make('fieldset', { class: 'vt-question' }, make('legend', {}, fill(words[`${step.name}_question`])), ...choices, check);
    const node = make('div', { class: 'vt-card' }, header(fill(words[`${step.name}_title`])),
      make('div', { class: 'vt-look' }, make('p', {}, make('b', {}, look(step)), ' ', fill(words[`${step.name}_look`])),
        button('show', () => show(step))),
      question, reveal, footer());
    if (given !== undefined) tell(step, reveal, node);
    return node;
  }

  // marks the answers, gives the reason, and closes the question
  function tell(step, reveal, node = root) {
    const given = state.answers[step.name], good = given === step.right;
    node.querySelectorAll('.vt-choice').forEach((label, i) => {
      label.querySelector('input').disabled = true;
      if (i !== step.right && i !== given) return;
      label.dataset.mark = i === step.right ? 'right' : 'wrong';
      label.append(make('i', {}, i === step.right ? words.mark_right : words.mark_yours));
    });
    node.querySelector('[data-act=check]').remove();
    node.querySelector('.vt-on').classList.add('vt-primary');
    reveal.replaceChildren(make('p', {}, make('b', {}, good ? words.right : words.wrong), ' ', fill(words[`${step.name}_why`])),
      make('p', {}, make('b', {}, words.try), ' ', fill(words[`${step.name}_try`])));
  }

  function header(title) {
    return make('div', { class: 'vt-head' },
      make('h2', { tabindex: -1, class: 'vt-title' }, make('span', { class: 'vt-progress' }, place()), title),
      button('leave', () => { state.open = false; save(); render('[data-act]'); }));
  }

  function footer() {
    const row = make('div', { class: 'vt-row' });
    if (state.step > 0) row.append(button('back', () => go(state.step - 1)));
    row.append(button(state.step + 1 < steps.length ? 'next' : 'finish', () => go(state.step + 1), 'vt-on'));
    return row;
  }

  function summary() {
    const score = fill(words.score, { right: right(), answered: answered(), steps: steps.length });
    return make('div', { class: 'vt-card' }, header(words.end), make('p', {}, score), make('p', {}, words.end_note),
      make('div', { class: 'vt-row' }, button('back', () => go(steps.length - 1)),
        button('again', () => { state.answers = {}; go(0); }, 'vt-primary')));
  }

  function go(step) {
    state.step = Math.max(0, Math.min(step, steps.length));
    save();
    render('.vt-title');
  }

  // -- the place to look at

  async function find(step) {
    const panel = step.chapter === 'first' ? '#vm-first' : `#vm-tab-${step.chapter}`, until = Date.now() + PATIENCE_MS;
    const visible = (selector) => { const e = document.querySelector(selector); return e && e.getClientRects().length ? e : null; };
    while (Date.now() < until) {
      const found = visible(`${panel} ${step.target}`);
      if (found) return found;
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
    return visible(panel);
  }

  async function show(step) {
    const found = await find(step);
    if (!found || !state.open || steps[state.step] !== step) return;
    dock(step);
    mark(found);
  }

  function mark(found) {
    shown = found;
    found.setAttribute('data-vt-shown', '');
    if (!found.matches('a, button, input, select, [tabindex]')) { found.tabIndex = -1; found.dataset.vtMadeFocusable = ''; }
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const { top, height } = found.getBoundingClientRect(), tall = height > innerHeight - 200, far = Math.abs(top) > FAR * innerHeight;
    found.focus({ preventScroll: true });
    found.scrollIntoView({ behavior: calm || far ? 'auto' : 'smooth', block: tall ? 'start' : 'center' });
  }

  function unmark() {
    if (!shown) return;
    shown.removeAttribute('data-vt-shown');
    if ('vtMadeFocusable' in shown.dataset) { shown.removeAttribute('tabindex'); delete shown.dataset.vtMadeFocusable; }
    shown = null;
  }

  function dock(step) {
    unmark();
    const known = state.answers[step.name] !== undefined;
    const text = known ? [make('b', {}, words.try), ' ', fill(words[`${step.name}_try`])] : [make('b', {}, look(step)), ' ', fill(words[`${step.name}_look`])];
    const note = make('p', { role: 'status' });
    root.dataset.look = 'docked';
    root.replaceChildren(make('div', { class: 'vt-dock' }, note, make('div', { class: 'vt-row' }, button('return', back, 'vt-primary'))));
    note.append(...text);
  }

  function back() {
    render('.vt-title');
    root.scrollIntoView({ block: 'nearest' });
  }

  // Escape brings back to the tour, unless it is meant for something inside what is shown
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && root.dataset.look === 'docked' && (event.target === shown || root.contains(event.target))) back();
  });

  root.classList.add('vt');
  root.setAttribute('aria-label', words.name);
  render();
}
