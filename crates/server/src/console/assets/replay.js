// Recordings of what this page looks like, of somebody who has agreed to it here: `POST /v1/replays`. They are made by rrweb and
// masked before they are kept (`replay-mask.js`). A share of all sessions is sent as it goes; of every other one the last two
// minutes are held in memory, and sent with all that follows when something goes wrong. docs/replay.md has the whole.

import { Problem, call, isSignedIn, refresh } from "./api.js";
import { events } from "./bus.js";
import { uuid } from "./dom.js";
import { library } from "./replay-library.js";
import { META, errorMark, masked } from "./replay-mask.js";
import { faults } from "./reports.js";

/** That somebody has agreed in this browser. Whether it is who is signed in now, the server knows. */
const AGREED = "mainstay.replay";
/** The session: until this window is closed. */
const SESSION = "mainstay.replay-session";
/** That something went wrong in it. */
const FAULTY = "mainstay.replay-fault";

const version = new URL(import.meta.url).pathname.split("/").at(-2) ?? "";

/** How often it is sent, and what is held begins anew. */
const SEND_MS = 10_000;
const ANEW_MS = 60_000;
const SOON_MS = 1_000;
/** Bytes of one chunk, of what is held, and of what waits to be sent. */
const CHUNK_BYTES = 400_000;
const LARGEST_CHUNK = 950_000;
const HELD_BYTES = 2_000_000;
const WAITING_BYTES = 2_500_000;
/** What a request may have that outlives its page. */
const LAST_BYTES = 48_000;
/** Answers after which nothing more of this recording is taken. */
const isFinal = (problem) => !problem.isPassing || problem.code === "too_many_replays";

const BLOCKED = "img, picture, video, audio, canvas, iframe, object, embed, svg.plot";

function read(storage, key) {
  try {
    return storage.getItem(key);
  } catch {
    return null; // Storage is refused: nothing is recorded.
  }
}

function write(storage, key, value) {
  try {
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // As above.
  }
}

/** A number below a hundred, the same for all pages of a session. */
function lot() {
  let id = read(sessionStorage, SESSION);
  if (!id) {
    id = uuid();
    write(sessionStorage, SESSION, id);
  }
  let hash = 2_166_136_261;
  for (const letter of id) hash = Math.imul(hash ^ letter.codePointAt(0), 16_777_619);
  return (hash >>> 0) % 100;
}

/** One recording, of this page. */
class Recording {
  id = uuid();
  /** What is held while nothing is sent: from one whole picture to the next. */
  held = [[]];
  heldBytes = 0;
  waiting = [];
  waitingBytes = 0;
  /** The chunk on its way. It keeps its number until it has arrived. */
  chunk = null;
  number = 0;
  isBusy = false;
  isOver = false;
  timers = [];
  soon = 0;

  constructor(rrweb, reason) {
    this.rrweb = rrweb;
    this.reason = reason;
    this.unrecord = rrweb.record({
      emit: (event) => this.take(event),
      maskAllInputs: true,
      maskTextSelector: "*",
      blockSelector: BLOCKED,
      inlineStylesheet: false,
      inlineImages: false,
      collectFonts: false,
      recordCanvas: false,
      recordCrossOriginIframes: false,
      slimDOMOptions: "all",
      sampling: { mousemove: 100, scroll: 200, input: "last" },
      // What it trips over is not a fault of the page.
      errorHandler: () => true,
    });
    this.tell();
    this.timers.push(setInterval(() => this.send(), SEND_MS), setInterval(() => this.beginAnew(), ANEW_MS));
  }

  take(event) {
    if (this.isOver) return;
    const kept = masked(event);
    if (!kept) return;
    const text = JSON.stringify(kept);
    if (text.length > LARGEST_CHUNK) return this.stop();
    if (this.reason) return this.wait(text);
    if (event.type === META) this.held.push([]);
    this.held.at(-1).push(text);
    this.heldBytes += text.length;
    while (this.held.length > 2) this.heldBytes -= size(this.held.shift());
    if (this.heldBytes > HELD_BYTES) this.dropOldest();
  }

  /** Says on the page itself whether it is recorded, and how. */
  tell() {
    if (this.isOver) delete document.documentElement.dataset.recording;
    else document.documentElement.dataset.recording = this.reason ? "sent" : "held";
  }

  /** The one before goes first. What is too much by itself is held no longer. */
  dropOldest() {
    if (this.held.length > 1) this.heldBytes -= size(this.held.shift());
    if (this.heldBytes <= HELD_BYTES) return;
    this.held = [[]];
    this.heldBytes = 0;
    // Not from within what is being recorded.
    queueMicrotask(() => this.beginAnew());
  }

  /** While nothing is sent, from here on it could be seen without what came before. */
  beginAnew() {
    if (!this.isOver && !this.reason && !document.hidden) this.rrweb.record.takeFullSnapshot(true);
  }

  wait(text) {
    this.waiting.push(text);
    this.waitingBytes += text.length;
    // The server is away, or slower than the page changes.
    if (this.waitingBytes > WAITING_BYTES) return this.stop();
    if (this.waitingBytes > CHUNK_BYTES) this.sendSoon();
  }

  /** Something went wrong: from here on it is sent, with what was held. */
  fault() {
    if (this.isOver) return;
    const text = JSON.stringify(errorMark());
    if (!this.reason) {
      this.reason = "error";
      const before = this.held.flat();
      this.held = [[]];
      this.heldBytes = 0;
      for (const one of before) this.wait(one);
      this.tell();
    }
    this.wait(text);
    this.sendSoon();
  }

  sendSoon() {
    if (!this.soon) this.soon = setTimeout(() => this.send(), SOON_MS);
  }

  /** As many as make one chunk. */
  next() {
    if (!this.waiting.length) return null;
    let [count, bytes] = [0, 0];
    while (count < this.waiting.length && (count === 0 || bytes + this.waiting[count].length < CHUNK_BYTES)) {
      bytes += this.waiting[count].length + 1;
      count += 1;
    }
    const taken = this.waiting.splice(0, count);
    this.waitingBytes -= size(taken);
    return { number: this.number++, events: `[${taken.join(",")}]` };
  }

  async send(leaving = false) {
    clearTimeout(this.soon);
    this.soon = 0;
    if (this.isOver || this.isBusy || !this.reason || !isSignedIn()) return;
    this.isBusy = true;
    try {
      while (!this.isOver && (this.chunk ??= this.next())) {
        const { number, events: told } = this.chunk;
        const body = { replay_id: this.id, number, page: location.pathname.slice(0, 200), version, reason: this.reason, events: told };
        await call("POST", "/v1/replays", { body, keepalive: leaving && told.length < LAST_BYTES });
        this.chunk = null;
      }
    } catch (problem) {
      if (!(problem instanceof Problem) || isFinal(problem)) this.stop();
    } finally {
      this.isBusy = false;
    }
  }

  /** Ends it, and forgets what was not sent. */
  stop() {
    if (this.isOver) return;
    this.isOver = true;
    this.tell();
    this.unrecord?.();
    for (const timer of this.timers) clearInterval(timer);
    clearTimeout(this.soon);
    Object.assign(this, { held: [[]], waiting: [], chunk: null, heldBytes: 0, waitingBytes: 0 });
  }
}

const size = (texts) => texts.reduce((sum, one) => sum + one.length, 0);

let recording = null;
let starting = null;

function stop() {
  recording?.stop();
  recording = null;
  starting = null;
}

/** Begins to record, if who is signed in has agreed. */
async function begin() {
  const mine = {};
  starting = mine;
  try {
    if (!isSignedIn()) await refresh();
    const { available, given_at: given, sample_percent: percent } = await call("GET", "/v1/replay-consent");
    if (!available || !given) return;
    const rrweb = await library();
    if (starting !== mine || recording || read(localStorage, AGREED) === null) return;
    const isFaulty = faults() > 0 || read(sessionStorage, FAULTY) !== null;
    recording = new Recording(rrweb, isFaulty ? "error" : lot() < percent ? "sampled" : null);
    if (faults() > 0) recording.fault();
  } catch (problem) {
    // Without a network, or without anybody who is signed in, there is nothing to record for.
    if (!(problem instanceof Problem)) throw problem;
  } finally {
    if (starting === mine) starting = null;
  }
}

/** Whoever agrees is recorded from now on. */
export async function agree() {
  await call("PUT", "/v1/replay-consent");
  write(localStorage, AGREED, "yes");
  await begin();
}

/** Whoever does not agree any more is not: here at once, in other windows of this browser too, and what there is goes. */
export async function withdraw() {
  write(localStorage, AGREED, null);
  write(sessionStorage, FAULTY, null);
  stop();
  return call("DELETE", "/v1/replays");
}

addEventListener("mainstay:fault", () => {
  if (read(localStorage, AGREED) !== null) write(sessionStorage, FAULTY, "yes");
  recording?.fault();
});
addEventListener("storage", ({ key, newValue }) => {
  if (key === AGREED && newValue === null) stop();
  if (key === AGREED && newValue !== null && !recording) begin();
});
events.addEventListener("signed-in", () => !recording && !starting && read(localStorage, AGREED) !== null && begin());
events.addEventListener("signed-out", stop);
document.addEventListener("visibilitychange", () => document.hidden && recording?.send(true));
addEventListener("pagehide", () => recording?.send(true));

if (read(localStorage, AGREED) !== null) begin();
