// Line charts without a page: where curves, marks and ticks stand, by d3's scales.
//
//   layout({ series, x, y, marks, here }, { width, height })
//
// series  { name, points: [[x, y], ...], style, dashed, markers, ringed }: a value that is null or has no place on a logarithmic axis
//         leaves a gap; `ringed` are single measurements over the curve of the same style
// x, y    { label, log, from, to, ticks }: all but the label may be left out
// marks   { x, label, strong, style, turned }: vertical lines with a name, which stand at places worth naming; `turned`: it ends there

import { line, scaleLinear, scaleLog, symbol, symbolCircle, symbolCross, symbolDiamond, symbolSquare, symbolStar, symbolTriangle } from '../vendor/d3.js';

export const WIDTH = 460, HEIGHT = 290;
export const LEFT = 62, RIGHT = 14, TOP = 14, BOTTOM = 44; // margins around the plotted area
const ROW = 15; // height of a line of text
const ROWS = 3; // of the names of marks
const SIZE = 56; // area of a symbol
const MARGIN = 0.03; // of an axis, at both of its ends
const MOST = 7; // powers of ten on an axis
// a style is a colour (style.css) and a shape, so that colour is never needed
export const SYMBOLS = [symbolCircle, symbolSquare, symbolTriangle, symbolDiamond, symbolStar, symbolCross, symbolCircle].map((kind) => symbol(kind, SIZE)());
export const HOLLOW = 5; // from this style on shapes are not filled

function axis(values, { log = false, from, to, ticks }, range) {
  const low = from ?? Math.min(...values), high = to ?? Math.max(...values), scale = (log ? scaleLog() : scaleLinear()).range(range);
  const wider = (a, b, share) => (log ? a * (a / b) ** share : a + (a - b) * share);
  const [a, b] = low < high ? [low, high] : log ? [low / 1.5, high * 1.5] : [low - 0.5, high + 0.5];
  scale.domain([from ?? wider(a, b, MARGIN), to ?? wider(b, a, MARGIN)]);
  return { scale, ticks: (ticks ?? chosen(scale, log)).filter((tick) => tick >= scale.domain()[0] && tick <= scale.domain()[1]) };
}

// round ticks; of a logarithmic axis the more multiples the fewer powers of ten it has
function chosen(scale, log) {
  if (!log) return scale.ticks(5);
  const [low, high] = scale.domain().map(Math.log10), factors = high - low > 3 ? [1] : high - low > 1.5 ? [1, 3] : [1, 2, 5];
  const leading = (tick) => Math.round(tick / 10 ** Math.floor(Math.log10(tick) + 1e-9));
  const found = scale.ticks(MOST).filter((tick) => factors.includes(leading(tick)));
  return found.length > 1 ? found : scale.ticks(3);
}

export function layout({ series, x, y, marks = [], here = null }, { width = WIDTH, height = HEIGHT } = {}) {
  const has = (value, { log }) => Number.isFinite(value) && (value > 0 || !log), fits = ([a, b]) => has(a, x) && has(b, y);
  const points = series.flatMap((one) => one.points.filter(fits)), named = marks.filter((mark) => has(mark.x, x));
  if (!points.length) return null;
  const places = [...points.map(([at]) => at), ...named.map((mark) => mark.x), ...(here === null ? [] : [here])];
  const across = axis(places, x, [LEFT, width - RIGHT]), labelled = Math.min(named.filter((mark) => mark.label).length, ROWS);
  const up = axis(points.map(([, value]) => value), y, [height - BOTTOM, TOP + ROW * labelled]);
  const path = line().defined(fits).x(([at]) => across.scale(at)).y(([, value]) => up.scale(value));
  const [first, last] = across.scale.range();
  return {
    width, height, across, up,
    curves: series.map((one, i) => ({ ...one, style: one.style ?? i, path: one.ringed ? '' : path(one.points),
      dots: one.points.filter(fits).map(([at, value]) => ({ at, value, x: across.scale(at), y: up.scale(value) })) })),
    // neighbours on different rows, the last one highest: a name that ends at its line crosses no other line there
    marks: named.map((mark, i) => ({ ...mark, x: across.scale(mark.x), top: TOP + ROW * ((named.length - 1 - i) % ROWS), turned: mark.turned ?? across.scale(mark.x) > first + 0.62 * (last - first) })),
    here: here === null ? null : across.scale(here),
  };
}

// every place on the x axis with the values of all series there, for a table
export function rowsOf(series) {
  const columns = series.map((one) => new Map(one.points));
  const places = [...new Set(series.flatMap((one) => one.points.map(([at]) => at)))].sort((a, b) => a - b);
  return places.map((at) => ({ at, values: columns.map((column) => (column.has(at) ? column.get(at) : undefined)) }));
}

// the one of some places that is nearest, as a logarithmic or a linear axis has them
export function nearest(places, at, log = false) {
  const away = (place) => Math.abs(log ? Math.log(place / at) : place - at);
  return places.reduce((best, place) => (away(place) < away(best) ? place : best));
}
