// Whether the server can be reached, and the line that says so when it cannot. While it cannot, it is looked for; what
// waits for it hears "restored" on the bus.

import { emit, events } from "./bus.js";
import { $, make } from "./dom.js";

const PROBE_MS = 10_000;

let reachable = true;
let probe = 0;
let waits = 0;

/** False when it is known that a request would get no answer. */
export const isReachable = () => reachable && navigator.onLine;

export function watchNetwork() {
  events.addEventListener("reached", () => reachable || reach(true));
  events.addEventListener("unreached", () => reachable && reach(false));
  events.addEventListener("waiting", ({ detail }) => {
    waits = detail;
    draw();
  });
  addEventListener("online", () => (draw(), reachable || look()));
  addEventListener("offline", draw);
  draw();
}

function draw() {
  const line = $("#network");
  const text = said();
  if (line.textContent !== text) line.replaceChildren(...(text ? [make("p", { text })] : []));
  document.body.classList.toggle("offline", text !== "");
}

function said() {
  if (isReachable()) return "";
  const sent = waits ? `${waits === 1 ? "One thing waits" : `${waits} things wait`} to be sent.` : "What you write is sent when you are back.";
  return navigator.onLine ? `The server cannot be reached just now. ${sent}` : `Offline. ${sent}`;
}

function reach(value) {
  const isBack = value && !reachable;
  reachable = value;
  if (value) {
    clearInterval(probe);
    probe = 0;
  } else if (!probe) {
    probe = setInterval(look, PROBE_MS);
  }
  draw();
  if (isBack) emit("restored");
}

async function look() {
  if (document.hidden || !navigator.onLine) return;
  try {
    await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    reach(true);
  } catch {
    // Still away; the next look comes by itself.
  }
}
