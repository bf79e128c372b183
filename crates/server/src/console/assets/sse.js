// Server-sent events from a fetch body (WHATWG HTML, 9.2.6), cut anywhere: inside a line end or a character too.

/** Takes bytes as they come and gives the events that they complete. */
export class Parser {
  #decoder = new TextDecoder();
  #rest = "";
  #afterReturn = false;
  #data = [];
  #type = "";
  #id = null;

  /** The events `{type, data, id}` completed by these bytes. `id` is the event's own, or null. */
  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (!text) return [];
    // A line feed that ends a "\r\n" cut in two.
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text ? text.endsWith("\r") : false;
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter((event) => event !== null);
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return null; // A comment: the server says that it is there.
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }

  #dispatch() {
    const event = this.#data.length ? { type: this.#type || "message", data: this.#data.join("\n"), id: this.#id } : null;
    this.#data = [];
    this.#type = "";
    this.#id = null;
    return event;
  }
}

/** The events of a response, until it ends, breaks or is silent for `idleMs`: a dead connection says nothing. */
export async function* eventsOf(response, idleMs) {
  const reader = response.body.getReader();
  const parser = new Parser();
  try {
    for (;;) {
      const { done, value } = await within(reader.read().catch(() => ({ done: true })), idleMs);
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function within(promise, ms) {
  let timer;
  const silence = new Promise((resolve) => {
    timer = setTimeout(() => resolve({ done: true }), ms);
  });
  return Promise.race([promise, silence]).finally(() => clearTimeout(timer));
}
