// The frame around the parts: the drawer beside the page or over it, and the line that says when the server is out of
// reach. It holds no part, so it works while any of them does not.

import { emit, events } from "./bus.js";
import { $, make } from "./dom.js";

const narrow = matchMedia("(max-width: 799px)");
const KEY = "mainstay.drawer";
const PROBE_MS = 10_000;

const body = document.body;
const opener = $("#drawer-open");
const isOpen = () => body.classList.contains("drawer-shown");

/** Shows or hides the drawer. On a wide page the choice is remembered; on a narrow one it covers the rest. */
function setDrawer(open, { focus = true, remember = true } = {}) {
  body.classList.toggle("drawer-shown", open);
  opener.setAttribute("aria-expanded", String(open));
  $("#scrim").hidden = !open || !narrow.matches;
  const covers = open && narrow.matches;
  for (const element of [$("#top"), $("#main")]) element.inert = covers;
  $("#drawer").inert = !open;
  if (remember && !narrow.matches) {
    try {
      localStorage.setItem(KEY, open ? "open" : "closed");
    } catch {
      // Not remembered, then.
    }
  }
  if (focus) $(open ? "#drawer-close" : "#drawer-open").focus();
}

function fit() {
  let kept = null;
  try {
    kept = localStorage.getItem(KEY);
  } catch {
    // The default, then.
  }
  setDrawer(!narrow.matches && kept !== "closed", { focus: false, remember: false });
}

export function startLayout() {
  opener.addEventListener("click", () => setDrawer(true));
  $("#drawer-close").addEventListener("click", () => setDrawer(false));
  $("#scrim").addEventListener("click", () => setDrawer(false));
  narrow.addEventListener("change", fit);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && narrow.matches && isOpen() && !document.querySelector("dialog[open]")) setDrawer(false);
  });
  // What was chosen in a drawer that covers the page is to be seen.
  events.addEventListener("open", () => narrow.matches && isOpen() && setDrawer(false, { focus: false }));
  fit();
  watchNetwork();
}

function watchNetwork() {
  const line = $("#network");
  let probe = 0;
  let reachable = true;
  const draw = () => {
    const text = !navigator.onLine ? "You are offline. What you write is kept here." : reachable ? "" : "The server cannot be reached. Trying again by itself.";
    if (line.textContent !== text) line.replaceChildren(...(text ? [make("p", { text })] : []));
    body.classList.toggle("offline", text !== "");
  };
  const reach = (value) => {
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
  };
  const look = async () => {
    if (document.hidden || !navigator.onLine) return;
    try {
      await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      reach(true);
    } catch {
      // Still away; the next look comes by itself.
    }
  };
  events.addEventListener("reached", () => reachable || reach(true));
  events.addEventListener("unreached", () => reachable && reach(false));
  addEventListener("online", () => (draw(), reachable || look()));
  addEventListener("offline", draw);
  draw();
}
