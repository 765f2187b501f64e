// What a page says that could not be made.

export function broken(root, { message }) {
  root.append(Object.assign(document.createElement('p'), { role: 'alert', className: 'vu-problem', textContent: message }));
}
