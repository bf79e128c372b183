// What was written, sent, and refused by the server: it stays until the person has decided about it.

import { emit } from "./bus.js";
import { icon, make } from "./dom.js";
import { RENAME, SEND, drop } from "./queue.js";

/** Shown at once; the others follow when these are decided. */
const MOST = 3;
const SNIPPET = 80;

/** Shows in `slot` what of the queue was refused. */
export function showUnsent(part, slot, queue) {
  const refused = queue.filter(({ state }) => state === "refused");
  const key = refused.map(({ id }) => id).join();
  if (slot.dataset.shown === key) return;
  slot.dataset.shown = key;
  slot.replaceChildren(...refused.slice(0, MOST).map((entry) => notice(part, entry)));
  if (refused.length > MOST) slot.append(make("p", { class: "nothing", text: `And ${refused.length - MOST} more.` }));
}

function notice(part, entry) {
  const { kind, content, title, problem } = entry;
  const what = kind === SEND ? "A message was not sent" : kind === RENAME ? "A new title was not saved" : "A conversation was not deleted";
  const text = (content ?? title ?? "").slice(0, SNIPPET);
  const words = make("div", { class: "notice-words" }, make("p", { class: "notice-title", text: what }));
  if (text) words.append(make("p", { class: "notice-detail", text: `“${text}”` }));
  words.append(make("p", { class: "notice-detail", text: problem?.detail ?? "" }));
  const buttons = make("div", { class: "notice-buttons" });
  if (kind === SEND) buttons.append(make("button", { type: "button", class: "button small", "data-action": "rewrite", text: "Write it again" }));
  buttons.append(make("button", { type: "button", class: "button small quiet", "data-action": "drop", text: "Drop it" }));
  buttons.addEventListener("click", part.guard(async ({ target }) => {
    const action = target.closest("button")?.dataset.action;
    if (!action) return;
    await drop(entry.id);
    if (action === "rewrite") emit("compose:add", content);
  }));
  return make("div", { class: "notice", role: "alert", "data-testid": "unsent", "data-code": problem?.code }, icon("note"), words, buttons);
}
