// The engine of a page without a server: the model runs in a Worker of this browser.

const UNABLE = 'The model cannot run in this browser: it needs module workers, which came to browsers in 2023.';

/** A run without its pictures: all that the engine computes anything from. */
const bare = ({ model, settings, scales }) => ({ model, settings, scales: scales.map(({ ids }) => ({ ids })) });

/**
 * @param {{models: string | URL}} where  the folder of models (index.json and a folder each), as an address
 * @returns {import('./engine.js').Engine}
 */
export function browserEngine({ models }) {
  let worker = null, calls = 0;
  const waiting = new Map(); // id of a call -> what it waits for

  function start() {
    worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    worker.postMessage({ models: new URL(models, document.baseURI).href });
    worker.onmessage = ({ data: { id, share, scale, head, result, error } }) => {
      const call = waiting.get(id);
      if (!call) return;
      if (share !== undefined) call.onProgress?.(share);
      else if (scale) call.onScale(scale, head);
      else if (error) call.reject(Object.assign(new Error(error.message), { name: error.name }));
      else call.resolve(call.scales.length ? { ...result, scales: call.scales } : result); // they have come already
    };
    worker.onerror = () => {
      for (const { reject } of waiting.values()) reject(new Error(UNABLE));
      close();
    };
  }

  function call(method, args, { signal, onProgress, onScale, raw } = {}) {
    const id = ++calls, stop = () => worker?.postMessage({ id, stop: true });
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const scales = []; // so far
      const grown = (scale, head) => {
        scales.push(scale);
        onScale?.(scale, scales.length - 1, { ...head, scales: [...scales] });
      };
      waiting.set(id, { resolve, reject, onProgress, onScale: grown, scales });
      try {
        if (!worker) start();
        worker.postMessage({ id, method, args: [...args, { raw }] });
      } catch (error) {
        reject(error.name === 'DataCloneError' ? error : new Error(UNABLE));
      }
      signal?.addEventListener('abort', stop, { once: true });
    }).finally(() => {
      waiting.delete(id);
      signal?.removeEventListener('abort', stop);
    });
  }

  function close() {
    worker?.terminate();
    worker = null;
  }

  return {
    models: () => call('models', []),
    load: (name, options) => call('load', [name], options),
    draw: (settings, options) => call('draw', [settings], options),
    edit: (settings, options) => call('edit', [settings], options),
    attention: (run, place, options) => call('attention', [bare(run), place], options),
    blocks: (run, options) => call('blocks', [bare(run)], options),
    code: (run, token, options) => call('code', [bare(run), token], options),
    candidates: (run, token, options) => call('candidates', [bare(run), token], options),
    tokenize: (model, { width, height, data }, options) => call('tokenize', [model, { width, height, data }], options),
    close,
  };
}
