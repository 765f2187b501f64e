// Runs on canvases: token maps, pictures, and where a token looks.

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Draws RGB bytes (side, side, 3) on a canvas of side x side pixels; the style sheet makes it larger. */
export function paint(canvas, base64, side) {
  const rgb = bytes(base64), image = new ImageData(side, side);
  for (let p = 0; p < side * side; p++) image.data.set([rgb[3 * p], rgb[3 * p + 1], rgb[3 * p + 2], 255], 4 * p);
  canvas.width = canvas.height = side;
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Colour of entry i as CSS. */
export function colour(base64, i) {
  return `rgb(${bytes(base64).subarray(3 * i, 3 * i + 3).join()})`;
}

/** Lays weights (side, side) over a map: from dark, nothing, to yellow, the largest of all. `chosen` gets a white cell. */
export function heat(canvas, weights, side, largest, chosen = -1) {
  const image = new ImageData(side, side);
  for (let p = 0; p < side * side; p++) {
    const share = Math.sqrt(Math.max(0, weights[p] ?? 0) / largest);
    image.data.set(p === chosen ? [255, 255, 255, 255] : [255 * share, 215 * share, 40, 225], 4 * p);
  }
  canvas.width = canvas.height = side;
  canvas.getContext('2d').putImageData(image, 0, 0);
}

export function clear(canvas) {
  canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
}
