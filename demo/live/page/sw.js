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

self.addEventListener('fetch', (event) => {
  const { request } = event, inside = new URL(request.url).href.startsWith(self.registration.scope);
  if (request.method !== 'GET' || !inside) return;
  const answer = async () => {
    const cache = await caches.open(CACHE); // what stands behind ? in a link, or after worker.js, names no other file
    return (await cache.match(request.mode === 'navigate' ? './' : request, { ignoreSearch: true })) ?? fetch(request);
  };
  event.respondWith(answer());
});
