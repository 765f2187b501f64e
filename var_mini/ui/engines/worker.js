// The Worker: it receives calls of the engine's methods as messages and answers them, so that the page never stands still.
import { DownloadStore } from './download.js';
import { LocalEngine } from './local.js';

/** The memory of a message's own arrays, which goes over instead of a copy: nothing here reads it again. */
const owned = (message) => Object.values(message ?? {}).filter(ArrayBuffer.isView).map(({ buffer }) => buffer);

const running = new Map(); // id of a call -> its AbortController
let engine = null;

self.onmessage = async ({ data: { models, id, method, args, stop } }) => {
  if (models) return void (engine = new LocalEngine(new DownloadStore(models))); // the first message says where they are
  if (stop) return void running.get(id)?.abort();
  const control = new AbortController(), tell = (message, transfer = []) => self.postMessage({ id, ...message }, transfer);
  running.set(id, control);
  try {
    let told = false;
    const onScale = (scale, _, { scales, ...head }) => { told = true; tell({ scale, head }, owned(scale)); };
    const options = { signal: control.signal, onProgress: (share) => tell({ share }), onScale, raw: args.at(-1)?.raw };
    const result = await engine[method](...args.slice(0, -1), options);
    tell({ result: told ? { ...result, scales: [] } : result }, owned(result)); // each scale goes to the page once
  } catch (error) {
    tell({ error: { name: error.name, message: error.message } });
  }
  running.delete(id);
};
