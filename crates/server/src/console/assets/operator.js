// What the pages for operators and administrators share: how one begins, how times and facts are written, and how somebody is asked whether they
// mean it.

import { Problem, call, refresh } from "./api.js";
import { $, make } from "./dom.js";
import { Life } from "./life.js";
import { showProblem } from "./notice.js";
import "./reports.js";

/** Begins a page: `fill(life, root)` fills it once somebody is signed in here. */
export async function begin(name, fill) {
  const root = $("#page");
  const life = new Life(name);
  life.begin();
  // A page that comes back from the browser's cache has old figures and dead timers.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  try {
    await refresh();
    drawMenu(life);
    root.replaceChildren();
    await fill(life, root);
  } catch (problem) {
    trouble(life, root, problem, () => location.reload());
  }
}

/** Shows the pages on the menu that are not for everybody to those for whom they are. Whoever cannot ask is shown none. */
function drawMenu(life) {
  const links = document.querySelectorAll(".operator-head [data-for]");
  if (links.length === 0) return;
  life.run(async () => {
    const { operator, role } = await ask(life, "GET", "/v1/me");
    const mays = { operators: operator, administrators: role !== "member" };
    for (const link of links) link.hidden = !mays[link.dataset.for];
  });
}

/** Says what went wrong: in words of this page when it is about who asks. */
export function trouble(life, slot, problem, retry) {
  if (problem?.name === "AbortError") return;
  if (!(problem instanceof Problem)) throw problem;
  if (problem.status === 401) {
    const paragraph = make("p", { class: "off", role: "alert" }, "Nobody is signed in here. ", make("a", { href: "/", text: "Sign in" }), " and come back.");
    slot.replaceChildren(paragraph);
  } else if (problem.status === 403) {
    slot.replaceChildren(make("p", { class: "off", role: "alert", text: $("#page").dataset.refused }));
  } else {
    showProblem(life, slot, problem, { retry });
  }
}

/** Calls `look(tick)` now and every `ms` milliseconds, while the page can be seen; never twice at once. */
export function whileSeen(life, ms, look) {
  let tick = 0;
  let isLooking = false;
  const once = async () => {
    // What is asked in a dialog is about what stands behind it.
    if (document.hidden || isLooking || document.querySelector("dialog[open]")) return;
    isLooking = true;
    try {
      await look(tick++);
    } finally {
      isLooking = false;
    }
  };
  life.every(ms, once);
  life.on(document, "visibilitychange", once);
  return life.run(once);
}

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** "340 ms", "12 s", "5 min", "3 h", "2 d". */
export function span(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return `${Math.max(0, Math.round(ms))} ms`;
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A moment as "3 min. ago", with the exact time for whoever asks. */
export function moment(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return make("span", { text: String(text) });
  const seconds = Math.round((at - Date.now()) / 1000);
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size * 2) ?? UNITS.at(-1);
  const words = Math.abs(seconds) < 2 ? "now" : relative.format(Math.trunc(seconds / size), unit);
  return make("time", { datetime: text, title: exact.format(at), text: words });
}

/** A moment in full, and how far away it is. */
export function moments(text) {
  return make("span", {}, exact.format(new Date(text)), " (", moment(text), ")");
}

/** A list of names and values; those without a value are left out. */
export function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", { class: "facts" }, ...shown.map(([name, value]) => make("div", {}, make("dt", { text: name }), make("dd", {}, value))));
}

/** A short word on a coloured ground. */
export const badge = (word, kind = "") => make("span", { class: `badge ${kind}`.trim(), text: word });

/** Asks whether somebody means it. Resolves to true or false. */
export function sure({ title, text, yes, danger = false }) {
  const no = make("button", { type: "button", class: "button", "data-answer": "no", text: "Leave it" });
  const go = make("button", { type: "button", class: danger ? "button danger" : "button primary", "data-answer": "yes", text: yes });
  const heading = make("h2", { id: "sure-heading", text: title });
  const words = make("p", { id: "sure-text", text });
  const buttons = make("div", { class: "dialog-buttons" }, no, go);
  const dialog = make("dialog", { class: "dialog", "aria-labelledby": "sure-heading", "aria-describedby": "sure-text" }, heading, words, buttons);
  document.body.append(dialog);
  return new Promise((resolve) => {
    let answer = false;
    no.addEventListener("click", () => dialog.close());
    go.addEventListener("click", () => {
      answer = true;
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    dialog.showModal();
    no.focus();
  });
}

/**
 * A button that does something on the server: `ask` is what `sure` is told, `run` does it, `done` comes after it. While it
 * runs it cannot be pressed; what goes wrong is said in `slot`.
 */
export function actionButton(life, { label, name, danger = false, small = true, ask, run, done, slot }) {
  const classes = ["button", small && "small", danger && "warn"].filter(Boolean).join(" ");
  const button = make("button", { type: "button", class: classes, "data-action": name, text: label });
  const press = async () => {
    if (button.hasAttribute("aria-disabled") || (ask && !(await sure(ask)))) return;
    // Not disabled in earnest: that would take the focus from whoever works with the keyboard.
    button.setAttribute("aria-disabled", "true");
    try {
      slot.replaceChildren();
      await run();
    } catch (problem) {
      trouble(life, slot, problem, press);
      return;
    } finally {
      button.removeAttribute("aria-disabled");
    }
    await done?.();
  };
  // This listener goes away with its element.
  button.addEventListener("click", life.guard(press));
  return button;
}

/** One request of this page, which ends with it. */
export const ask = (life, method, path, options = {}) => call(method, path, { signal: life.signal, ...options });
