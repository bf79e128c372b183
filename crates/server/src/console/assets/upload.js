// A file on its way into a campaign, part by part. It goes on from where the server has read to, whatever broke: nothing
// counts twice. It lives as long as the page, also while another part of it is looked at.

import { Problem, upload } from "./api.js";
import { ask } from "./operator.js";

/** The server takes twice as much; a small part shows how far it is, and is soon sent again. */
const PART = 4 * 1024 * 1024;
/** What passes is waited for so often before somebody has to say that it goes on. */
const MOST_TRIES = 5;
const WAIT_MS = 2000;

export class Upload extends EventTarget {
  #life;
  #stop = null;
  /** What went wrong in the end, or null. */
  problem = null;
  /** What is waited for, in words. */
  waits = "";

  /** `found` is the import as the server tells of it. */
  constructor(life, file, found) {
    super();
    this.#life = life;
    this.file = file;
    this.import = found;
  }

  get isRunning() {
    return this.#stop !== null;
  }

  get isOver() {
    return this.import.state !== "running";
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  #adopt(found) {
    this.import = found;
    this.#tell();
  }

  /** Ends sending; it can go on later. */
  pause() {
    this.#stop?.abort();
  }

  /** Sends what is not read yet. */
  async run() {
    if (this.isRunning || this.isOver) return;
    const stop = new AbortController();
    this.#stop = stop;
    this.problem = null;
    const signal = AbortSignal.any([stop.signal, this.#life.signal]);
    this.#tell();
    try {
      await this.#send(signal);
    } catch (problem) {
      if (problem instanceof Problem) this.problem = problem;
      else if (!signal.aborted) throw problem;
    } finally {
      this.#stop = null;
      this.waits = "";
      this.#tell();
    }
  }

  async #send(signal) {
    let tries = 0;
    while (!this.isOver) {
      try {
        await this.#part(signal);
        tries = 0;
      } catch (problem) {
        signal.throwIfAborted();
        tries += 1;
        if (!(problem instanceof Problem)) throw problem;
        // A part may have been read although its answer was lost, and somebody may have ended it meanwhile.
        const isElsewhere = problem.status === 409;
        if (!(problem.isPassing || isElsewhere) || tries > MOST_TRIES) throw problem;
        if (!isElsewhere) await this.#wait(problem.retryAfter ? problem.retryAfter * 1000 : WAIT_MS * 2 ** (tries - 1), signal, problem);
        await this.#look(signal);
      }
    }
  }

  async #part(signal) {
    const { id, read_bytes: offset } = this.import;
    const end = Math.min(offset + PART, this.file.size);
    const isLast = end === this.file.size;
    const found = await upload(`/v1/imports/${id}/content?offset=${offset}&last=${isLast}`, this.file.slice(offset, end), signal);
    if (!isLast && found.read_bytes === offset) throw new Problem({ status: 400, code: "no_row", detail: "There is no end of a row within 4 MiB. Look whether a quotation mark is missing in the file." });
    this.#adopt(found);
  }

  async #look(signal) {
    try {
      this.#adopt(await ask(this.#life, "GET", `/v1/imports/${this.import.id}`, { signal }));
    } catch (problem) {
      if (!(problem instanceof Problem) || !problem.isPassing) throw problem;
    }
  }

  #wait(ms, signal, { detail }) {
    this.waits = `${detail} It goes on by itself.`;
    this.#tell();
    return new Promise((resolve, reject) => {
      const cancel = this.#life.after(ms, () => {
        this.waits = "";
        resolve();
      });
      signal.addEventListener("abort", () => {
        cancel();
        reject(signal.reason);
      }, { once: true });
    });
  }
}
