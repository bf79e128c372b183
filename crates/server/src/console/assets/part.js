// A part of the page with a boundary around it. Everything that a part starts (listeners, timers, frames, requests)
// goes through its `Part` and ends with it. When one of its handlers fails, the part shows so and can be started
// again from its template, while the others work on.

import { $, make, template } from "./dom.js";

const parts = new Map();

/** Modules whose failures belong to a part, where an error reaches the window without a handler of ours. */
const OWNERS = { drawer: "drawer", chat: "chat", message: "chat", talk: "chat", stream: "chat", sse: "chat", composer: "composer", drafts: "composer", account: "account", auth: "auth", usage: "usage" };

export class Part {
  #begin;
  #running = null;
  #ends = new Set();

  /** `begin(part)` fills `part.root`, which already holds a copy of the part's template. */
  constructor(name, begin) {
    this.name = name;
    this.#begin = begin;
    parts.set(name, this);
  }

  get root() {
    return $(`#part-${this.name}`);
  }

  /** Aborted when the part stops. */
  get signal() {
    return this.#running.signal;
  }

  get isRunning() {
    return this.#running !== null;
  }

  start() {
    this.stop();
    this.#running = new AbortController();
    this.root.replaceChildren(template(this.name));
    this.#guard(this.#begin)(this);
  }

  stop() {
    this.#running?.abort();
    this.#running = null;
    for (const end of this.#ends) end();
    this.#ends.clear();
    this.root.replaceChildren();
  }

  /** Listens until the part stops. */
  on(target, type, handler, options = {}) {
    target.addEventListener(type, this.#guard(handler), { ...options, signal: this.signal });
  }

  /** Runs a function after `ms` milliseconds. Returns a function that cancels it. */
  after(ms, handler) {
    return this.#timer(setTimeout, clearTimeout, ms, handler, true);
  }

  /** Runs a function every `ms` milliseconds. Returns a function that ends it. */
  every(ms, handler) {
    return this.#timer(setInterval, clearInterval, ms, handler, false);
  }

  /** Runs a function before the next paint. Returns a function that cancels it. */
  frame(handler) {
    return this.#timer((run) => requestAnimationFrame(run), cancelAnimationFrame, 0, handler, true);
  }

  /** Calls `end` when the part stops. */
  onStop(end) {
    this.#ends.add(end);
  }

  /** Runs a function, now and under the boundary. */
  run(handler) {
    return this.#guard(handler)();
  }

  /** Stops the part and offers to start it again. */
  fail(error) {
    console.error(`The part "${this.name}" failed.`, error);
    this.stop();
    const reload = make("button", { type: "button", class: "button", "data-action": "reload-part", text: "Reload it" });
    // This listener goes away with its element.
    reload.addEventListener("click", () => {
      this.start();
      $("button, input, textarea, [tabindex]", this.root)?.focus();
    });
    const text = make("p", { text: "This part failed." });
    this.root.append(make("div", { class: "part-failed", role: "alert", "data-part": this.name, "data-testid": "part-failed" }, text, reload));
  }

  #timer(set, clear, ms, handler, once) {
    const run = this.#guard(handler);
    const cancel = () => {
      clear(id);
      this.#ends.delete(cancel);
    };
    const id = set(() => {
      if (once) this.#ends.delete(cancel);
      run();
    }, ms);
    this.#ends.add(cancel);
    return cancel;
  }

  #guard(handler) {
    const running = this.#running;
    const failed = (error) => {
      // What a stopped part leaves behind is nobody's failure.
      if (this.#running !== running || running.signal.aborted || error?.name === "AbortError") return;
      this.fail(error);
    };
    return (...values) => {
      try {
        const result = handler(...values);
        if (typeof result?.then === "function") result.then(undefined, failed);
        return result;
      } catch (error) {
        failed(error);
      }
    };
  }
}

/** The part that an error belongs to: it says so, or the modules in its stack do. */
function owner(error) {
  if (parts.has(error?.part)) return parts.get(error.part);
  for (const [, module] of String(error?.stack ?? "").matchAll(/\/([a-z]+)\.js/g)) {
    if (OWNERS[module]) return parts.get(OWNERS[module]);
  }
  return null;
}

/** Brings errors that no handler caught to the part that they belong to. */
export function watchWindow() {
  const caught = (error) => {
    if (error?.name === "AbortError") return;
    const part = owner(error);
    if (part?.isRunning) part.fail(error);
  };
  addEventListener("error", (event) => caught(event.error));
  addEventListener("unhandledrejection", (event) => caught(event.reason));
}
