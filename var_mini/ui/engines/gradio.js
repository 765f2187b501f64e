// The engine that asks the running Gradio server, through the one component of the page that is its bridge (demo/chapters/draw.py):
// a draw is an event that waits in the page's own queue, its scales come back as the component's value; small questions about a
// run are server functions.

import { answered, attentionOf, codeOf } from '../lib/answers.js';
import { toRecord } from '../lib/settings.js';
import { bytes, locate } from '../lib/run.js';
import { recordedEngine } from './recorded.js';

export function gradioEngine(base) {
  let linked, count = 0;
  const bridge = new Promise((resolve) => { linked = resolve; });
  const waiting = new Map(); // number of a draw -> { resolve, reject, onScale, onDrawings }
  const get = async (path) => {
    const answer = await fetch(new URL(path, base));
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
    return answer.json();
  };
  const recorded = recordedEngine((name) => get(`data/run.json?model=${encodeURIComponent(name)}`));
  const ask = async (name, query) => answered((await bridge).server[name](query));
  // runs that do not follow from their settings here are sent along
  const about = (run, rest) => ({ settings: run.settings, ids: run.edited || run.opened ? run.scales.map((s) => s.ids) : null, ...rest });

  function got(value) {
    const asked = waiting.get(value.number);
    if (!asked) return;
    if (value.error) asked.reject(new Error(value.error));
    else if (value.run.scales.length === value.run.sides.length) {
      asked.onDrawings((value.drawings ?? []).map((one) => ({ ...one, image: bytes(one.image) })));
      asked.resolve(value.run);
    } else asked.onScale(value.run.scales.at(-1), value.run.scales.length - 1, value.run);
  }

  return {
    // the component, once Gradio has made it: { props, trigger, watch, server }; `opened(run)` takes runs that came out of a file
    connect(component, opened) {
      component.watch('value', () => {
        const { value } = component.props;
        if (!value) return;
        component.props.value = null; // or Gradio would copy the whole run at every event that follows
        if (value.opened) opened(value.run);
        else got(value);
      });
      linked(component);
    },
    // the queue refused the event or it broke off: Gradio has already said why
    failed(text) { waiting.forEach(({ reject }) => reject(new Error(text))); },
    read: get, // JSON that this server has at a path
    models: async () => (await get('data/start.json')).models,
    start: () => get('data/start.json'),
    data: (name) => get(`data/${name}.json`), // recorded results of a chapter
    recorded: recorded.recorded,
    load: async (name) => recorded.load(name), // the server loads a model when it is first asked to draw
    // whether `bestOf` of a draw is known: the server draws so many seeds, the run is the one that its ranker likes best, and
    // `onDrawings` hears of all, best first: { seed, share: p(thing) p(style), image }
    ranks: true,
    async draw(settings, { onScale = () => {}, onDrawings = () => {}, signal, bestOf = 1 } = {}) {
      const { trigger } = await bridge, number = ++count;
      signal?.throwIfAborted();
      const stopped = () => { trigger('stop'); waiting.get(number)?.reject(new DOMException('stopped', 'AbortError')); };
      signal?.addEventListener('abort', stopped);
      try {
        return await new Promise((resolve, reject) => {
          waiting.set(number, { resolve, reject, onScale, onDrawings });
          trigger('draw', { number, settings: toRecord(settings), best_of: bestOf });
        });
      } finally {
        waiting.delete(number);
        signal?.removeEventListener('abort', stopped);
      }
    },
    async attention(run, { layer, head, token }) {
      const { scale, index } = locate(run.sides, token);
      return attentionOf(await ask('attention', about(run, { scale, token: index, layer, head })), scale);
    },
    blocks: (run) => ask('blocks', about(run)),
    code: async (run, token) => codeOf(await ask('code', { model: run.settings.model, code: run.scales[token.scale].ids[token.index] })),
    // other codes for a token, with the colour of each and the whole picture that it makes
    async candidates(run, token) {
      const query = { model: run.settings.model, ids: run.scales.map((scale) => scale.ids), scale: token.scale, token: token.index };
      const { codes, colours, images } = await ask('candidates', query);
      return { codes: codes.slice(0, images.length), colours: bytes(colours), images: images.map(bytes) };
    },
    close() {},
  };
}
