// The engine of a notebook's widget that draws in the browser: the model came along with the widget as bytes, so that the notebook,
// exported as a page, still draws without a kernel and without a server. It computes in the page itself and not in a Worker, which a
// page opened from a file may not be allowed to start; between two scales the page lives on.

import { LocalEngine } from '../engines/local.js';

// a copy, for the engine gives the memory of files back when it has read them
const bytesOf = (view) => (view?.byteLength ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : null);

/**
 * @param {(trait: string) => any} get  of the widget: `described`, what var_mini/ui/export.py says of the model, and its files as
 *   DataViews: `weights`, `calibration` and `product`, of which the last two may be empty
 * @param {string} missing  what is told where the weights did not come along
 * @returns {import('../engines/engine.js').Engine}
 */
export function notebookEngine(get, missing) {
  const { info, config } = get('described');
  const engine = new LocalEngine({
    models: async () => [{ ...info, stored: true }],
    files: async () => {
      const weights = bytesOf(get('weights'));
      if (!weights) throw new Error(missing);
      return { config, weights, calibration: bytesOf(get('calibration')) };
    },
    product: async () => bytesOf(get('product')),
  });
  // of the only model that there is; a view is given the run so far as an object of its own, as from a Worker
  const draw = (settings, { onScale = () => {}, ...options } = {}) => LocalEngine.prototype.draw.call(engine, { ...settings, model: info.name },
    { ...options, onScale: (scale, k, { scales, ...run }) => onScale(scale, k, { ...run, scales: [...scales] }) });
  return Object.assign(engine, { draw });
}
