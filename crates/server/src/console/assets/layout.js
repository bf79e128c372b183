// The frame around the parts: the drawer beside the page or over it. It holds no part, so it works while any of them does
// not.

import { events } from "./bus.js";
import { $ } from "./dom.js";

const narrow = matchMedia("(max-width: 799px)");
const KEY = "mainstay.drawer";

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
}
