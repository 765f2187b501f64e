// f_hat -> picture: the tokenizer's decoder. Residual blocks at the side of the last token map, then, where the model has finer
// levels, the side doubles between them; at the end each pixel of the map becomes stem x stem pixels of the picture.
import { ResidualBlock, convolve, loadNorm, normalise, packConvolution, residualBlocks } from './convolution.js';

export class Decoder {
  constructor(space, tensors, { tokenizer: t }) {
    const name = 'tokenizer.decoder', convolution = (part) => packConvolution(space, tensors, part);
    Object.assign(this, { space, z: t.z_channels, colours: t.image_channels, stem: t.stem, groups: t.norm_groups });
    this.before = convolution('tokenizer.post_quant_conv');
    this.convIn = convolution(`${name}.conv_in`);
    this.middle = [1, 2].map((i) => new ResidualBlock(space, tensors, `${name}.mid.block_${i}`, t.norm_groups));
    this.levels = t.channel_mult.map((_, i) => ({ // the first level is the finest
      blocks: residualBlocks(space, tensors, `${name}.up.${i}.block`, t.norm_groups),
      upsample: i ? convolution(`${name}.up.${i}.upsample.conv`) : null,
    }));
    this.normOut = loadNorm(tensors, `${name}.norm_out`);
    this.convOut = convolution(`${name}.conv_out`);
  }

  /** f_hat, rows of z numbers -> the picture (colours, S, S) in [0, 1]; into `picture`, where one is given. */
  decode(fHat, side, picture) {
    const { space, groups } = this, mark = space.top, data = space.rows(side * side, this.z);
    data.set(fHat);
    let map = convolve(space, this.before, { data, side, channels: this.z, row: this.z });
    map = convolve(space, this.convIn, map);
    for (const block of this.middle) map = block.apply(space, map);
    for (const { blocks, upsample } of [...this.levels].reverse()) {
      for (const block of blocks) map = block.apply(space, map);
      if (upsample) map = convolve(space, upsample, doubled(space, map));
    }
    const found = this.unfold(convolve(space, this.convOut, normalise(space, this.normOut, map, groups)), picture);
    space.release(mark);
    return found;
  }

  /** Channels (colour, dy, dx) of a pixel become stem x stem pixels of each colour; [-1, 1] becomes [0, 1]. */
  unfold({ data, side, row }, picture = new Float32Array(this.colours * (side * this.stem) ** 2)) {
    const { stem, colours } = this, S = side * stem;
    for (let c = 0; c < colours; c++) {
      for (let y = 0; y < S; y++) {
        for (let x = 0; x < S; x++) {
          const pixel = Math.floor(y / stem) * side + Math.floor(x / stem), channel = (c * stem + (y % stem)) * stem + (x % stem);
          picture[(c * S + y) * S + x] = (Math.min(1, Math.max(-1, data[pixel * row + channel])) + 1) / 2;
        }
      }
    }
    return picture;
  }
}

/** Every pixel becomes 2 x 2 equal ones. */
function doubled(space, { data, side, channels, row }) {
  const twice = 2 * side, y = space.rows(twice * twice, channels);
  for (let p = 0; p < twice * twice; p++) {
    const from = ((p / twice >> 1) * side + ((p % twice) >> 1)) * row;
    y.set(data.subarray(from, from + channels), p * channels);
  }
  return { data: y, side: twice, channels, row: channels };
}
