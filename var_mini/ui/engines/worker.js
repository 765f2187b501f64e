// The Worker: it receives calls of the engine's methods as messages and answers them, so that the page never stands still.
import { DownloadStore } from './download.js';
import { LocalEngine } from './local.js';

const engine = new LocalEngine(new DownloadStore(new URL(self.location).searchParams.get('models')));
const running = new Map(); // id of a call -> its AbortController

self.onmessage = async ({ data: { id, method, args, stop } }) => {
  if (stop) return running.get(id)?.abort();
  const control = new AbortController(), tell = (message, transfer = []) => self.postMessage({ id, ...message }, transfer);
  running.set(id, control);
  try {
    const options = { signal: control.signal, onProgress: (share) => tell({ share }), onScale: (scale) => tell({ scale }) };
    const raw = args.at(-1)?.raw;
    tell({ result: await engine[method](...args.slice(0, -1), { ...options, raw }) });
  } catch (error) {
    tell({ error: { name: error.name, message: error.message } });
  }
  running.delete(id);
};
