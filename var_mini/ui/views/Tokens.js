// A picture that was taken apart: its token maps, other codes for a token of them, what is still missing after every scale, and the picture
// beside what its codes make of it.

import { html, render, useLayoutEffect, useMemo, useRef, useState } from '../vendor/preact-htm.js';
import { rgbAt } from '../lib/pixels.js';
import { whole } from '../lib/run.js';
import { bars, comparison, createSwaps, replaced } from '../lib/swaps.js';
import { useStore } from '../lib/use.js';
import { Canvas } from '../parts/Canvas.js';
import { Swatch } from '../parts/Token.js';

// the token maps; a view of its own, which is told what to show
function Maps({ run, place, explorer, acts }) {
  const root = useRef(null), mounted = useRef(null);
  useLayoutEffect(() => {
    mounted.current = explorer(root.current, { changed: acts.look, chosen: acts.choose });
    return () => mounted.current.close();
  }, []);
  useLayoutEffect(() => {
    mounted.current.show(run);
    if (place) mounted.current.choose(place.scale, place.index); // it stays chosen while its code is another
  }, [run]);
  return html`<div class="vx" ref=${root}></div>`;
}

function Offers({ offered: { codes, distances, colours, images, near }, code, size, word, acts }) {
  const button = (i) => html`<button key=${codes[i]} type="button" class="vk-code" data-key=${`code-${codes[i]}`} aria-pressed=${String(codes[i] === code)} onclick=${() => acts.use(codes[i])}>
    ${images[i] && html`<${Canvas} side=${size} rgb=${images[i]} label="" />`}<span><${Swatch} rgb=${rgbAt(colours, i)} />${codes[i]}</span>
    <small>${i === 0 ? word('tokenize_own') : word('tokenize_distance', { distance: distances[i].toFixed(2) })}</small></button>`;
  const list = (from, to) => html`<div class="vk-codes">${Array.from({ length: to - from }, (_, i) => button(from + i))}</div>`;
  return html`<h4>${word('tokenize_near')}</h4>${list(0, near + 1)}${codes.length > near + 1 && html`<h4>${word('tokenize_far')}</h4>${list(near + 1, codes.length)}`}`;
}

// Keeps the focus in `root` when what had it goes away or can no longer be used: it goes to `instead`. Called while a view is drawn, when
// the page still is as it was.
function useKeptFocus(root, instead) {
  const key = root.current?.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  useLayoutEffect(() => {
    if (key && !root.current.querySelector(`[data-key="${key}"]:not(:disabled)`)) instead.current?.focus();
  });
}

function Replacing({ first, now, place: { scale, index }, offered, problem, undoable, word, acts, number }) {
  const { side, ids } = now.scales[scale], code = ids[index], own = first.scales[scale].ids[index], last = now.codes - 1;
  const [typed, setTyped] = useState('');
  useLayoutEffect(() => setTyped(String(code)), [scale, index, code]);
  const use = () => acts.use(typed === '' ? null : Number(typed));
  const tool = (key, text, act, disabled = false) => html`<button type="button" class="vu-button" data-key=${key} disabled=${disabled} onclick=${act}>${text}</button>`;
  return html`<p>${word('tokenize_swap_at', { row: Math.floor(index / side) + 1, column: (index % side) + 1, side, code, own })}</p>
    ${offered ? html`<${Offers} ...${{ offered, code, size: now.size, word, acts }} />` : !problem && html`<p class="vu-hint">${word('tokenize_waiting')}</p>`}
    <div class="vk-tools"><label><span>${word('tokenize_number', { last })}</span><input ref=${number} type="number" min="0" max=${last} step="1" data-key="number" value=${typed}
        oninput=${(event) => setTyped(event.currentTarget.value)} onkeydown=${(event) => event.key === 'Enter' && use()} /></label>
      ${tool('use', word('tokenize_use'), use)}${tool('undo', word('tokenize_undo'), acts.undo, !undoable)}${tool('reset', word('tokenize_reset'), acts.reset, !undoable)}</div>
    <p class="vk-problem" role="status">${problem}</p>`;
}

function Swap({ state: { history, place, offered, problem }, word, acts }) {
  const [first] = history, now = history.at(-1), card = useRef(null), number = useRef(null);
  useKeptFocus(card, number);
  return html`<section class="vu-part vk-swap" ref=${card} data-offered=${offered ? `${place.scale} ${place.index}` : ''}><h3>${word('tokenize_swap')}</h3>${place && whole(now)
    ? html`<${Replacing} ...${{ first, now, place, offered, problem, word, acts, number }} undoable=${history.length > 1} />` : html`<p class="vu-hint">${word('tokenize_swap_hint')}</p>`}</section>`;
}

function Errors({ errors, sides, shown, word }) {
  if (!errors.length) return html`<div class="vk-errors"></div>`;
  const lengths = bars(errors), share = (value) => `${(100 * value).toFixed(1)} %`;
  const columns = [['residual', share], ['psnr', (value) => word('tokenize_decibel', { value: value.toFixed(1) })], ['mae', share]];
  return html`<div class="vk-errors"><table><caption>${word('tokenize_errors')}</caption>
    <thead><tr><th scope="col">${word('scale')}</th>${columns.map(([kind]) => html`<th key=${kind} scope="col">${word(`tokenize_error_${kind}`)}</th>`)}</tr></thead>
    <tbody>${errors.map((error, k) => html`<tr key=${k} data-scale=${k} class=${k === shown ? 'vk-current' : ''}><th scope="row">${sides[k]} \u00d7 ${sides[k]}</th>${columns.map(([kind, text]) => html`<td key=${kind}>
      <span>${text(error[kind])}</span><i class=${`vk-bar vk-${kind}`} style=${`width:${(100 * lengths[k][kind]).toFixed(1)}%`} aria-hidden="true"></i></td>`)}</tr>`)}</tbody></table>
    <p class="vu-hint">${word('tokenize_errors_note')}</p></div>`;
}

function Figures({ first, now, word }) {
  const { original, result, difference, changed } = useMemo(() => comparison(first, now), [first, now]), psnr = now.errors.at(-1).psnr.toFixed(1);
  return html`<div class="vk-figures">${[['original', original, word('tokenize_original')], ['result', result, word('tokenize_rebuilt', { psnr })],
    ['difference', difference, word(changed ? 'tokenize_changed' : 'tokenize_missing')]].map(([name, rgb, caption]) => html`<figure key=${name}>
      <${Canvas} side=${now.size} rgb=${rgb} label=${`${now.subject}: ${caption}`} data-figure=${name} /><figcaption>${caption}</figcaption></figure>`)}</div>`;
}

function Tokens({ store, acts, word, explorer }) {
  const state = useStore(store), { history, place, shown } = state, [first] = history, now = history.at(-1);
  if (!now) return '';
  return html`<div class="vk" data-replaced=${replaced(first, now)}><${Maps} run=${now} ...${{ place, explorer, acts }} /><${Swap} ...${{ state, word, acts }} />
    ${whole(now) && now.original && html`<section class="vu-part vk-below"><${Figures} ...${{ first, now, word }} /><${Errors} errors=${now.errors} sides=${now.sides} ...${{ shown, word }} /></section>`}</div>`;
}

// `candidates` and `replace` as lib/swaps.js takes them; `explorer(root, options)` mounts an explorer of the page. Returns what can be
// done: show(picture), ...
export function mountTokens(root, { candidates, replace, explorer, word }) {
  const { store, acts } = createSwaps({ word, candidates, replace });
  render(html`<${Tokens} ...${{ store, acts, word, explorer }} />`, root);
  return acts;
}
