// The chapters below the first screen that are Gradio's tabs: each has an address, #tokenize, and Back leads from one to the other.

const PATIENCE_MS = 20000; // Gradio's tabs are made a while after the page

let tabs = []; // their names in their order
let made = false; // Gradio has opened a tab

// Gradio hides tabs that do not fit behind a menu, whose entries carry no name: they stand in the order of the tabs
export function open(name) {
  const visible = document.getElementById(`vm-tab-${name}-button`);
  if (visible) { visible.click(); return; }
  const title = document.querySelectorAll('#vm-tabs > .tab-wrapper > [aria-hidden] > button')[tabs.indexOf(name)]?.textContent;
  [...document.querySelectorAll('#vm-tabs > .tab-wrapper .overflow-dropdown button')].find((b) => b.textContent === title)?.click();
}

const asked = () => decodeURIComponent(location.hash.slice(1));

// a tab was opened, by whatever; the first one by Gradio itself as soon as it is made, which is no visitor's choice
export function opened(name) {
  const itself = !made && name === tabs[0];
  made = true;
  if (itself) return;
  if (asked() === name || (!asked() && name === tabs[0])) return; // the first one needs no name
  history.pushState(null, '', `${location.pathname}${location.search}#${name}`);
}

async function follow() {
  const name = asked(), until = Date.now() + PATIENCE_MS;
  if (!/^[a-z]*$/.test(name)) return;
  const there = () => document.getElementById(tabs.includes(name) ? 'vm-tabs' : name);
  while (name && !there() && Date.now() < until) await new Promise((resolve) => { setTimeout(resolve, 100); });
  if (name !== asked()) return;
  if (tabs.includes(name)) {
    open(name);
    document.getElementById('vm-tabs').scrollIntoView({ block: 'start' });
  } else if (name) document.getElementById(name)?.scrollIntoView({ block: 'start' });
  else open(tabs[0]);
}

export function begin(names) {
  tabs = names;
  addEventListener('popstate', follow);
  if (location.hash) follow();
}
