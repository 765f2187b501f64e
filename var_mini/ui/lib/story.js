// The chapters of the story in their order, and what else a page has below them. Each has an address of its own: #idea ...

export const STORY = ['idea', 'word', 'sum', 'masks', 'lowrank', 'cost', 'edit', 'limits'];
export const numberOf = (id) => STORY.indexOf(id) + 1; // 0: no chapter of the story

// what stands before and after a place, of those that a page has
export function around(id, there = STORY) {
  const at = there.indexOf(id);
  return at < 0 ? {} : { before: there[at - 1], after: there[at + 1] };
}

// The place that is read: the last one whose top is no lower than `line`, in pixels of the window; '' above the first one.
// `tops` are [id, pixels], with undefined for what is not on the page yet.
export const placeAt = (tops, line) => tops.findLast(([, top]) => top <= line)?.[0] ?? '';
