// The bar of chapters, which stays at the top of the window: where one is in the page, and the way to everything on it.

import { html, render, useEffect, useRef, useState } from '../vendor/preact-htm.js';
import { wordsOf } from '../lib/format.js';
import { numberOf, placeAt } from '../lib/story.js';

const LINE = 160; // pixels below the top of the window: what has come up to here is read
const TOP = 'top'; // the first screen; every browser knows this address

// the place that is read now, followed as the window is scrolled and as the page grows
function usePlace(there) {
  const [here, setHere] = useState('');
  useEffect(() => {
    let frame = 0;
    const look = () => {
      frame = 0;
      setHere(placeAt(there.map((id) => [id, document.getElementById(id)?.getBoundingClientRect().top]), LINE));
    };
    const soon = () => { frame ||= requestAnimationFrame(look); };
    const grown = new ResizeObserver(soon);
    grown.observe(document.body);
    addEventListener('scroll', soon, { passive: true });
    return () => {
      cancelAnimationFrame(frame);
      grown.disconnect();
      removeEventListener('scroll', soon);
    };
  }, [there]);
  return here;
}

function Contents({ there, word }) {
  const here = usePlace(there) || TOP, list = useRef(null);
  useEffect(() => { // where the bar is wider than the window, the link of this place is in its middle
    const link = list.current.querySelector('[aria-current]');
    list.current.scrollLeft = link.offsetLeft - (list.current.clientWidth - link.offsetWidth) / 2;
  }, [here]);
  return html`<ol ref=${list}>${[TOP, ...there].map((id) => html`<li key=${id} class=${id === TOP || numberOf(id) ? '' : 'vu-beside'}>
    <a href=${`#${id}`} aria-current=${id === here ? 'location' : undefined}>${numberOf(id) > 0 && html`<b>${numberOf(id)}</b> `}${word(`${id}_brief`)}</a></li>`)}</ol>`;
}

// `there`: what the page has below the first screen, in its order
export function mountContents(root, { all, language, there }) {
  const word = wordsOf(all, language);
  root.setAttribute('aria-label', word('contents'));
  render(html`<${Contents} there=${there} word=${word} />`, root);
}
