// The run of the first screen in numbers: times and memory by scale, what each scale changed, attention from scale to scale.

import { html, render, useEffect, useMemo, useState } from '../vendor/preact-htm.js';
import { conditionOf } from '../lib/condition.js';
import { milliseconds, wordsOf } from '../lib/format.js';
import { added, bytes, mean, totalSeconds, whole } from '../lib/run.js';
import { useStore } from '../lib/use.js';
import { Canvas } from '../parts/Canvas.js';
import { pixelsOf } from '../parts/Pyramid.js';
import { Choice } from '../parts/Settings.js';

// cividis at nine places: dark blue to yellow, readable by colour-blind eyes and in grey
const CIVIDIS = [[0, 34, 78], [27, 58, 107], [65, 78, 107], [93, 98, 110], [125, 124, 120], [157, 149, 116], [190, 176, 104], [225, 205, 83], [254, 232, 56]];

export function heat(share) {
  const place = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1), low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return CIVIDIS[low].map((c, i) => Math.round(c + (CIVIDIS[low + 1][i] - c) * (place - low)));
}

function Times({ run, word }) {
  const columns = [['phase_attention', (s) => milliseconds(s.seconds[0])], ['phase_rest', (s) => milliseconds(s.seconds[1])],
    ['phase_decoder', (s) => milliseconds(s.seconds[2])], ['state', (s) => (s.state / 1000).toFixed(1)],
    ...(run.scales[0].entropy ? [['entropy_column', (s) => mean(s.entropy).toFixed(2)]] : [])];
  return html`<div class="vu-scroll" tabindex="0" role="region" aria-label=${word('numbers_lead')}><table><thead><tr><th scope="col">${word('scale')}</th><th scope="col">${word('tokens_column')}</th>
    ${columns.map(([name]) => html`<th key=${name} scope="col">${word(name)}</th>`)}</tr></thead><tbody>${run.scales.map((s, k) => html`<tr key=${k}>
    <th scope="row">${s.side}\u2009\u00d7\u2009${s.side}</th><td>${s.side ** 2}</td>${columns.map(([name, of]) => html`<td key=${name}>${of(s)}</td>`)}</tr>`)}</tbody></table></div>`;
}

const changes = new WeakMap(); // a scale's JSON -> what it changed, so that a canvas is painted once, and not whenever anything else changes

export function changeOf({ scales }, k) {
  if (!changes.has(scales[k])) changes.set(scales[k], added(pixelsOf(scales[k]).image, k > 0 ? pixelsOf(scales[k - 1]).image : null));
  return changes.get(scales[k]);
}

function Added({ run, word }) {
  return html`<div class="vu-added">${run.scales.map((s, k) => s.image && html`<figure key=${k}><${Canvas} side=${run.size} label=${word('added_label', { scale: k + 1 })}
    rgb=${changeOf(run, k)} /><figcaption>${s.side}\u2009\u00d7\u2009${s.side}</figcaption></figure>`)}</div>
    <p class="vu-hint">${word('added_note')}</p>`;
}

function Blocks({ run, word, engine }) {
  const [answer, setAnswer] = useState(null), [problem, setProblem] = useState(''), [at, setAt] = useState({ layer: 0, head: 0 });
  useEffect(() => { setAnswer(null); setProblem(''); }, [run]);
  const ask = async () => {
    try { setAnswer(await engine.blocks(run)); } catch (error) { setProblem(String(error.message || error)); }
  };
  if (!answer) return html`<button type="button" class="vu-button" disabled=${!whole(run)} onclick=${ask}>${word('blocks_ask')}</button><p class="vu-problem" role="status">${problem}</p>`;
  const values = new Uint16Array(bytes(answer.weights).buffer), [, heads, K] = answer.shape;
  const share = (k, j) => values[((at.layer * heads + at.head) * K + k) * K + j] / 65535;
  const options = (count) => Array.from({ length: count }, (_, i) => [String(i + 1), String(i)]);
  return html`<div class="vu-choosers"><${Choice} label=${word('layer')} value=${String(at.layer)} options=${options(run.layers)} onChoose=${(layer) => setAt({ ...at, layer: Number(layer) })} />
    <${Choice} label=${word('head')} value=${String(at.head)} options=${options(run.heads)} onChoose=${(head) => setAt({ ...at, head: Number(head) })} /></div>
    <div class="vu-scroll" tabindex="0" role="region" aria-label=${word('blocks')}><table class="vu-blocks"><thead><tr><td></td>${run.sides.map((side) => html`<th key=${side} scope="col">${side}\u00d7${side}</th>`)}</tr></thead>
    <tbody>${run.sides.map((side, k) => html`<tr key=${side}><th scope="row">${side}\u00d7${side}</th>${run.sides.map((other, j) => (j > k ? html`<td key=${other}></td>`
      : html`<td key=${other} style=${`background:rgb(${heat(share(k, j)).join()});color:${share(k, j) > 0.55 ? '#000' : '#fff'}`}>${Math.round(100 * share(k, j))}</td>`))}</tr>`)}</tbody></table></div>
    <p class="vu-hint">${word('blocks_note', { layer: at.layer + 1, head: at.head + 1 })}</p>`;
}

export function Numbers({ run, word, engine }) {
  if (!run?.scales.length) return '';
  return html`${totalSeconds(run) > 0 && html`<h3>${word('numbers_lead')}</h3><p class="vu-hint">${conditionOf(run, word)}</p><${Times} ...${{ run, word }} />`}
    <h3>${word('added_title')}</h3><${Added} ...${{ run, word }} />
    ${engine.blocks && html`<h3>${word('blocks')}</h3><${Blocks} ...${{ run, word, engine }} />`}`;
}

function Followed({ store, engine, word }) {
  const { run } = useStore(store);
  return useMemo(() => html`<${Numbers} ...${{ run, engine, word }} />`, [run, engine, word]);
}

export function mountNumbers(root, first, { engine, all, language }) {
  render(html`<${Followed} store=${first.store} engine=${engine} word=${wordsOf(all, language)} />`, root);
}
