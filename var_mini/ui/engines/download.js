// Models from a static folder: downloaded with progress when asked for, checked by their hashes, and kept in the browser's cache,
// so that a model is downloaded once and is there without a network. Where storage is denied, all works without a cache.
import { given } from './given.js';

const CACHE = 'var-mini-models', WEIGHTS = 'model.safetensors';
const OFFLINE = 'could not be downloaded: there is no connection, and it has not been stored here yet.';
const FOREIGN = 'is not the file that this page was made for.';

export class DownloadStore {
  /** @param {string} base  address of the folder with index.json */
  constructor(base) {
    this.base = base.endsWith('/') ? base : `${base}/`;
    this.index = null;
  }

  async models() {
    this.index ??= JSON.parse(new TextDecoder().decode(await fetched(`${this.base}index.json`, 'The list of models'))).models;
    const stored = ({ name, files }) => isKept(versioned(`${this.base}${name}/`, WEIGHTS, files[WEIGHTS]));
    return Promise.all(this.index.map(async (model) => ({ ...model, stored: await stored(model) })));
  }

  async product() {
    if (typeof WebAssembly === 'undefined') return null;
    try {
      return await fetched(new URL('./product.wasm', import.meta.url), 'product.wasm');
    } catch {
      return null; // plain JavaScript draws the same, more slowly
    }
  }

  /** The files of one model; `onProgress` hears the share of bytes that have come. */
  async files({ name, files }, { onProgress, signal }) {
    const total = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0);
    let before = 0;
    const get = async (file) => {
      if (!files[file]) return null;
      const content = await this.file(name, file, files[file], signal, (bytes) => onProgress((before + bytes) / total));
      before += files[file].bytes;
      return content;
    };
    const config = JSON.parse(new TextDecoder().decode(await get('model.json')));
    const found = { config, weights: await get(WEIGHTS), calibration: await get('calibration.safetensors') };
    await forgetOthers(`${this.base}${name}/`, files);
    return found;
  }

  async file(name, file, { bytes, sha256 }, signal, onBytes) {
    const address = versioned(`${this.base}${name}/`, file, { sha256 });
    const kept = await fromCache(address);
    if (kept?.byteLength === bytes) {
      onBytes(bytes);
      return kept;
    }
    const content = await streamed(address, `${name}/${file}`, signal, bytes, onBytes), found = await hashOf(content);
    if (found && found !== sha256) throw new Error(`${name}/${file} ${FOREIGN}`);
    await toCache(address, content);
    return content;
  }
}

/** The address of a file in this very version: another one is another entry of the cache. */
const versioned = (folder, file, { sha256 }) => `${folder}${file}?v=${sha256.slice(0, 16)}`;

/** What a server answers. Throws one sentence where there is no connection, or no such file. */
async function answerOf(address, what, signal) {
  let answer;
  try {
    answer = await fetch(address, { signal });
  } catch (error) {
    throw signal?.aborted ? error : new Error(`${what} ${OFFLINE}`);
  }
  if (!answer.ok) throw new Error(`${what} could not be downloaded: the server answered ${answer.status}.`);
  return answer;
}

/** A small file at once. */
const fetched = async (address, what) => (await answerOf(address, what)).arrayBuffer();

/** A file of so many bytes as it comes, into memory that is taken once; `onBytes` hears how many have come. */
async function streamed(address, what, signal, bytes, onBytes) {
  const content = new Uint8Array(bytes), reader = (await answerOf(address, what, signal)).body.getReader();
  let got = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      throw signal?.aborted ? error : new Error(`${what} could not be downloaded: the connection broke after ${got} bytes.`);
    });
    if (done) break;
    if (got + value.length > bytes) {
      reader.cancel();
      throw new Error(`${what} ${FOREIGN}`);
    }
    content.set(value, got);
    onBytes(got += value.length);
    given(value.buffer);
  }
  if (got < bytes) throw new Error(`${what} was cut off, or is another one: ${got} of ${bytes} bytes came.`);
  return content.buffer;
}

/** SHA-256 as hexadecimal digits; null where the page came over plain http, which has none. */
async function hashOf(content) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

// Storage may be denied, full, or not there (plain http): each of these does nothing then.

async function fromCache(address) {
  try {
    return await (await (await caches.open(CACHE)).match(address))?.arrayBuffer();
  } catch {
    return undefined;
  }
}

async function isKept(address) {
  try {
    return Boolean(await (await caches.open(CACHE)).match(address));
  } catch {
    return false;
  }
}

async function toCache(address, content) {
  try {
    await (await caches.open(CACHE)).put(address, new Response(content));
  } catch { /* drawn from memory this time, downloaded again next time */ }
}

/** Removes what earlier versions of a model left. */
async function forgetOthers(folder, files) {
  try {
    const cache = await caches.open(CACHE), wanted = Object.entries(files).map(([file, fact]) => versioned(folder, file, fact));
    for (const { url } of await cache.keys()) if (url.startsWith(folder) && !wanted.includes(url)) await cache.delete(url);
  } catch { /* see above */ }
}
