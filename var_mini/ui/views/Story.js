// The first three chapters: text beside a live view of the same run as the first screen. Others follow below them, see lib/story.js.

import { html, render, useEffect, useMemo, useState } from '../vendor/preact-htm.js';
import { wordsOf } from '../lib/format.js';
import { createRace } from '../lib/race.js';
import { added, whole } from '../lib/run.js';
import { nextOf, numberOf } from '../lib/story.js';
import { useStore } from '../lib/use.js';
import { Canvas } from '../parts/Canvas.js';
import { Place, placeOf } from '../parts/Map.js';
import { pixelsOf } from '../parts/Pyramid.js';

const GREY = 128;

const HERE = ['idea', 'word', 'sum'];

const Name = ({ id, word }) => html`<b>${numberOf(id)}</b> ${word(`${id}_title`)}`;

export function Next({ id, there, word }) {
  const next = nextOf(id, there);
  return next ? html`<p class="vu-next"><a href=${`#${next}`}>${word('next')} <${Name} id=${next} word=${word} /> <span aria-hidden="true">\u2192</span></a></p>` : '';
}

// one that stands `apart`, in a tab, is found by the tab's name, and ends below
export function Chapter({ id, there, word, apart = false, children }) {
  const number = numberOf(id);
  return html`<section class="vu-chapter" id=${apart ? undefined : id} aria-label=${word(`${id}_title`)}><h2>${number > 0 && html`<span>${number}</span>`}${word(`${id}_title`)}</h2>
    <div class="vu-chapter-body">${children}</div>${!apart && html`<${Next} ...${{ id, there, word }} />`}</section>`;
}

function Contents({ there, word }) {
  return html`<nav class="vu-contents" aria-label=${word('contents')}><ol>${there.map((id) => html`<li key=${id}><a href=${`#${id}`}><${Name} id=${id} word=${word} /></a></li>`)}</ol></nav>`;
}

// 1: the finished picture uncovered token by token, beside the same picture scale by scale, a step each at a time
function Race({ run, word, calm }) {
  const side = run.sides.at(-1), last = pixelsOf(run.scales.at(-1)).image;
  const [at, setAt] = useState({ raster: side * side, scales: run.sides.length, running: false });
  const race = useMemo(() => createRace(side * side, run.sides.length, setAt), [run]);
  useEffect(() => race.stop, [race]);
  const uncovered = useMemo(() => uncover(last, run.size, side, at.raster), [last, at.raster]);
  const k = at.scales - 1;
  return html`<div class="vu-pair">
      <figure><${Canvas} side=${run.size} rgb=${uncovered} label=${word('idea_raster')} /><figcaption><b>${word('idea_raster')}</b> ${word('idea_step', { step: at.raster, steps: side * side })}</figcaption></figure>
      <figure><${Canvas} side=${run.size} rgb=${k < 0 ? null : pixelsOf(run.scales[k]).image} label=${word('idea_scales')} />
        <figcaption><b>${word('idea_scales')}</b> ${word('idea_step', { step: at.scales, steps: run.sides.length })}</figcaption></figure></div>
    <div class="vu-say"><p>${word('idea_text', { tokens: side * side, scales: run.sides.length })}</p>
      <button type="button" class="vu-button vu-primary" onclick=${() => (at.running ? race.stop() : race.start(calm))}>${word(at.running ? 'stop' : 'idea_start')}</button>
      <p class="vu-hint">${word('idea_note', { all: run.tokens, tokens: side * side })}</p></div>`;
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

// 2: other codes in one token's place, each with the whole picture that comes of it
function Swap({ run, word, engine }) {
  const [scale, setScale] = useState(Math.min(2, run.sides.length - 1)), side = run.sides[scale];
  const middle = (count) => Math.floor(count / 2) * (count + 1), [token, setToken] = useState(middle(side)), [offer, setOffer] = useState(null), [chosen, setChosen] = useState(0), [problem, setProblem] = useState('');
  const index = Math.min(token, side * side - 1);
  useEffect(() => { setOffer(null); setChosen(0); setProblem(''); }, [run]);
  const ask = async (level, at) => {
    setScale(level); setToken(at); setChosen(0); setProblem('');
    try { setOffer({ scale: level, token: at, ...await engine.candidates(run, { scale: level, index: at }) }); } catch (error) { setProblem(String(error.message || error)); }
  };
  const mine = offer && offer.scale === scale && offer.token === index ? offer : null;
  const picture = mine && chosen > 0 ? mine.images[chosen] : pixelsOf(run.scales.at(-1)).image;
  return html`<div class="vu-pair">
      <figure><div class="vu-map" style=${`--side:${side}`} onclick=${(event) => ask(scale, placeOf(event, side))}><${Canvas} side=${side} rgb=${pixelsOf(run.scales[scale]).colours} label=${word('word_map', { side })} />
        <${Place} side=${side} index=${index} kind="vu-own" /></div><figcaption><b>${word('word_map', { side })}</b> ${word('word_code', { code: run.scales[scale].ids[index] })}</figcaption></figure>
      <figure><div class="vu-frame"><${Canvas} side=${run.size} rgb=${picture} label=${word('word_picture')} /><${Place} side=${side} index=${index} kind="vu-within" /></div>
        <figcaption><b>${word('word_picture')}</b> ${mine && chosen > 0 ? word('word_swapped', { code: mine.codes[chosen] }) : ''}</figcaption></figure></div>
    <div class="vu-say"><p>${word('word_text', { codes: run.codes })}</p>
      <label class="vu-field"><span>${word('word_scale', { side })}</span><input type="range" min="0" max=${run.sides.length - 1} step="1" value=${scale}
        oninput=${(event) => { const level = Number(event.currentTarget.value); setScale(level); setToken(middle(run.sides[level])); setOffer(null); setChosen(0); }} /></label>
      ${mine ? html`<div class="vu-offers" role="group" aria-label=${word('word_offers')}>${mine.codes.map((code, i) => html`<button key=${code} type="button" class="vu-offer"
          aria-pressed=${String(i === chosen)} onclick=${() => setChosen(i)} onpointerenter=${() => setChosen(i)}><${Canvas} side=${run.size} rgb=${mine.images[i]} label="" />
          <span>${i === 0 ? word('word_own') : code}</span></button>`)}</div><p class="vu-hint">${word('word_note')}</p>`
      : html`<button type="button" class="vu-button vu-primary" onclick=${() => ask(scale, index)}>${word('word_start')}</button>`}
      <p class="vu-problem" role="status">${problem}</p></div>`;
}

// 3: the sum before a scale, what its map adds, the sum after it
function Sum({ run, word }) {
  const [at, setAt] = useState(run.sides.length - 1), k = Math.min(at, run.sides.length - 1), side = run.sides[k];
  const after = pixelsOf(run.scales[k]).image, before = k > 0 ? pixelsOf(run.scales[k - 1]).image : null;
  const change = useMemo(() => added(after, before), [after, before]);
  const figure = (rgb, label) => html`<figure><${Canvas} side=${run.size} rgb=${rgb ?? new Uint8Array(after.length).fill(GREY)} label=${label} /><figcaption>${label}</figcaption></figure>`;
  return html`<div class="vu-pair vu-three">${figure(before, word(k > 0 ? 'sum_before' : 'sum_nothing'))}<b aria-hidden="true">+</b>
      ${figure(change, word('sum_change', { side }))}<b aria-hidden="true">=</b>${figure(after, word('sum_after'))}</div>
    <div class="vu-say"><p>${word('sum_text')}</p>
      <label class="vu-field"><span>${word('sum_scale', { scale: k + 1, scales: run.sides.length, side })}</span><input type="range" min="0" max=${run.sides.length - 1} step="1" value=${k}
        oninput=${(event) => setAt(Number(event.currentTarget.value))} /></label>
      <ol class="vu-steps">${['rest', 'code', 'enlarge', 'add'].map((name) => html`<li key=${name}>${word(`sum_step_${name}`, { side })}</li>`)}</ol>
      <p class="vu-hint">${word('sum_note')}</p></div>`;
}

function Story({ first, word, engine, calm, there }) {
  const { run } = useStore(first.store), own = (engine.candidates ? there : there.filter((id) => id !== 'word'));
  const ready = whole(run) && run.scales.every((scale) => scale.image), part = { there: own, word };
  return html`<${Contents} there=${own} word=${word} />${ready && html`<${Chapter} id="idea" ...${part}><${Race} ...${{ run, word, calm }} /><//>
    ${engine.candidates && html`<${Chapter} id="word" ...${part}><${Swap} ...${{ run, word, engine }} /><//>`}
    <${Chapter} id="sum" ...${part}><${Sum} ...${{ run, word }} /><//>`}`;
}

// `there`: the chapters that the page has, with those that others mount
export function mountStory(root, first, { engine, all, language, calm, there = HERE }) {
  render(html`<${Story} first=${first} engine=${engine} calm=${calm} there=${there} word=${wordsOf(all, language)} />`, root);
}

// the end of a chapter that stands apart
export function mountFoot(root, { id, all, language }) {
  render(html`<${Next} id=${id} word=${wordsOf(all, language)} />`, root);
}
