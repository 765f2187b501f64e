// The service worker: it keeps the page, so that it opens without a network after the first visit. The build puts SITE before these
// lines: a version, the files to keep at once, and those to keep when they were asked for, runs and pictures of the other models.
// Models are not its business: the engine keeps those that were asked for.
/* global SITE */

const PREFIX = `var-mini-page ${self.registration.scope} `, CACHE = PREFIX + SITE.version; // one host may serve several sites
const here = (files) => new Set(files.map((file) => new URL(file, self.registration.scope).href));
const KEPT = here(SITE.files), LATER = here(SITE.later);

self.addEventListener('install', (event) => {
  const requests = SITE.files.map((file) => new Request(file, { cache: 'reload' }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

self.addEventListener('activate', (event) => {
  const forget = async () => {
    for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(forget());
});

self.addEventListener('fetch', (event) => {
  const { request } = event, [address] = request.url.split(/[?#]/), known = KEPT.has(address) || LATER.has(address);
  if (request.method !== 'GET' || !(known || request.mode === 'navigate')) return; // a model: the browser asks for it as if we were not here
  const answer = async () => {
    const cache = await caches.open(CACHE); // what stands behind ? in a link names no other file
    const kept = await cache.match(known ? address : './');
    if (kept) return kept;
    const fresh = await fetch(request);
    if (LATER.has(address) && fresh.ok) await cache.put(address, fresh.clone()).catch(() => {}); // storage may be full
    return fresh;
  };
  event.respondWith(answer());
});
