// The service worker: opens the field page without a net, and sends what waits when there is one again. `SHELL` stands before it
// (web/offline.py): the release and its files. It keeps the field page and files of the release, never an answer or a photo.
const CACHE = `leafloop-${SHELL.version}`;
const FIELD = "/";
const NOWHERE = "/offline";
const PATIENCE_MS = 5_000; // a net that has not begun to answer by then is worse than the page that is here

self.addEventListener("install", (event) => {
  // A page that is left gives its photos back: a browser drops what it then sends if this worker has to be asked first.
  event.addRoutes?.({ condition: { urlPattern: new URLPattern({ pathname: "/review/*" }), requestMethod: "POST" }, source: "network" });
  event.waitUntil(install());
  self.skipWaiting();
});

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll([...SHELL.files, NOWHERE]);
  await keepField(await fetch(FIELD, { headers: { Accept: "text/html" } })).catch(() => {});
}

self.addEventListener("activate", (event) => event.waitUntil(takeOver()));

async function takeOver() {
  await self.clients.claim();
  const cache = await caches.open(CACHE);
  if (!(await cache.match(FIELD))) return; // nobody is logged in: the last release's page is better than none
  for (const name of await caches.keys()) if (name.startsWith("leafloop-") && name !== CACHE) await caches.delete(name);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== self.location.origin) return;
  if (request.method === "POST" && url.pathname === "/logout") return event.waitUntil(forget());
  if (request.method !== "GET") return;
  if (request.mode === "navigate") return event.respondWith(page(event, url));
  if (url.pathname.startsWith("/static/")) event.respondWith(file(request));
});

async function page(event, url) {
  const field = url.pathname === FIELD;
  const kept = field ? await caches.match(FIELD) : null;
  const net = fetch(event.request);
  if (field) event.waitUntil(net.then((answer) => keepField(answer.clone(), url)).catch(() => {}));
  try {
    return await (kept ? Promise.race([net, after(PATIENCE_MS).then(() => kept)]) : net);
  } catch {
    return kept ?? (await caches.match(NOWHERE)) ?? Response.error();
  }
}

const after = (ms) => new Promise((done) => { setTimeout(done, ms); });

// Only the field page itself: where the login has ended, another page comes in its place.
async function keepField(answer, url = null) {
  if (!answer.ok || answer.redirected || answer.type !== "basic") return;
  const cache = await caches.open(CACHE);
  await cache.put(FIELD, answer);
  if (url?.searchParams.has("lang")) await cache.add(NOWHERE); // in the new language, too
}

async function file(request) {
  const kept = await caches.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok && request.url.includes(`/static/${SHELL.version}/`)) await (await caches.open(CACHE)).put(request, answer.clone());
  return answer;
}

// The next person on this phone does not find the last one's page.
async function forget() {
  for (const name of await caches.keys()) await (await caches.open(name)).delete(FIELD);
}

self.addEventListener("sync", (event) => {
  if (event.tag === "leafloop.outbox") event.waitUntil(goUp().then((why) => { if (why) throw new Error(why); }));
});
