// Asks from when to when events are delivered again.

import { make } from "./dom.js";

/** A moment as `<input type="datetime-local">` takes it, in the time of this device. */
function local(moment) {
  const shifted = new Date(moment.getTime() - moment.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 16);
}

/**
 * Asks for a range that begins at `since` (a Date) unless somebody says otherwise. Resolves to what
 * `/v1/webhook-endpoints/{id}/replays` takes, or to null.
 */
export function askRange(name, since) {
  const from = make("input", { type: "datetime-local", id: "range-since", required: true, value: local(since) });
  const until = make("input", { type: "datetime-local", id: "range-until" });
  const missed = make("input", { type: "checkbox", id: "range-missed", checked: true });
  const no = make("button", { type: "button", class: "button", "data-answer": "no", text: "Leave it" });
  const yes = make("button", { type: "submit", class: "button primary", "data-answer": "yes", text: "Deliver again" });
  const form = make(
    "form",
    { class: "range", method: "dialog" },
    make("label", {}, make("span", { text: "Published since" }), from),
    make("label", {}, make("span", { text: "and before (now, when it is empty)" }), until),
    make("label", { class: "check" }, missed, make("span", { text: "Only what it has not taken" })),
    make("div", { class: "dialog-buttons" }, no, yes),
  );
  const heading = make("h2", { id: "range-heading", text: "Deliver again" });
  const words = make("p", { id: "range-text", text: `To ${name}: events that it wants now, also those that were published while it was disabled.` });
  const dialog = make("dialog", { class: "dialog", "aria-labelledby": "range-heading", "aria-describedby": "range-text" }, heading, words, form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    let answer = null;
    no.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", () => {
      const moment = (input) => (input.value ? new Date(input.value).toISOString() : null);
      answer = { since: moment(from), until: moment(until), only_failed: missed.checked };
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    dialog.showModal();
    from.focus();
  });
}
