// Under which condition a run was timed, in the one form in which every time of it is told: "measured now · things-64 · batch 1 · ...".

// `run.timed` is { threads } of a processor, or { device } by its name; a run that was recorded or came out of a file may not know
export function conditionOf({ timed = {}, settings, recorded, opened, model }, word) {
  const { threads, device } = timed, where = recorded ? 'recorded' : opened ? 'opened' : 'measured_now';
  const on = device ?? (threads ? word(threads === 1 ? 'one_thread' : 'threads', { threads }) : '');
  const guided = settings.guidance === undefined ? '' : word(settings.guidance > 0 ? 'guided' : 'unguided');
  return [word(where), model, word('batch_of_one'), on, guided].filter(Boolean).join(' \u00b7 ');
}
