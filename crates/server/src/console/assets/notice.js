// How a problem is said: what happened, what to do, when it can be tried again, and, for a fault of
// the server, the id to name when asking.

import { icon, make } from "./dom.js";

const TITLES = {
  offline: "You are offline",
  unreachable: "The server cannot be reached",
  connection_lost: "The connection was lost",
  cancelled: "Stopped",
  not_found: "Not found",
  queue_full: "Too much waits already",
  unsent: "Not everything is sent",
  replica_diverged: "The copy on this device was wrong",
};

function titleOf({ code, status }) {
  if (TITLES[code]) return TITLES[code];
  if (status === 429) return "Too many requests";
  if (status === 503) return "Very busy just now";
  if (status >= 500) return "The server had a fault";
  return "That did not work";
}

/**
 * Shows a problem in `slot`, in place of what was there. `retry` is called by the button, which waits for the time
 * that the server named; `ready` when that time is over. Returns a function that takes the notice away.
 */
export function showProblem(part, slot, problem, { retry, label = "Try again", ready, dismiss = false } = {}) {
  const title = make("p", { class: "notice-title", text: titleOf(problem) });
  const detail = make("p", { class: "notice-detail", text: problem.detail });
  const words = make("div", { class: "notice-words" }, title, detail);
  if (problem.faultId) words.append(make("p", { class: "notice-id" }, "Request ", make("code", { text: problem.faultId })));
  const buttons = make("div", { class: "notice-buttons" });
  const notice = make("div", { class: "notice", role: "alert", "data-testid": "notice", "data-code": problem.code }, icon("note"), words, buttons);
  let stop = () => {};
  const close = () => {
    stop();
    notice.remove();
  };
  if (retry) {
    const button = make("button", { type: "button", class: "button small", "data-action": "retry", text: label });
    part.on(button, "click", () => {
      close();
      return retry();
    });
    buttons.append(button);
  }
  if (dismiss) {
    const button = make("button", { type: "button", class: "button small quiet", "data-action": "dismiss", text: "Dismiss" });
    part.on(button, "click", close);
    buttons.append(button);
  }
  if (problem.retryAfter) stop = countDown(part, words, buttons.querySelector("[data-action=retry]"), problem.retryAfter, ready);
  slot.replaceChildren(notice);
  return close;
}

function countDown(part, words, button, seconds, ready) {
  const until = Date.now() + seconds * 1000;
  // A screen reader hears the first figure with the notice, and not each second after it.
  const line = make("p", { class: "notice-wait", "data-testid": "countdown", "aria-live": "off" });
  words.append(line);
  if (button) button.disabled = true;
  const end = part.every(250, tick);
  function tick() {
    const left = Math.ceil((until - Date.now()) / 1000);
    if (left > 0) {
      const text = `You can try again in ${left < 120 ? `${left} s` : `${Math.ceil(left / 60)} min`}.`;
      if (line.textContent !== text) line.textContent = text;
      return;
    }
    end();
    line.textContent = "You can try again now.";
    if (button) button.disabled = false;
    ready?.();
  }
  tick();
  return end;
}
