// What runs for a while and leaves nothing behind. Everything that it starts (listeners, timers, frames, requests) goes
// through it and ends with it.

export class Life {
  #running = null;
  #ends = new Set();

  /** `name` is for the console, where its failures are written. */
  constructor(name) {
    this.name = name;
  }

  /** Aborted when it ends. */
  get signal() {
    return this.#running.signal;
  }

  get isRunning() {
    return this.#running !== null;
  }

  begin() {
    this.end();
    this.#running = new AbortController();
  }

  end() {
    this.#running?.abort();
    this.#running = null;
    for (const end of this.#ends) end();
    this.#ends.clear();
  }

  /** Listens until the end. */
  on(target, type, handler, options = {}) {
    target.addEventListener(type, this.guard(handler), { ...options, signal: this.signal });
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

  /** A function that runs another one `ms` milliseconds later, once for all calls until then. */
  soon(ms, handler) {
    let cancel = null;
    return () => {
      cancel ??= this.after(ms, () => {
        cancel = null;
        return handler();
      });
    };
  }

  /** Calls `end` at the end. */
  onStop(end) {
    this.#ends.add(end);
  }

  /** Runs a function, now and guarded. */
  run(handler) {
    return this.guard(handler)();
  }

  /** What a failure does. */
  failed(error) {
    console.error(`"${this.name}" failed.`, error);
  }

  /** A function whose failures come here. */
  guard(handler) {
    const running = this.#running;
    const failed = (error) => {
      // What an ended life leaves behind is nobody's failure.
      if (this.#running !== running || running.signal.aborted || error?.name === "AbortError") return;
      this.failed(error);
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

  #timer(set, clear, ms, handler, once) {
    const run = this.guard(handler);
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
}
