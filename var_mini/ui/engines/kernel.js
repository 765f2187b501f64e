// The engine of a notebook: the kernel that has the model, asked by messages of the widget (var_mini/view/widget.py). Every question has
// a number, which its answers repeat; to a draw there are as many as scales. A kernel does one thing after the other, so a draw goes on
// behind a view that no longer waits for it.

import { attentionOf, codeOf } from '../lib/answers.js';
import { locate } from '../lib/run.js';
import { toRecord } from '../lib/settings.js';

/** @param {{send: (content: object) => void, on: Function, off: Function}} widget  the model of an anywidget */
export function kernelEngine(widget) {
  const waiting = new Map(); // number -> { resolve, reject, onRun }
  let asked = 0;

  function answered(answer) {
    const question = waiting.get(answer.number);
    if (!question) return; // another view of the same widget asked, or nobody waits any more
    if (answer.run && answer.run.scales.length < answer.run.sides.length) { question.onRun(answer.run); return; }
    waiting.delete(answer.number);
    if (answer.error) question.reject(new Error(answer.error));
    else question.resolve(answer);
  }

  function ask(kind, query = {}, { onRun, signal } = {}) {
    const number = ++asked;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      signal?.addEventListener('abort', () => { waiting.delete(number); reject(new DOMException('stopped', 'AbortError')); });
      waiting.set(number, { resolve, reject, onRun });
      widget.send({ ...query, kind, number });
    });
  }

  const idsOf = (run) => run.scales.map((scale) => scale.ids);
  widget.on('msg:custom', answered);
  return {
    async draw(settings, { onScale = () => {}, signal } = {}) {
      const onRun = (run) => onScale(run.scales.at(-1), run.scales.length - 1, run);
      return (await ask('draw', { settings: toRecord(settings) }, { onRun, signal })).run;
    },
    async attention(run, { layer, head, token }) {
      const { scale, index } = locate(run.sides, token);
      return attentionOf(await ask('attention', { settings: run.settings, ids: idsOf(run), scale, token: index, layer, head }), scale);
    },
    blocks: (run) => ask('blocks', { settings: run.settings, ids: idsOf(run) }),
    code: async (run, { scale, index }) => codeOf(await ask('code', { code: run.scales[scale].ids[index] })),
    close: () => widget.off('msg:custom', answered),
  };
}
