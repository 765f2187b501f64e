// A chapter: a picture of the visitor's own, taken apart into the model's token maps, whose sum puts it together again.

import { html, render, useEffect, useState } from '../vendor/preact-htm.js';
import { wordsOf } from '../lib/format.js';
import { useStore } from '../lib/use.js';
import { Canvas } from '../parts/Canvas.js';
import { Picture } from '../parts/Picture.js';
import { Pyramid } from '../parts/Pyramid.js';
import { Chapter } from './Story.js';

const MOST = 1024; // pixels of the longer side that the engine is given

// RGBA of a picture file, and RGB of the square in its middle at `size`, to be shown. Throws an Error of one sentence.
async function read(file, size, word) {
  const bitmap = await createImageBitmap(file).catch(() => { throw new Error(word('apart_unreadable', { name: file.name })); });
  const { width, height } = bitmap, side = Math.min(width, height), share = Math.min(1, MOST / Math.max(width, height));
  const drawn = (w, h, ...from) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: Math.max(1, Math.round(w)), height: Math.max(1, Math.round(h)) });
    const context = canvas.getContext('2d');
    context.drawImage(bitmap, ...from, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  };
  const small = drawn(size, size, (width - side) / 2, (height - side) / 2, side, side).data;
  return { pixels: drawn(width * share, height * share, 0, 0, width, height), square: small.filter((_, i) => i % 4 < 3) };
}

const NOTHING = { run: null, square: null, name: '', shown: 0, token: null };

function Apart({ first, there, word, engine }) {
  const { model } = useStore(first.store), [mine, setMine] = useState(NOTHING), [problem, setProblem] = useState(''), [busy, setBusy] = useState(false);
  useEffect(() => { setMine(NOTHING); setProblem(''); }, [model]);
  const take = async ({ currentTarget }) => {
    const [file] = currentTarget.files;
    currentTarget.value = ''; // the same file may be chosen again
    if (!file) return;
    setProblem('');
    setBusy(true);
    try {
      const { pixels, square } = await read(file, model.size, word), run = await engine.tokenize(model.name, pixels);
      if (first.store.get().model === model) setMine({ ...NOTHING, run, square, name: file.name, shown: run.scales.length });
    } catch (error) { if (error.name !== 'AbortError') setProblem(String(error.message || error)); }
    setBusy(false);
  };
  const change = (some) => setMine((now) => ({ ...now, ...some }));
  const state = { ...mine, model, pinned: false, attention: null };
  const acts = { hover: (token) => change({ token }), pin: (token) => change({ token }), leave: () => change({ token: null }), go: (shown) => change({ shown }) };
  return html`<${Chapter} id="apart" ...${{ there, word }}><div class="vu-say"><p>${word('apart_text', { size: model.size, scales: model.patch_nums.length, tokens: model.tokens })}</p>
      <label class="vu-button vu-primary vu-file" aria-disabled=${String(busy)}>${word('apart_choose')}<input type="file" accept="image/*" disabled=${busy} onchange=${take} /></label>
      <p class="vu-hint">${word('apart_note')}</p><p class="vu-problem" role="status">${problem}</p></div>
    ${mine.run && html`<${Picture} ...${{ state, word, acts, subject: mine.name }} />
      <${Pyramid} ...${{ state, acts }} word=${(name, values) => word(name === 'map' ? 'apart_map' : name, values)} heading=${word('apart_yours')} thing=${mine.name} thumbnail=${html`<${Canvas} side=${model.size} rgb=${mine.square} label=${mine.name} />`} />`}<//>`;
}

export function mountApart(root, first, { engine, there, all, language }) {
  render(html`<${Apart} ...${{ first, there, engine }} word=${wordsOf(all, language)} />`, root);
}
