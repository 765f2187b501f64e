// Runs the engine in Node: reads a list of [method, ...arguments] as JSON from stdin, prints the list of results. A call that
// fails gives {error}, its sentence.
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

const [engines, models, product] = process.argv.slice(2), module = (name) => import(pathToFileURL(`${engines}/${name}.js`));
const { LocalEngine } = await module('local'), { Space, paddedRows } = await module('linear');
const { Noise, exponential } = await module('noise'), { forcedOutside } = await module('engine');
const bytes = async (path) => {
  const content = await readFile(path);
  return content.buffer.slice(content.byteOffset, content.byteOffset + content.length);
};
const wasm = product === 'wasm' ? await bytes(`${engines}/product.wasm`) : null;

const engine = new LocalEngine({
  models: async () => JSON.parse(await readFile(`${models}/index.json`)).models,
  files: async ({ name, files }) => ({
    config: JSON.parse(await readFile(`${models}/${name}/model.json`)),
    weights: await bytes(`${models}/${name}/model.safetensors`),
    calibration: files['calibration.safetensors'] ? await bytes(`${models}/${name}/calibration.safetensors`) : null,
  }),
  product: async () => wasm,
});

const others = {
  noise(seed, count) {
    const uniform = new Noise(seed).uniform(new Float64Array(count)), values = Float32Array.from(uniform, exponential);
    return [...new Uint32Array(values.buffer)];
  },
  async product(x, weights, bias, n, k, m, half) {
    const space = await Space.create(1 << 20, wasm), rows = space.take(paddedRows(n) * k);
    rows.set(x);
    const packed = space.pack({ half, at: (i) => weights[i] }, bias, k, m, (row, column) => row * m + column);
    const y = space.product(rows, n, packed);
    return { fast: Boolean(space.fast), y: Array.from({ length: n }, (_, i) => [...y.subarray(i * packed.width, i * packed.width + m)]) };
  },
  async curves(values, most) {
    const space = await Space.create(1 << 20, wasm), [x, y] = [0, 1].map(() => space.take(values.length));
    x.set(values);
    y.set(values);
    space.exponentials(x, 0, values.length, most);
    space.gelu(y, values.length);
    return { fast: Boolean(space.fast), exponentials: [...x], gelu: [...y] };
  },
  forcedOutside: (run, mask) => forcedOutside(run, mask),
  /** Stops a run after its second scale, and says how far it came. */
  async stopped(settings) {
    const control = new AbortController(), seen = [];
    const onScale = (scale, k) => { seen.push(scale.side); if (k === 1) control.abort(); };
    const name = await engine.draw(settings, { onScale, signal: control.signal }).catch((error) => error.name);
    return { name, seen };
  },
};

let input = '';
for await (const chunk of process.stdin) input += chunk;
const results = [];
for (const [method, ...given] of JSON.parse(input)) {
  try {
    const call = others[method] ?? engine[method].bind(engine);
    results.push((await call(...given)) ?? null);
  } catch (error) {
    results.push({ error: error.message });
  }
}
console.log(JSON.stringify(results, (_, value) => (ArrayBuffer.isView(value) ? [...value] : value)));
