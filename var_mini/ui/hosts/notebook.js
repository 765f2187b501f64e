// The front end in a notebook, as an anywidget: the explorer of one run, answered by the kernel (var_mini/view/widget.py), or by the model
// itself where it came along and is computed in the browser. A widget takes a single module: `python -m var_mini.ui.bundle` makes dist/notebook.js of this one and of all that it imports.

import { kernelEngine } from '../engines/kernel.js';
import { wordsOf } from '../lib/format.js';
import { followTheme } from '../lib/theme.js';
import { mountExplorer } from '../views/Explorer.js';
import { notebookEngine } from './notebook_engine.js';

function render({ model, el }) {
  const root = document.createElement('div');
  root.className = 'vx';
  el.append(root);
  const all = model.get('words'), language = navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
  const along = model.get('described'); // null where the kernel answers
  const engine = along ? notebookEngine((name) => model.get(name), wordsOf(all, language)('model_missing')) : kernelEngine(model);
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const explorer = mountExplorer(root, { engine, all, language, calm });
  const show = () => explorer.show(model.get('run')), release = followTheme(root);
  model.on('change:run', show);
  show();
  return () => {
    model.off('change:run', show);
    release();
    explorer.close();
    engine.close?.();
  };
}

export default { render };
