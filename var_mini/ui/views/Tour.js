// The guided tour: one question a step, answered before anything moves, then the reason, then the place to look at. It has three looks:
// closed (one line), open (a card in the page), docked (a bar at the foot while the visitor looks). What is answered stays in the browser.

import { html, render, useLayoutEffect, useRef, useState } from '../vendor/preact-htm.js';
import { GOES } from '../lib/address.js';
import { fill } from '../lib/format.js';
import { ANSWERS, begun, clamped, KEY, placeOf, restored, scoreOf, stored } from '../lib/tour.js';

const PATIENCE_MS = 5000; // a chapter may still be made
const LOOK_MS = 50;
const FAR = 2; // windows: from here on the page does not scroll there but is there at once
const DOCK = 200; // pixels of the window that the bar at its foot may take
const TITLE = '.vt-title';
const FOCUSABLE = 'a, button, input, select, [tabindex]';

function remembered() {
  try { return localStorage.getItem(KEY); } catch { return null; }
}
function remember(state) {
  try { localStorage.setItem(KEY, stored(state)); } catch { /* a browser that keeps nothing: the tour still works */ }
}

// the element to look at, once it is there; in the end what is around it, or null
async function find({ chapter, target }) {
  const panel = chapter === 'first' ? '#vm-first' : `#vm-chapter-${chapter}`, until = Date.now() + PATIENCE_MS;
  const visible = (selector) => [document.querySelector(selector)].find((element) => element?.getClientRects().length) ?? null;
  while (Date.now() < until) {
    const found = visible(`${panel} ${target}`);
    if (found) return found;
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
  }
  return visible(panel);
}

// outlines an element and brings it into view with the focus; returns what ends that
function outline(element, calm) {
  const made = !element.matches(FOCUSABLE), { top, height } = element.getBoundingClientRect();
  element.setAttribute('data-vt-shown', '');
  if (made) element.tabIndex = -1;
  element.focus({ preventScroll: true });
  element.scrollIntoView({ behavior: calm || Math.abs(top) > FAR * innerHeight ? 'auto' : 'smooth', block: height > innerHeight - DOCK ? 'start' : 'center' });
  return () => {
    element.removeAttribute('data-vt-shown');
    if (made) element.removeAttribute('tabindex');
  };
}

const Button = ({ name, words, act, kind = '' }) => html`<button type="button" class=${`vt-button ${kind}`} data-act=${name} onclick=${act}>${words[name]}</button>`;

function Head({ state, steps, words, title, leave }) {
  return html`<div class="vt-head"><h2 tabindex="-1" class="vt-title"><span class="vt-progress">${words.name} · ${fill(words.progress, placeOf(state, steps))}</span>${title}</h2>
    <${Button} name="leave" words=${words} act=${leave} /></div>`;
}

function Closed({ state, steps, words, acts }) {
  const again = begun(state);
  return html`<div class="vt-bar"><h2>${words.name}</h2><p>${again ? fill(words.progress, placeOf(state, steps)) : fill(words.about, { steps: steps.length })}</p>
    <div class="vt-row"><${Button} name=${again ? 'resume' : 'start'} words=${words} act=${acts.open} kind="vt-primary" /></div></div>`;
}

// where to look, or what to try once the question is answered
function Advice({ step, known, words, text, values }) {
  const where = step.chapter === 'first' ? words.look_first : fill(words.look, { chapter: values[`chapter_${step.chapter}`] });
  return html`<b>${known ? words.try : where}</b> ${text(known ? `${step.name}_try` : `${step.name}_look`)}`;
}

function Card({ step, state, steps, words, text, values, acts }) {
  const given = state.answers[step.name], known = given !== undefined, [chosen, setChosen] = useState(given), [asked, setAsked] = useState(false);
  const check = () => (chosen === undefined ? setAsked(true) : acts.answer(step, chosen));
  const mark = (i) => known && ((i === step.right && 'right') || (i === given && 'wrong'));
  const told = html`<p><b>${given === step.right ? words.right : words.wrong}</b> ${text(`${step.name}_why`)}</p><p><${Advice} ...${{ step, known, words, text, values }} /></p>`;
  return html`<div class="vt-card"><${Head} ...${{ state, steps, words, leave: acts.leave }} title=${text(`${step.name}_title`)} />
    <div class="vt-look"><p><${Advice} ...${{ step, words, text, values }} /></p><${Button} name="show" words=${words} act=${() => acts.show(step)} /></div>
    <fieldset class="vt-question"><legend>${text(`${step.name}_question`)}</legend>${ANSWERS.map((letter, i) => html`<label key=${letter} class="vt-choice" data-mark=${mark(i) || undefined}>
        <input type="radio" name="vt-answer" value=${i} checked=${chosen === i} disabled=${known} onchange=${() => setChosen(i)} /><span>${text(`${step.name}_${letter}`)}</span>
        ${mark(i) && html`<i>${mark(i) === 'right' ? words.mark_right : words.mark_yours}</i>`}</label>`)}
      ${!known && html`<${Button} name="check" words=${words} act=${check} kind="vt-primary" />`}</fieldset>
    <div class="vt-reveal" role="status" tabindex="-1">${known ? told : asked && html`<p>${words.choose}</p>`}</div>
    <div class="vt-row">${state.step > 0 && html`<${Button} name="back" words=${words} act=${() => acts.go(state.step - 1)} />`}
      <${Button} name=${state.step + 1 < steps.length ? 'next' : 'finish'} words=${words} act=${() => acts.go(state.step + 1)} kind=${known ? 'vt-primary' : ''} /></div></div>`;
}

function End({ state, steps, words, acts }) {
  return html`<div class="vt-card"><${Head} ...${{ state, steps, words, leave: acts.leave }} title=${words.end} />
    <p>${fill(words.score, scoreOf(state, steps))}</p><p>${words.end_note}</p><div class="vt-row"><${Button} name="back" words=${words} act=${() => acts.go(steps.length - 1)} />
      <${Button} name="again" words=${words} act=${acts.again} kind="vt-primary" /></div></div>`;
}

function Docked({ step, state, words, text, values, acts }) {
  const known = state.answers[step.name] !== undefined;
  return html`<div class="vt-dock"><p role="status"><${Advice} ...${{ step, known, words, text, values }} /></p>
    <div class="vt-row"><${Button} name="return" words=${words} act=${acts.back} kind="vt-primary" /></div></div>`;
}

// `shown` is the element that is looked at; `focus` a selector of what the keyboard goes on from, for the change that names it
function Tour({ root, words, values, steps, calm }) {
  const [state, setState] = useState(() => ({ ...restored(remembered(), steps), shown: null })), focus = useRef(''), { shown } = state;
  const text = (name) => fill(words[name], values), step = steps[state.step];
  const change = (some, next) => {
    focus.current = next;
    setState({ ...state, shown: null, ...some });
  };
  const keep = (some, next) => {
    remember({ ...state, ...some });
    change(some, next);
  };
  const acts = {
    go: (to) => keep({ step: clamped(to, steps) }, TITLE),
    open: () => keep({ open: true }, TITLE),
    leave: () => keep({ open: false }, '[data-act]'),
    answer: ({ name }, chosen) => keep({ answers: { ...state.answers, [name]: chosen } }, '.vt-reveal'),
    again: () => keep({ step: 0, answers: {} }, TITLE),
    back: () => change({}, TITLE),
    async show(one) { // unless the visitor has gone on meanwhile
      const found = await find(one);
      if (found) setState((now) => (now.open && steps[now.step] === one ? { ...now, shown: found } : now));
    },
  };
  useLayoutEffect(() => {
    root.dataset.look = !state.open ? 'closed' : shown ? 'docked' : 'open';
    if (focus.current) root.querySelector(focus.current)?.focus({ preventScroll: focus.current === TITLE });
    if (focus.current === TITLE) root.scrollIntoView({ block: 'start' }); // each question at the same place
    focus.current = '';
  });
  useLayoutEffect(() => {
    if (!shown) return undefined;
    const restore = outline(shown, calm);
    // unless it is meant for something inside what is shown
    const escape = ({ key, target }) => { if (key === 'Escape' && (target === shown || root.contains(target))) acts.back(); };
    const home = ({ detail }) => { if (detail === 'tour') acts.back(); }; // to where the card would be missing
    document.addEventListener('keydown', escape);
    addEventListener(GOES, home);
    return () => {
      document.removeEventListener('keydown', escape);
      removeEventListener(GOES, home);
      restore();
    };
  }, [shown]);
  const part = { state, steps, words, text, values, acts };
  if (!state.open) return html`<${Closed} ...${part} />`;
  if (!step) return html`<${End} ...${part} />`;
  return shown ? html`<${Docked} step=${step} ...${part} />` : html`<${Card} key=${step.name} step=${step} ...${part} />`;
}

// `steps` are { name, chapter, target, right }: a step has the texts NAME_title, _look, _question, _a, _b, _c, _why and _try of `words`, whose
// braces `values` fill; `target` is the selector of what to look at, in the chapter of that name or on the first screen.
export function mountTour(root, { words, values, steps, calm }) {
  root.setAttribute('aria-label', words.name);
  render(html`<${Tour} ...${{ root, words, values, steps, calm }} />`, root);
}
