// RGB bytes on a canvas, one canvas pixel each.

export function paint(canvas, side, rgb) {
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side), rgba = image.data.fill(255);
  for (let i = 0; i < side * side; i++) for (let c = 0; c < 3; c++) rgba[4 * i + c] = rgb[3 * i + c];
  canvas.getContext('2d').putImageData(image, 0, 0);
}
