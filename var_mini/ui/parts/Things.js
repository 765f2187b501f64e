// What can be drawn: pictures to choose from, a search over all names, and the style where the model has styles.

import { html, useEffect, useMemo, useRef, useState } from '../vendor/preact-htm.js';

const FOUND = 120; // most that a search shows

// a tile of a sheet of pictures
export function Tile({ url, columns, place, rows = 1, pixelated = false }) {
  const x = columns > 1 ? (100 * (place % columns)) / (columns - 1) : 0, y = rows > 1 ? (100 * Math.floor(place / columns)) / (rows - 1) : 0;
  return html`<i class="vu-tile" aria-hidden="true" style=${`background-image:url("${url}");background-size:${100 * columns}% ${100 * rows}%;
    background-position:${x}% ${y}%;${pixelated ? 'image-rendering:pixelated' : ''}`}></i>`;
}

// the picture of one class, from whichever sheet has it
export function Thumbnail({ model, label, style, sheets }) {
  const { first, columns } = model.thumbnails, place = first.indexOf(label), pixelated = model.size < 64;
  if (place >= 0) return html`<${Tile} url=${sheets(model, style, 'first')} columns=${first.length} place=${place} pixelated=${pixelated} />`;
  if (columns) return html`<${Tile} url=${sheets(model, style, 'all')} columns=${columns} rows=${Math.ceil(model.class_names.length / columns)} place=${label} />`;
  return html`<i class="vu-tile vu-letter" aria-hidden="true">${model.class_names[label].slice(0, 2)}</i>`;
}

// numbers of the classes whose name or group has all words of `text`, those that begin with it first
export function found(names, groups, text) {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = names.map((_, i) => i).filter((i) => parts.every((part) => `${names[i]} ${groups[i] ?? ''}`.toLowerCase().includes(part)));
  const early = (i) => (parts.length && names[i].toLowerCase().startsWith(parts[0]) ? 0 : 1);
  return fits.sort((a, b) => early(a) - early(b) || a - b);
}

export function Things({ state, word, named, grouped, acts, sheets }) {
  const { model, settings, panel } = state;
  const { first } = model.thumbnails;
  const button = (label, kind = '') => html`<button key=${label} type="button" class=${`vu-pick ${kind}`} aria-pressed=${String(settings.class === label)} title=${named(label)}
    aria-label=${named(label)} onclick=${() => acts.draw({ class: label })}><${Thumbnail} model=${model} label=${label} style=${settings.style} sheets=${sheets} /></button>`;
  return html`<div class="vu-things">
    <div class="vu-row" role="group" aria-label=${word('things')}>${first.includes(settings.class) ? '' : button(settings.class, 'vu-extra')}${first.map((label) => button(label))}</div>
    <button type="button" class="vu-button vu-open" aria-expanded=${String(panel === 'things')} onclick=${() => acts.panel('things')}>${word('all_things', { count: model.class_names.length })}</button>
    ${panel === 'things' && html`<${Search} ...${{ state, word, named, grouped, acts, sheets }} />`}
  </div>`;
}

function Search({ state, word, named, grouped, acts, sheets }) {
  const { model, settings, language } = state;
  const [text, setText] = useState(''), input = useRef(null);
  useEffect(() => { input.current.focus(); }, []);
  const names = useMemo(() => model.class_names.map((name, i) => `${named(i)} ${name}`), [model, language]);
  const groups = useMemo(() => model.class_groups.map((group) => `${grouped(group)} ${group}`), [model, language]);
  const labels = useMemo(() => found(names, groups, text), [names, text]);
  const choose = (label) => { acts.panel(''); acts.draw({ class: label }); };
  const first = (event) => { if (event.key === 'Enter' && !event.isComposing && text.trim() && labels.length) choose(labels[0]); };
  let last = null;
  const shownGroup = (label) => {
    const group = text ? undefined : model.class_groups[label];
    const heading = group && group !== last ? html`<h4 key=${group}>${grouped(group)}</h4>` : '';
    last = group;
    return heading;
  };
  return html`<div class="vu-panel vu-search" role="dialog" aria-label=${word('things')}>
    <label><span>${word('search')}</span><input type="search" value=${text} oninput=${(event) => setText(event.currentTarget.value)} onkeydown=${first} ref=${input} /></label>
    <p class="vu-hint" role="status">${labels.length ? word('found', { count: labels.length }) : word('found_none')}</p>
    <div class="vu-found">${(text ? labels.slice(0, FOUND) : labels).map((label) => html`${shownGroup(label)}<button key=${label} type="button" class="vu-result"
      aria-pressed=${String(settings.class === label)} onclick=${() => choose(label)}>
      <${Thumbnail} model=${model} label=${label} style=${settings.style} sheets=${sheets} /><span>${named(label)}</span></button>`)}</div>
  </div>`;
}
