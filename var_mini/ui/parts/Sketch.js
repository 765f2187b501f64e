// A canvas to draw on by mouse, finger or keyboard. What is drawn is kept in the canvas alone; with another `size` or other `channels` it
// must be mounted anew.

import { html, useLayoutEffect, useRef, useState } from '../vendor/preact-htm.js';
import { paletteOf, resolution, stepped } from '../lib/pen.js';
import { Slider } from './Settings.js';

const REST_MS = 150; // after the last stroke, before the drawing is told

// `onDrawn(uri)` hears of the drawing, as a PNG, a while after every stroke
export function Sketch({ size, channels, word, onDrawn }) {
  const { colours, paper } = paletteOf(channels), side = resolution(size);
  const [colour, setColour] = useState(Object.values(colours)[0]), [width, setWidth] = useState(8); // percent of the canvas
  const [at, setAt] = useState([0.5, 0.5]), [down, setDown] = useState(false), [said, setSaid] = useState(''); // down: by keyboard
  const canvas = useRef(null), pointer = useRef(null), timer = useRef(null);

  const wipe = () => {
    clearTimeout(timer.current);
    const context = canvas.current.getContext('2d');
    context.fillStyle = paper;
    context.fillRect(0, 0, side, side);
  };
  const tell = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onDrawn(canvas.current.toDataURL('image/png')), REST_MS);
  };
  const draw = ([x0, y0], [x1, y1]) => {
    const context = canvas.current.getContext('2d');
    Object.assign(context, { strokeStyle: colour, lineWidth: Math.max(1, (width * side) / 100), lineCap: 'round', lineJoin: 'round' });
    context.beginPath();
    context.moveTo(x0 * side, y0 * side);
    context.lineTo(x1 * side + 0.01, y1 * side); // a line of no length would not be drawn
    context.stroke();
    setAt([x1, y1]);
  };
  useLayoutEffect(() => {
    wipe();
    return () => clearTimeout(timer.current);
  }, []);

  const placeOf = ({ clientX, clientY }) => {
    const box = canvas.current.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  };
  const begin = (event) => {
    pointer.current = event.pointerId;
    canvas.current.setPointerCapture(event.pointerId);
    draw(placeOf(event), placeOf(event));
  };
  const mine = (event) => event.pointerId === pointer.current;
  const end = (event) => {
    if (!mine(event)) return;
    pointer.current = null;
    tell();
  };
  const press = (event) => {
    const next = stepped(at, event.key), space = event.key === ' ';
    if (!next && !space) return;
    event.preventDefault();
    if (space) {
      setDown(!down);
      setSaid(word(down ? 'tokenize_pen_up' : 'tokenize_pen_down'));
    } else setAt(next);
    if (space ? !down : down) draw(at, next ?? at); // lowered, the pen leaves a dot
    if (space || down) tell();
  };
  const place = `left:${100 * at[0]}%;top:${100 * at[1]}%;width:${width}%;height:${width}%;background:${down ? colour : 'transparent'}`;
  return html`<div class="vp-board"><div class="vp-sheet"><canvas class="vp-canvas" ref=${canvas} width=${side} height=${side} tabindex="0" role="application" aria-label=${word('tokenize_canvas')}
      onpointerdown=${begin} onpointermove=${(event) => mine(event) && draw(at, placeOf(event))} onpointerup=${end} onpointercancel=${end} onkeydown=${press}
      onblur=${() => setDown(false)}></canvas><i class="vp-cursor" style=${place} aria-hidden="true"></i></div>
    <div class="vp-tools"><div class="vp-palette" role="group" aria-label=${word('tokenize_palette')}>${Object.entries(colours).map(([name, value]) => html`<button key=${name} type="button"
        style=${`background:${value}`} title=${word(`tokenize_colour_${name}`)} aria-label=${word(`tokenize_colour_${name}`)} aria-pressed=${String(value === colour)} onclick=${() => setColour(value)}></button>`)}</div>
      <${Slider} label=${word('tokenize_width')} value=${width} shown=${`${width} %`} from="2" to="20" step="1" onSlide=${setWidth} />
      <button type="button" class="vu-button" onclick=${() => { wipe(); setSaid(word('tokenize_cleared')); }}>${word('tokenize_clear')}</button>
      <span class="vp-status" role="status">${said}</span><p class="vu-hint">${word('tokenize_draw_hint')}</p></div></div>`;
}
