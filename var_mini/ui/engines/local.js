// The engine itself, where it runs: in a Worker of the page (worker.js), or in Node, in tests. It holds one model at a time.
import { meaningOf, othersFor } from './codes.js';
import { blocksOf, generate, pictureSize, replay, rowOf, runHead, tokenize } from './generate.js';
import { Model } from './model.js';
import { prepared } from './pictures.js';
import { checked, checkedForced, number, shown, subject } from './settings.js';

/** @typedef {{config: object, weights: ArrayBuffer, calibration: ArrayBuffer | null}} Files */

/**
 * Where models come from.
 * @typedef {object} Store
 * @property {() => Promise<import('./engine.js').ModelInfo[]>} models
 * @property {(info: object, options: {onProgress: (share: number) => void, signal?: AbortSignal}) => Promise<Files>} files
 * @property {() => Promise<BufferSource | null>} product  the compiled WebAssembly
 */

/** @implements {import('./engine.js').Engine} */
export class LocalEngine {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.model = null;
    this.replayed = { key: null, found: null }; // queries and keys of the run that was looked into last
    this.turn = Promise.resolve();
  }

  models() {
    return this.store.models();
  }

  load(name, { onProgress = () => {}, signal } = {}) {
    return this.inTurn(signal, async () => ({ fast: Boolean((await this.ready(name, onProgress, signal)).space.fast) }));
  }

  draw(given, { onScale = () => {}, signal, raw } = {}) {
    return this.inTurn(signal, async () => {
      const model = await this.ready(given?.model, () => {}, signal), settings = checked(model.config, given);
      this.replayed = { key: null, found: null }; // of an earlier run
      const forced = checkedForced(model.config, given.forced), run = runHead(model, settings, subject(model.config, settings));
      for await (const scale of generate(model, { ...settings, forced }, { signal, raw })) {
        run.scales.push(scale);
        onScale(scale, run.scales.length - 1, run);
      }
      return run;
    });
  }

  edit(given, options) {
    return this.draw(given, options);
  }

  attention(run, place, { signal } = {}) {
    return this.inTurn(signal, async () => {
      const model = await this.ready(run?.model, () => {}, signal), { pyramid, transformer: t } = model.config;
      const below = (name, count) => number(name, place[name], [0, count - 1, true]);
      const where = { layer: below('layer', t.depth), head: below('head', t.heads), token: below('token', pyramid.tokens) };
      return rowOf(model, await this.again(model, run, signal), where);
    });
  }

  blocks(run, { signal } = {}) {
    return this.inTurn(signal, async () => {
      const model = await this.ready(run?.model, () => {}, signal);
      return blocksOf(model, await this.again(model, run, signal), signal);
    });
  }

  code(run, token, { signal } = {}) {
    return this.inTurn(signal, async () => {
      const model = await this.ready(run?.model, () => {}, signal);
      return meaningOf(model, checkedIds(model.config, run)[token.scale][token.index]);
    });
  }

  candidates(run, token, { signal } = {}) {
    return this.inTurn(signal, async () => {
      const model = await this.ready(run?.model, () => {}, signal);
      return othersFor(model, checkedIds(model.config, run), token);
    });
  }

  tokenize(name, picture, { signal } = {}) {
    return this.inTurn(signal, async () => {
      const model = await this.ready(name, () => {}, signal);
      return tokenize(model, prepared(picture, pictureSize(model.config), model.config.tokenizer.image_channels), signal);
    });
  }

  close() {
    this.model = null;
  }

  /** One thing at a time: all share one memory. */
  inTurn(signal, work) {
    const result = this.turn.then(() => { signal?.throwIfAborted(); return work(); });
    this.turn = result.catch(() => {});
    return result;
  }

  /** Queries, keys and values of a run, computed when it is looked into for the first time. */
  async again(model, run, signal) {
    const ids = checkedIds(model.config, run), settings = checked(model.config, run.settings), key = JSON.stringify([settings, ids]);
    if (this.replayed.key !== key) this.replayed = { key, found: await replay(model, settings, ids, signal) };
    return this.replayed.found;
  }

  async ready(name, onProgress, signal) {
    if (this.model?.config.name !== name) {
      const models = await this.store.models(), info = models.find((model) => model.name === name);
      if (!info) throw new Error(`model = ${shown(name)}: must be one of ${models.map((model) => model.name).join(', ')}.`);
      this.model = null; // before another one is there, so that never two are in memory
      this.replayed = { key: null, found: null };
      const files = await this.store.files(info, { onProgress, signal });
      this.model = await Model.open(files, await this.store.product());
    }
    onProgress(1);
    return this.model;
  }
}

/** The token ids of a run that came from outside. */
function checkedIds(config, run) {
  const ids = run.scales.map((scale) => scale.ids);
  checkedForced(config, ids.map((scale) => ({ ids: scale, where: scale })));
  return ids;
}
