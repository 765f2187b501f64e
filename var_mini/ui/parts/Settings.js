// Model, seed, sampling and attention: all that a run depends on besides what it shows.

import { html } from '../vendor/preact-htm.js';
import { megabytes } from '../lib/format.js';
import { MAX_SEED } from '../lib/settings.js';

const Field = ({ label, hint, children }) => html`<label class="vu-field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>`;

// `options` are [text, value], or [group, options]
export function Choice({ label, hint, value, options, onChoose }) {
  const option = ([text, one]) => (Array.isArray(one) ? html`<optgroup key=${text} label=${text}>${one.map(option)}</optgroup>`
    : html`<option key=${one} value=${one} selected=${one === value}>${text}</option>`);
  return html`<${Field} label=${label} hint=${hint}><select value=${value} onchange=${(event) => onChoose(event.currentTarget.value)}>${options.map(option)}</select><//>`;
}

// `shown` is read instead of the value, where that only counts places
export function Slider({ label, hint, value, shown = value, from, to, step, onSlide }) {
  return html`<${Field} label=${label} hint=${hint}><output>${shown}</output><input type="range" min=${from} max=${to} step=${step} value=${value} aria-valuetext=${String(shown)}
    oninput=${(event) => onSlide(Number(event.currentTarget.value))} /><//>`;
}

// what an attention back end is called: poly-2-calibrated -> the text attention_poly with its parameter
export function attentionName(word, spec) {
  const [method, parameter, calibrated] = spec.split('-');
  return word(`attention_${method}`, { parameter }) + (calibrated ? ` ${word('attention_calibrated')}` : '');
}

// where a model has to be downloaded first, its name tells how much that is
const sized = (word, model) => (model.download_kb ? word('model_sized', { model: model.shown, mb: megabytes(model) }) : model.shown);

export function Settings({ state, word, acts }) {
  const { settings, model, models, computing } = state;
  const slide = (name, from, to, step) => html`<${Slider} label=${word(name)} hint=${word(`${name}_hint`)} value=${settings[name]} ...${{ from, to, step }}
    onSlide=${(value) => acts.change({ [name]: value })} />`;
  const number = (event) => acts.change({ seed: event.currentTarget.value === '' ? null : Number(event.currentTarget.value) });
  return html`<div class="vu-panel vu-settings" role="dialog" aria-label=${word('settings')}>
    <${Choice} label=${word('model')} value=${settings.model} options=${models.map((one) => [sized(word, one), one.name])} onChoose=${acts.choose} />
    <${Field} label=${word('seed')} hint=${word('seed_hint')}><input type="number" min="0" max=${MAX_SEED} step="1" value=${settings.seed ?? ''} oninput=${number}
      onkeydown=${(event) => event.key === 'Enter' && acts.draw()} /><//>
    <${Choice} label=${word('attention')} hint=${word(settings.attention.startsWith('poly') && !model.bounded ? 'attention_breaks' : 'attention_hint')} value=${settings.attention}
      options=${model.attentions.map((spec) => [attentionName(word, spec), spec])} onChoose=${(attention) => acts.change({ attention })} />
    ${slide('guidance', 0, 10, 0.1)}${slide('temperature', 0.1, 2, 0.05)}${slide('top_k', 0, model.codes, 1)}${slide('top_p', 0, 1, 0.01)}
    <div class="vu-actions"><button type="button" class="vu-button vu-primary" onclick=${() => acts.draw()} disabled=${computing}>${word('draw')}</button>
      <button type="button" class="vu-button" onclick=${acts.reset}>${word('reset')}</button>
      <button type="button" class="vu-button" onclick=${() => acts.panel('')}>${word('close')}</button></div>
  </div>`;
}
