// A model is downloaded only after a yes: one question and one download at a time, shared by all who wait for the same model.
//
//   const downloads = createDownloads(engine, tell, refusal);
//   await downloads.need(name, { signal, insist });   // until it is here; fails where the answer is no
//   downloads.answer(true); downloads.cancel();      // answer(null) closes the question unanswered
//
// `tell` hears { asked, loading, share, plain }: which model is asked about or downloaded, the share of it that has come, and whether
// this browser lacks what makes it fast. `refusal(name)` is the sentence for what cannot be computed without a model.

export function createDownloads(engine, tell, refusal) {
  const agreed = new Set(), declined = new Set(); // in this visit
  const wanted = []; // names of models, one for each who waits
  let question = null, loading = null, current = ''; // the engine holds one model at a time
  const refused = (name) => Object.assign(new Error(refusal(name)), { name: 'AbortError' });

  function answer(yes) {
    if (!question) return;
    const { name, settle, fail } = question;
    question = null;
    tell({ asked: '' });
    if (yes !== null) (yes ? agreed : declined).add(name);
    if (yes) settle();
    else fail(refused(name));
  }

  function ask(name) {
    if (question && question.name !== name) answer(null);
    if (!question) {
      question = { name };
      question.answered = new Promise((settle, fail) => Object.assign(question, { settle, fail }));
      tell({ asked: name });
    }
    return question.answered;
  }

  async function loaded(name, control, quiet) {
    const onProgress = (share) => { if (!quiet) tell({ loading: share < 1 ? name : '', share }); };
    try {
      current = '';
      const { fast } = await engine.load(name, { onProgress, signal: control.signal });
      current = name;
      tell({ plain: !fast });
    } catch (error) {
      throw error.name === 'AbortError' ? refused(name) : error;
    } finally {
      if (loading?.control === control) {
        loading = null;
        tell({ loading: '' });
      }
    }
  }

  function load(name, quiet) {
    if (loading?.name === name) return loading.work;
    loading?.control.abort();
    const control = new AbortController();
    loading = { name, control };
    loading.work = loaded(name, control, quiet);
    return loading.work;
  }

  // nobody waits for it now; whoever asks anew in the same moment goes on with it
  function unwanted() {
    setTimeout(() => { if (loading && !wanted.includes(loading.name)) loading.control.abort(); });
  }

  return {
    answer,
    cancel: () => loading?.control.abort(),
    about: () => question?.name,
    // `insist`: ask again although the answer was no before
    async need(name, { signal, insist = true } = {}) {
      let waits = true;
      const leave = () => {
        if (waits) wanted.splice(wanted.indexOf(name), 1);
        waits = false;
      };
      const stop = () => { answer(null); leave(); unwanted(); };
      signal?.throwIfAborted();
      signal?.addEventListener('abort', stop);
      wanted.push(name);
      try {
        if (current === name) return;
        const stored = (await engine.models()).find((one) => one.name === name)?.stored;
        signal?.throwIfAborted();
        if (stored) agreed.add(name);
        if (!agreed.has(name)) {
          if (!insist && declined.has(name)) throw refused(name);
          await ask(name);
        }
        await load(name, stored);
        signal?.throwIfAborted();
      } finally {
        leave();
        signal?.removeEventListener('abort', stop);
      }
    },
    agreed: (name) => agreed.has(name),
  };
}
