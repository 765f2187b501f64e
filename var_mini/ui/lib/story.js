// The chapters of the story in their order. Each has an address of its own: #idea ...

export const STORY = ['idea', 'word', 'sum', 'masks', 'lowrank', 'cost', 'edit', 'limits'];
export const numberOf = (id) => STORY.indexOf(id) + 1; // 0: no chapter of the story

// the chapter after this one, of those that a page has
export const nextOf = (id, there = STORY) => (numberOf(id) ? STORY.slice(numberOf(id)).find((one) => there.includes(one)) : undefined);
