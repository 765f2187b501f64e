// The service worker: it keeps the page, so that it opens without a network after the first visit. The build puts SITE, a version
// and a list of files, before these lines. Models are not its business: the engine keeps those that were asked for.
/* global SITE */

const PREFIX = `var-mini-page ${self.registration.scope} `, CACHE = PREFIX + SITE.version; // one host may serve several sites

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

const KEPT = new Set(SITE.files.map((file) => new URL(file, self.registration.scope).href));

self.addEventListener('fetch', (event) => {
  const { request } = event, [address] = request.url.split('?'), opens = request.mode === 'navigate';
  if (request.method !== 'GET' || !(KEPT.has(address) || opens)) return; // a model: the browser asks for it as if we were not here
  const answer = async () => {
    const cache = await caches.open(CACHE); // what stands behind ? in a link names no other file
    return (await cache.match(opens ? './' : address)) ?? fetch(request);
  };
  event.respondWith(answer());
});
