// Tells the server what went wrong in this page, how fast it was and how much memory it takes: `POST /v1/client-reports`.
// It is told when the page is left or hidden, and soon after an error; of somebody who is signed in, and never twice.

import { call, isSignedIn } from "./api.js";

/** Of how many page loads one tells its measures. Errors are always told. */
const SAMPLE = 10;
const MOST_ERRORS = 10;
/** What a request takes at the most. */
const MOST = 20;
const SOON_MS = 3_000;

/** The release that this page is of: the hash in the address of its files. */
const version = new URL(import.meta.url).pathname.split("/").at(-2) ?? "";
const isSampled = Math.random() * SAMPLE < 1;
const waiting = [];
let errors = 0;
let timer = 0;
let told = false;

/** How many errors there were. */
export const faults = () => errors;

function fault(message, detail) {
  if (errors >= MOST_ERRORS) return;
  errors += 1;
  // A recording of the page, where there is one, is told.
  dispatchEvent(new Event("mainstay:fault"));
  waiting.push({ kind: "error", message: String(message).slice(0, 500), detail: String(detail ?? "").slice(0, 2000) });
  clearTimeout(timer);
  timer = setTimeout(tell, SOON_MS);
}

addEventListener("error", ({ message, filename, lineno, colno, error }) => {
  // A file that did not load is an event of its element, without a message.
  if (message) fault(message, error?.stack ?? `${filename}:${lineno}:${colno}`);
});
addEventListener("unhandledrejection", ({ reason }) => {
  if (reason?.name !== "AbortError") fault(reason?.message ?? reason, reason?.stack);
});

const vitals = { lcp: null, inp: null, cls: null, fcp: null, ttfb: null };

function watch(type, take, options = {}) {
  try {
    new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true, ...options });
  } catch {
    // This browser does not measure it.
  }
}

if (isSampled) {
  watch("largest-contentful-paint", (entry) => (vitals.lcp = entry.startTime));
  watch("layout-shift", (entry) => {
    if (!entry.hadRecentInput) vitals.cls = (vitals.cls ?? 0) + entry.value;
  });
  watch("event", (entry) => (vitals.inp = Math.max(vitals.inp ?? 0, entry.duration)), { durationThreshold: 40 });
  watch("paint", (entry) => {
    if (entry.name === "first-contentful-paint") vitals.fcp = entry.startTime;
  });
  watch("navigation", (entry) => (vitals.ttfb = entry.responseStart));
}

/** What was measured, once for each page. */
function measures() {
  if (!isSampled || told) return [];
  told = true;
  const measured = Object.entries(vitals).filter(([, value]) => value !== null);
  const memory = performance.memory?.usedJSHeapSize;
  return [...measured.map(([name, value]) => ({ kind: "vital", name, value })), ...(memory ? [{ kind: "memory", bytes: memory }] : [])];
}

async function tell(leaving = false) {
  if (!isSignedIn()) return;
  const reports = [...waiting.splice(0, MOST), ...(leaving ? measures() : [])].slice(0, MOST);
  if (!reports.length) return;
  try {
    await call("POST", "/v1/client-reports", { body: { page: location.pathname, version, reports }, keepalive: leaving });
  } catch {
    // Nobody is helped by an error about the report of an error.
  }
}

document.addEventListener("visibilitychange", () => document.hidden && tell(true));
addEventListener("pagehide", () => tell(true));

// Where somebody has agreed to recordings in this browser. Others do not fetch a byte of it.
function isRecorded() {
  try {
    return localStorage.getItem("mainstay.replay") !== null;
  } catch {
    return false; // Storage is refused.
  }
}
if (isRecorded()) import("./replay.js").catch(() => {});
