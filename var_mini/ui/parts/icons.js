// The pictures on buttons.

import { html } from '../vendor/preact-htm.js';

export const DICE = 'M4 3h12a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1zM6.2 6.2h2v2h-2zM11.8 6.2h2v2h-2zM9 9h2v2H9zM6.2 11.8h2v2h-2zM11.8 11.8h2v2h-2z';
export const PLAY = 'M6 3.5v13l10-6.5z';
export const PAUSE = 'M5 4h3.5v12H5zM11.5 4H15v12h-3.5z';
export const STOP = 'M5 5h10v10H5z';
export const TUNE = 'M3 5h8v2H3zM13 4h2v4h-2zM15 5h2v2h-2zM3 9h2v2H3zM6 8h2v4H6zM8 9h9v2H8zM3 13h6v2H3zM10 12h2v4h-2zM12 13h5v2h-5z';

export const icon = (path) => html`<svg class="vu-icon" viewBox="0 0 20 20" aria-hidden="true"><path d=${path} /></svg>`;
