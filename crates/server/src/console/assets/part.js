// A part of the page with a boundary around it: a life of its own below one element. When one of its handlers fails, the
// part shows so and can be started again from its template, while the others work on.

import { $, make, template } from "./dom.js";
import { Life } from "./life.js";

const parts = new Map();

/** Modules whose failures belong to a part, where an error reaches the window without a handler of ours. */
const OWNERS = { drawer: "drawer", row: "drawer", condemn: "drawer", unsent: "drawer", chat: "chat", message: "chat", talk: "chat", history: "chat", stream: "chat", sse: "chat", composer: "composer", drafts: "composer", account: "account", auth: "auth", usage: "usage", voice: "voice" };

export class Part extends Life {
  #fill;

  /** `fill(part)` fills `part.root`, which already holds a copy of the part's template. */
  constructor(name, fill) {
    super(name);
    this.#fill = fill;
    parts.set(name, this);
  }

  get root() {
    return $(`#part-${this.name}`);
  }

  start() {
    this.stop();
    this.begin();
    this.root.replaceChildren(template(this.name));
    this.guard(this.#fill)(this);
  }

  stop() {
    this.end();
    this.root.replaceChildren();
  }

  /** Stops the part and offers to start it again. */
  failed(error) {
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
    if (part?.isRunning) part.failed(error);
  };
  addEventListener("error", (event) => caught(event.error));
  addEventListener("unhandledrejection", (event) => caught(event.reason));
}
