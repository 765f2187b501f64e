// The engine of a page without a server: recorded runs are there at once, and all else is computed in this browser, by a model that is
// downloaded when it is first needed and its visitor agrees (lib/downloads.js).

import { fromRecord, same } from '../lib/settings.js';
import { recordedEngine } from './recorded.js';

/**
 * @param {(path: string) => Promise<object>} read  a JSON file of the site
 * @param {import('./engine.js').Engine} computing  the engine of this browser
 * @param {ReturnType<typeof import('../lib/downloads.js').createDownloads>} downloads
 */
export function siteEngine(read, computing, downloads) {
  const { recorded } = recordedEngine((name) => read(`runs/${name}.json`));
  const looking = (method, insist) => async (run, ...rest) => {
    await downloads.need(run.model, { insist });
    return computing[method](run, ...rest);
  };
  return {
    start: () => read('models/index.json'),
    recorded,
    async draw(settings, options = {}) {
      if (!downloads.agreed(settings.model)) {
        const run = await recorded(settings.model).catch(() => null); // there may be none
        if (run && same(fromRecord(run.settings), settings)) return run;
      }
      await downloads.need(settings.model, options);
      return computing.draw(settings, options);
    },
    async edit(settings, options = {}) {
      await downloads.need(settings.model, options);
      return computing.edit(settings, options);
    },
    async tokenize(model, picture, options = {}) {
      await downloads.need(model, options);
      return computing.tokenize(model, picture, options);
    },
    attention: looking('attention', false), // asked of every token that is clicked: after one no they say so, and ask no more
    code: looking('code', false),
    blocks: looking('blocks', true),
    candidates: looking('candidates', true),
    close: computing.close,
  };
}
