// An engine over recorded runs alone: what a page shows without a server and without a model.
//
//   const engine = recordedEngine(async (name) => run);   // the JSON of a model's recorded run, by the model's name

export function recordedEngine(runOf, models = []) {
  const kept = new Map();
  const refuse = (what) => { throw new Error(`${what}: needs a model, this is a recorded run`); };
  async function load(name) {
    if (!kept.has(name)) kept.set(name, runOf(name).catch((error) => { kept.delete(name); throw error; })); // another time it may come
    return kept.get(name);
  }
  return {
    models: async () => models,
    load,
    recorded: load,
    async draw(settings, { onScale = () => {}, signal } = {}) {
      const run = await load(settings.model), told = run.settings;
      if (told.label !== settings.class || told.seed !== settings.seed || settings.forced) refuse(`class ${settings.class}, seed ${settings.seed}`);
      for (let k = 1; k < run.scales.length; k++) {
        signal?.throwIfAborted();
        onScale(run.scales[k - 1], k - 1, { ...run, scales: run.scales.slice(0, k) });
      }
      return run;
    },
    attention: async () => refuse('attention'),
    tokenize: async () => refuse('tokenize'),
    edit: async () => refuse('edit'),
    close() {},
  };
}
