// Charts inside of HTML that the server writes (demo/charts.py): each stands where its data is.

import { html, render } from '../vendor/preact-htm.js';
import { Chart } from '../parts/Chart.js';

// draws all of an element, and those that come into it later
export function drawCharts(element) {
  const draw = () => element.querySelectorAll('[data-chart]:empty').forEach((place) => render(html`<${Chart} ...${JSON.parse(place.dataset.chart)} />`, place));
  draw();
  new MutationObserver(draw).observe(element, { childList: true, subtree: true });
}
