// A view that follows the store.

import { useLayoutEffect, useState } from '../vendor/preact-htm.js';

export function useStore(store) {
  const [state, setState] = useState(store.get());
  useLayoutEffect(() => {
    setState(store.get()); // what has changed between the first drawing and now
    return store.subscribe(setState);
  }, [store]);
  return state;
}
