// Where a page must download a model before it can compute: the question, the progress, and at the page's end what is kept and sent.

import { html, render, useEffect, useRef } from '../vendor/preact-htm.js';
import { megabytes, wordsOf } from '../lib/format.js';
import { useStore } from '../lib/use.js';

// takes the focus while it is there, and gives it back
function Question({ word, model, downloads }) {
  const yes = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    const escape = (event) => { if (event.key === 'Escape') downloads.answer(false); };
    yes.current.focus();
    document.addEventListener('keydown', escape);
    return () => {
      document.removeEventListener('keydown', escape);
      if (document.activeElement === document.body) before?.focus?.();
    };
  }, [model]);
  const values = { model: model.shown, mb: megabytes(model) };
  return html`<div class="vu-ask" role="dialog" aria-labelledby="vu-ask"><p id="vu-ask">${word('download_ask', values)}</p>
    <div class="vu-actions"><button type="button" class="vu-button vu-primary" ref=${yes} onclick=${() => downloads.answer(true)}>${word('download', values)}</button>
      <button type="button" class="vu-button" onclick=${() => downloads.answer(false)}>${word('download_no')}</button></div></div>`;
}

function Progress({ word, model, share, downloads }) {
  const told = word('downloading', { model: model.shown, percent: Math.floor(100 * share) });
  return html`<div class="vu-ask"><p>${told}</p><progress max="1" value=${share} aria-label=${told}></progress>
    <div class="vu-actions"><button type="button" class="vu-button" onclick=${downloads.cancel}>${word('stop')}</button></div></div>`;
}

function Download({ store, word, models, downloads }) {
  const { asked, loading, share, plain } = useStore(store), model = models.find((one) => one.name === (asked || loading));
  return html`${asked ? html`<${Question} ...${{ word, model, downloads }} />` : loading ? html`<${Progress} ...${{ word, model, share, downloads }} />` : ''}
    <p class="vu-hint">${word('site_private')} ${plain && word('site_plain')}</p>`;
}

export function mountDownload(root, { store, models, downloads, all, language }) {
  render(html`<${Download} ...${{ store, models, downloads }} word=${wordsOf(all, language)} />`, root);
}
