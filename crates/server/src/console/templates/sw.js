// Keeps the shell and the files of one release, so that the page opens without a network. It never touches the API: what
// is shown offline is the page's own copy in IndexedDB.

const BASE = "{{ base }}";
const PREFIX = "mainstay.";
const CACHE = PREFIX + BASE.split("/").pop();
const SHELL = "/";
const FILES = [
{%- for file in files %}
  "{{ file }}",
{%- endfor %}
];
/** How long the network may take to give the shell before the kept one is shown. */
const PATIENCE_MS = 4000;

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith(`${BASE}/`)) event.respondWith(kept(request));
  else if (request.mode === "navigate" && url.pathname === SHELL) event.respondWith(shell(request));
});

/** All or nothing: a release that is only half there would not open. */
async function install() {
  const page = await fetch(SHELL, { cache: "no-cache", credentials: "omit" });
  // While nodes of two releases answer, the shell may be of the other one. The browser tries again by itself.
  if (!page.ok || !(await page.clone().text()).includes(`"${BASE}/`)) throw new Error("the shell is of another release");
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((name) => `${BASE}/${name}`));
  await cache.put(SHELL, page);
  await skipWaiting();
}

/** The files of other releases go. A page that is open has loaded all of its own. */
async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await clients.claim();
}

const kept = async (request) => (await (await caches.open(CACHE)).match(request)) ?? fetch(request);

/** The shell from the network, as long as that answers; else the kept one. */
async function shell(request) {
  const network = fetch(request);
  network.catch(() => {}); // It may fail when nobody waits for it any more.
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  const answer = await Promise.race([network, late]).catch(() => null);
  if (answer && answer.status < 500) return answer;
  const page = await (await caches.open(CACHE)).match(SHELL);
  return page ?? network;
}
