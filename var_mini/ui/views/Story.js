// The first three chapters: text beside a live view of the same run as the first screen. Others follow below them, see lib/story.js.

import { html, render, useEffect, useMemo, useRef, useState } from '../vendor/preact-htm.js';
import { conditionOf } from '../lib/condition.js';
import { milliseconds, wordsOf } from '../lib/format.js';
import { enlarged, recoloured, rgbAt, shrunk } from '../lib/pixels.js';
import { createRace, steps, timesOf } from '../lib/race.js';
import { added, moved, whole } from '../lib/run.js';
import { around, numberOf } from '../lib/story.js';
import { useStore } from '../lib/use.js';
import { Canvas } from '../parts/Canvas.js';
import { Place, placeOf } from '../parts/Map.js';
import { pixelsOf } from '../parts/Pyramid.js';
import { Swatch } from '../parts/Token.js';

const GREY = 128;
const STAGES = ['before', 'rest', 'code', 'enlarge', 'phi', 'add'];
const STAGE_MS = 900;

// the end of a place: the ways back and on
export function Ways({ id, there, word }) {
  const { before, after } = around(id, there);
  const name = (one) => html`${numberOf(one) > 0 && html`<b>${numberOf(one)}</b> `}${word(`${one}_title`)}`;
  return html`<p class="vu-ways">${before && html`<a class="vu-before" href=${`#${before}`}><span aria-hidden="true">\u2190</span> ${name(before)}</a>`}
    ${after && html`<a class="vu-after" href=${`#${after}`}>${word('next')} ${name(after)} <span aria-hidden="true">\u2192</span></a>`}</p>`;
}

// what a chapter asks and, where its words tell it, how that works: folded, a paragraph a line
export function Ask({ name, all, word }) {
  return html`<p>${word(`${name}_ask`)}</p>${all[`${name}_how`] && html`<details class="vu-how"><summary>${word('how')}</summary>
    ${word(`${name}_how`).split('\n').map((text) => html`<p key=${text}>${text}</p>`)}</details>`}`;
}

// of one that stands `apart` this is only the head; it ends further down
export function Chapter({ id, there, word, apart = false, children }) {
  const number = numberOf(id);
  return html`<section class="vu-chapter" id=${id} aria-label=${word(`${id}_title`)}><h2>${number > 0 && html`<span>${number}</span>`}${word(`${id}_title`)}</h2>
    <div class="vu-chapter-body">${children}</div>${!apart && html`<${Ways} ...${{ id, there, word }} />`}</section>`;
}

// 1: the finished picture uncovered token by token, beside the same picture scale by scale: by their seconds where the run has any
function Race({ run, word, calm, measured }) {
  const side = run.sides.at(-1), last = pixelsOf(run.scales.at(-1)).image, tokens = side * side, scales = run.sides.length;
  const times = useMemo(() => timesOf(run), [run]);
  const [at, setAt] = useState({ raster: tokens, scales, seconds: Infinity, running: false });
  const race = useMemo(() => createRace(times ?? steps(tokens, scales), Boolean(times), setAt), [run]);
  useEffect(() => race.stop, [race]);
  const uncovered = useMemo(() => uncover(last, run.size, side, at.raster), [last, at.raster]);
  const k = at.scales - 1, time = (all) => times && word('idea_time', { time: milliseconds(Math.min(at.seconds, all.at(-1))) });
  const known = Object.keys(measured ?? {}).map(Number).filter((one) => one <= side).at(-1);
  return html`<div class="vu-pair">
      <figure><${Canvas} side=${run.size} rgb=${uncovered} label=${word('idea_raster')} /><figcaption><b>${word('idea_raster')}</b> ${word('idea_step', { step: at.raster, steps: tokens })}
        ${times && html`<br />${time(times.raster)} ${word('idea_estimated')}`}</figcaption></figure>
      <figure><${Canvas} side=${run.size} rgb=${k < 0 ? null : pixelsOf(run.scales[k]).image} label=${word('idea_scales')} />
        <figcaption><b>${word('idea_scales')}</b> ${word('idea_step', { step: at.scales, steps: scales })}${times && html`<br />${time(times.scales)} ${word('idea_timed_run')}`}</figcaption></figure></div>
    <div class="vu-say"><p>${word('idea_text', { tokens, scales })}</p>
      <button type="button" class="vu-button vu-primary" onclick=${() => (at.running ? race.stop() : race.start(calm))}>${word(at.running ? 'stop' : 'idea_start')}</button>
      <p class="vu-hint">${word(times ? 'idea_timed' : 'idea_even', { step: milliseconds(times?.step ?? 0), condition: conditionOf(run, word) })} ${word('idea_note', { all: run.tokens, tokens })}
        ${known && html` ${word('idea_reference', { side: known, ratio: measured[known].toFixed(1) })}`}</p></div>`;
}

// the pixels of the first `count` tokens of the last map in raster order, the rest grey
export function uncover(rgb, size, side, count) {
  const cell = size / side, shown = new Uint8Array(rgb.length).fill(GREY);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      if (Math.floor(y / cell) * side + Math.floor(x / cell) >= count) continue;
      for (let c = 0; c < 3; c++) shown[3 * (y * size + x) + c] = rgb[3 * (y * size + x) + c];
    }
  }
  return shown;
}

// 2: other codes in one token's place, each with its colour in the map and the whole picture that comes of it
function Swap({ run, word, engine }) {
  const [level, setScale] = useState(2), scale = Math.min(level, run.sides.length - 1), side = run.sides[scale], now = useRef(run);
  const middle = (count) => Math.floor(count / 2) * (count + 1), [token, setToken] = useState(middle(side)), [offer, setOffer] = useState(null), [chosen, setChosen] = useState(0), [problem, setProblem] = useState('');
  const index = Math.min(token, side * side - 1);
  now.current = run;
  useEffect(() => { setOffer(null); setChosen(0); setProblem(''); }, [run]);
  const ask = async (at) => {
    setToken(at); setChosen(0); setProblem('');
    const still = (act) => { if (now.current === run) act(); }; // another run may have come meanwhile
    try {
      const found = await engine.candidates(run, { scale, index: at });
      still(() => setOffer({ scale, token: at, ...found }));
    } catch (error) { still(() => setProblem(String(error.message || error))); }
  };
  const keys = (event) => {
    const next = moved(side, index, event.key);
    if (next !== null) { setToken(next); setChosen(0); }
    else if (event.key === 'Enter' || event.key === ' ') ask(index);
    else return;
    event.preventDefault();
  };
  const mine = offer && offer.scale === scale && offer.token === index ? offer : null;
  const swapped = mine && chosen > 0, own = pixelsOf(run.scales[scale]).colours, picture = swapped ? mine.images[chosen] : pixelsOf(run.scales.at(-1)).image;
  const colours = useMemo(() => (swapped ? recoloured(own, index, rgbAt(mine.colours, chosen)) : own), [own, index, mine, chosen]);
  const named = (rgb, code) => html`<${Swatch} rgb=${rgb} />${word('word_code', { code })}`;
  return html`<div class="vu-pair">
      <figure><div class="vu-map" style=${`--side:${side}`} tabindex="0" role="application" aria-label=${word('word_map_keys', { side, row: Math.floor(index / side) + 1, column: (index % side) + 1 })}
          onclick=${(event) => ask(placeOf(event, side))} onkeydown=${keys}><${Canvas} side=${side} rgb=${colours} label="" />
        <${Place} side=${side} index=${index} kind="vu-own" /></div><figcaption><b>${word('word_map', { side })}</b> ${named(rgbAt(own, index), run.scales[scale].ids[index])}
        ${swapped && html` \u2192 ${named(rgbAt(mine.colours, chosen), mine.codes[chosen])}`}</figcaption></figure>
      <figure><div class="vu-frame"><${Canvas} side=${run.size} rgb=${picture} label=${word('word_picture')} /><${Place} side=${side} index=${index} kind="vu-within" /></div>
        <figcaption><b>${word('word_picture')}</b> ${swapped ? word('word_swapped', { code: mine.codes[chosen] }) : ''}</figcaption></figure></div>
    <div class="vu-say"><p>${word('word_text', { codes: run.codes })}</p>
      <label class="vu-field"><span>${word('word_scale', { side })}</span><input type="range" min="0" max=${run.sides.length - 1} step="1" value=${scale}
        oninput=${(event) => { const level = Number(event.currentTarget.value); setScale(level); setToken(middle(run.sides[level])); setOffer(null); setChosen(0); }} /></label>
      ${mine ? html`<div class="vu-offers" role="group" aria-label=${word('word_offers')}>${mine.codes.map((code, i) => html`<button key=${code} type="button" class="vu-offer"
          aria-pressed=${String(i === chosen)} onclick=${() => setChosen(i)} onpointerenter=${() => setChosen(i)}><${Canvas} side=${run.size} rgb=${mine.images[i]} label="" />
          <span><${Swatch} rgb=${rgbAt(mine.colours, i)} />${i === 0 ? word('word_own') : code}</span></button>`)}</div><p class="vu-hint">${word('word_note')}</p>`
      : html`<button type="button" class="vu-button vu-primary" onclick=${() => ask(index)}>${word('word_start')}</button>`}
      <p class="vu-problem" role="status">${problem}</p></div>`;
}

// 3: one scale of the sum in five pictures: what is missing -> codes -> enlarged -> smoothed by phi -> added. One appears after the other.
function Sum({ run, word, calm }) {
  const [at, setAt] = useState(run.sides.length - 1), k = Math.min(at, run.sides.length - 1), side = run.sides[k];
  const [stage, setStage] = useState(STAGES.length), [running, setRunning] = useState(false);
  const { image: after, colours } = pixelsOf(run.scales[k]), before = k > 0 ? pixelsOf(run.scales[k - 1]).image : null, whole = pixelsOf(run.scales.at(-1)).image;
  useEffect(() => { // the next picture, then the next scale, until the last
    if (!running) return undefined;
    const timer = setTimeout(() => {
      if (stage < STAGES.length) setStage(stage + 1);
      else if (k + 1 < run.sides.length) { setAt(k + 1); setStage(1); }
      else setRunning(false);
    }, STAGE_MS);
    return () => clearTimeout(timer);
  }, [running, stage, k]);
  const pictures = useMemo(() => [[run.size, before ?? new Uint8Array(after.length).fill(GREY)], [side, shrunk(added(whole, before), run.size, side)], [side, colours],
    [run.size, enlarged(colours, side, run.size)], [run.size, added(after, before)], [run.size, after]], [run, k]);
  const next = () => (stage < STAGES.length ? setStage(stage + 1) : (setAt((k + 1) % run.sides.length), setStage(1)));
  const noteOf = (name) => (name === 'before' && k === 0 ? 'sum_nothing' : name === 'add' && k + 1 === run.sides.length ? 'sum_end' : `sum_step_${name}`);
  const play = () => { if (!running && k + 1 === run.sides.length && stage === STAGES.length) { setAt(0); setStage(1); } setRunning(!running); };
  return html`<ol class="vu-stages">${STAGES.map((name, i) => html`<li key=${name} class=${i < stage ? '' : 'vu-later'} aria-current=${i === stage - 1 ? 'step' : undefined}>
      <div class="vu-cell">${i > 0 && html`<i class="vu-arrow" aria-hidden="true">\u2192</i>`}<${Canvas} side=${pictures[i][0]} rgb=${pictures[i][1]} label=${word(`sum_stage_${name}`, { side })} /></div>
      <b>${word(`sum_stage_${name}`, { side })}</b><span>${word(noteOf(name), { side })}</span></li>`)}</ol>
    <div class="vu-say"><p>${word('sum_text')}</p>
      <label class="vu-field"><span>${word('sum_scale', { scale: k + 1, scales: run.sides.length, side })}</span><input type="range" min="0" max=${run.sides.length - 1} step="1" value=${k}
        oninput=${(event) => { setRunning(false); setAt(Number(event.currentTarget.value)); setStage(STAGES.length); }} /></label>
      <div class="vu-offers">${!calm && html`<button type="button" class="vu-button vu-primary" onclick=${play}>${word(running ? 'pause' : 'sum_play')}</button>`}
        <button type="button" class="vu-button" onclick=${() => { setRunning(false); next(); }}>${word('sum_next')}</button></div>
      <p class="vu-hint">${word('sum_note')}</p></div>`;
}

function Story({ first, word, engine, calm, there, measured }) {
  const state = useStore(first.store), kept = useRef(null), count = useRef(0), part = { there, word };
  const ready = whole(state.run) && state.run.scales.every((scale) => scale.image);
  const before = kept.current;
  if (ready || !state.computing) kept.current = ready ? state.run : null; // while the next one is drawn, the page keeps its height
  const run = kept.current;
  if (run !== before) count.current += 1;
  return run && html`<${Chapter} id="idea" ...${part}><${Race} key=${count.current} ...${{ run, word, calm, measured }} /><//>
    <${Chapter} id="word" ...${part}><${Swap} ...${{ run, word, engine }} /><//>
    <${Chapter} id="sum" ...${part}><${Sum} ...${{ run, word, calm }} /><//>`;
}

// `there`: what the page has, with what others mount; `measured`: side -> how many times as long raster order took,
// as recorded apart, where the page knows it
export function mountStory(root, first, { engine, all, language, calm, there, measured }) {
  render(html`<${Story} ...${{ first, engine, calm, there, measured }} word=${wordsOf(all, language)} />`, root);
}

// the end of a place that stands apart
export function mountFoot(root, { id, there, all, language }) {
  render(html`<${Ways} ...${{ id, there }} word=${wordsOf(all, language)} />`, root);
}
