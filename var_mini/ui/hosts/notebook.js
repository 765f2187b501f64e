// The front end in a notebook, as an anywidget: the explorer of one run, answered by the kernel (var_mini/view/widget.py). A widget takes a
// single module: `python -m var_mini.ui.bundle` makes dist/notebook.js of this one and of all that it imports.

import { kernelEngine } from '../engines/kernel.js';
import { followTheme } from '../lib/theme.js';
import { mountExplorer } from '../views/Explorer.js';

function render({ model, el }) {
  const root = document.createElement('div');
  root.className = 'vx';
  el.append(root);
  const engine = kernelEngine(model), language = navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en';
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const explorer = mountExplorer(root, { engine, all: model.get('words'), language, calm });
  const show = () => explorer.show(model.get('run')), release = followTheme(root);
  model.on('change:run', show);
  show();
  return () => {
    model.off('change:run', show);
    release();
    explorer.close();
    engine.close();
  };
}

export default { render };
