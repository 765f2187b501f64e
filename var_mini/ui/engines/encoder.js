// Picture -> f, the features that the quantizer takes apart: the decoder's way backwards.
import { ResidualBlock, convolve, loadNorm, normalise, packConvolution, residualBlocks } from './convolution.js';

export class Encoder {
  constructor(space, tensors, { tokenizer: t }) {
    const name = 'tokenizer.encoder', convolution = (part) => packConvolution(space, tensors, part);
    Object.assign(this, { space, colours: t.image_channels, stem: t.stem, groups: t.norm_groups });
    this.convIn = convolution(`${name}.conv_in`);
    this.levels = t.channel_mult.map((_, i) => ({ // the first level is the finest
      blocks: residualBlocks(space, tensors, `${name}.down.${i}.block`, t.norm_groups),
      downsample: i + 1 < t.channel_mult.length ? convolution(`${name}.down.${i}.downsample.conv`) : null,
    }));
    this.middle = [1, 2].map((i) => new ResidualBlock(space, tensors, `${name}.mid.block_${i}`, t.norm_groups));
    this.normOut = loadNorm(tensors, `${name}.norm_out`);
    this.convOut = convolution(`${name}.conv_out`);
    this.after = convolution('tokenizer.quant_conv');
  }

  /** A picture (colours, S, S) in [0, 1] -> f (side^2, z). */
  encode(picture, size) {
    const { space, groups } = this, mark = space.top;
    let map = convolve(space, this.convIn, this.fold(picture, size));
    for (const { blocks, downsample } of this.levels) {
      for (const block of blocks) map = block.apply(space, map);
      if (downsample) map = convolve(space, downsample, map, 2);
    }
    for (const block of this.middle) map = block.apply(space, map);
    map = convolve(space, this.convOut, normalise(space, this.normOut, map, groups));
    const { data, side, channels, row } = convolve(space, this.after, map), f = new Float32Array(side * side * channels);
    for (let p = 0; p < side * side; p++) f.set(data.subarray(p * row, p * row + channels), p * channels);
    space.release(mark);
    return f;
  }

  /** stem x stem pixels of each colour become channels (colour, dy, dx) of one pixel; [0, 1] becomes [-1, 1]. */
  fold(picture, size) {
    const { space, stem, colours } = this, side = size / stem, channels = colours * stem * stem;
    const data = space.rows(side * side, channels);
    for (let c = 0; c < colours; c++) {
      for (let y = 0; y < size; y++) {
        for (let x = 0; x < size; x++) {
          const pixel = Math.floor(y / stem) * side + Math.floor(x / stem), channel = (c * stem + (y % stem)) * stem + (x % stem);
          data[pixel * channels + channel] = picture[(c * size + y) * size + x] * 2 - 1;
        }
      }
    }
    return { data, side, channels, row: channels };
  }
}
