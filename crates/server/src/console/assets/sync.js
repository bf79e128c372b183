// Follows the server in one window: pages of GET /v1/sync until everything is known, then what the socket pushes, and the
// queue of what was written. docs/sync.md has the rules.
//
// The cursor only moves to a number when everything up to it is known. A page says so. A pushed change says so only from
// the place on that the socket's "ready" named, and only once the copy has come that far; until then it waits here.

import { Problem, call } from "./api.js";
import { events } from "./bus.js";
import { advance, hasReached, parse } from "./cursor.js";
import { sendNext, settle } from "./flush.js";
import { keepSocket } from "./live.js";
import { applyPage, applyPushed, forget, stateOf } from "./replica.js";

const PAGE = 50;
/** Pushed changes that may wait for a sync. Past it they are dropped, and read by it. */
const MOST_WAITING = 1000;
/** Changes of one transaction. */
const TOGETHER = 100;
/** Times in a row that the copy is begun again before it is left for a while. */
const MOST_BEGINNINGS = 3;
const FIRST_MS = 1000;
const LONGEST_MS = 60_000;
/** When the queue has to wait for longer than this, the page says why. */
const LONG_S = 30;

/** Follows while `life` lasts. `tell(name, detail)` tells all windows. */
export function followServer(life, db, tell) {
  /** From where on everything is pushed, and what was pushed and waits. */
  let from = null;
  let waiting = [];
  /** Whether what waits cannot be taken without a sync. */
  let isStuck = false;
  let safety = null;
  let failures = 0;
  let divergences = 0;
  /** While the queue is sent, what changed is told together with what is no longer waiting: nothing shows twice. */
  let held = null;
  let cancelPull = () => {};
  let cancelFlush = () => {};

  function changed(changes, all = false) {
    if (held) held.push(...changes);
    else if (changes.length || all) tell("local:rows", { changes, all });
  }

  /** Takes what was pushed and can be taken. */
  const drain = inTurn(async () => {
    while (from && waiting.length) {
      const start = from;
      const { taken, changes } = await applyPushed(db, waiting.slice(0, TOGETHER), from);
      if (from !== start) continue;
      // It does not come again: a copy that begins again must come at least up to here.
      for (const { stream, seq } of waiting.splice(0, taken)) advance(from, stream, seq);
      changed(changes);
      isStuck = taken === 0;
      if (isStuck) return;
    }
  });

  const isCurrent = async () => {
    const { begun, cursor } = await stateOf(db);
    return Boolean(from && begun && cursor && waiting.length === 0 && hasReached(parse(cursor), from));
  };

  async function frame(said) {
    if (said.type === "ready") {
      from = parse(said.cursor);
      waiting = [];
      safety = said.safety_sync_after_ms;
      flush();
    } else if (said.type === "resync") {
      lost();
    } else if (said.type === "change" && from) {
      waiting.push(said);
      if (waiting.length > MOST_WAITING) for (const { stream, seq } of waiting.splice(0)) advance(from, stream, seq);
      await drain();
      if (isStuck && waiting.length) await pull();
      return;
    } else {
      return;
    }
    if (!(await isCurrent())) await pull();
  }

  function lost() {
    from = null;
    waiting = [];
  }

  /** Syncs until the copy is what the server has, and plans the next time. */
  const pull = inTurn(async () => {
    cancelPull();
    try {
      const paced = await pages();
      failures = 0;
      // With a socket, sync is only for safety. Where another node answered that is behind the socket's, ask on.
      const after = (await isCurrent()) ? safety : from ? FIRST_MS / 2 : paced;
      if (after !== null && life.isRunning) cancelPull = life.after(after, pull);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status !== 401) cancelPull = life.after(wait(problem), pull);
    }
  });

  function wait({ retryAfter }) {
    const most = Math.min(FIRST_MS * 2 ** failures, LONGEST_MS);
    failures += 1;
    return (retryAfter ?? 0) * 1000 + most * (0.5 + Math.random() / 2);
  }

  async function pages() {
    for (let beginnings = 0; beginnings <= MOST_BEGINNINGS; ) {
      const { cursor, begun } = await stateOf(db);
      const page = await call("GET", "/v1/sync", { query: { cursor, limit: PAGE, html: true }, signal: life.signal }).catch(refused);
      if (page) {
        const { outcome, changes } = await applyPage(db, page);
        if (outcome === "diverged") diverged();
        // A copy in the making is told of once, at its end.
        else if (begun || outcome === "complete") changed(begun ? changes : [], !begun);
        await drain();
        if (outcome === "complete") return page.next_sync_after_ms;
        if (outcome === "more") continue;
      }
      beginnings += 1;
    }
    throw new Problem({ status: 500, code: "replica_diverges", detail: "The copy on this device does not come to agree with the server." });
  }

  /** What the server does not take as a cursor any more is forgotten with all that it stood for. */
  async function refused(problem) {
    if (problem.status !== 410 && problem.fields?.[0]?.code !== "invalid_cursor") throw problem;
    await forget(db);
    return null;
  }

  /** Once can be the fault of anything. A second time somebody must know. */
  function diverged() {
    divergences += 1;
    console.warn("The copy on this device differed from the server's, and is made again.");
    if (divergences > 1) tell("local:diverged", divergences);
  }

  /** Sends what waits. What was sent is taken from the queue when the rows that it made have come. */
  const flush = inTurn(async () => {
    cancelFlush();
    if (!navigator.onLine) return;
    let most = Infinity;
    try {
      for (;;) {
        held = [];
        const sent = await sendNext(db, most, life.signal);
        if (!sent) return;
        if (sent.oneByOne) most = 1;
        await pull();
        await settle(db, sent);
        const changes = held;
        held = null;
        changed(changes);
        tell("local:queue", { moved: sent.moved ?? null });
        tell("local:held", null);
      }
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.retryAfter >= LONG_S) tell("local:held", { status: problem.status, code: problem.code, detail: problem.detail });
      if (problem.status !== 401 && life.isRunning) cancelFlush = life.after(wait(problem), flush);
    } finally {
      const changes = held ?? [];
      held = null;
      changed(changes);
    }
  });

  function wanted() {
    failures = 0;
    flush();
    if (!from) pull();
  }

  life.onStop(lost);
  life.on(events, "local:wanted", wanted);
  life.on(window, "online", wanted);
  life.on(events, "restored", wanted);
  life.on(document, "visibilitychange", () => document.hidden || wanted());
  keepSocket(life, { frame, lost: () => (lost(), life.isRunning && life.run(pull)) });
  life.run(wanted);

  /** Runs `work` once at a time, and once more for all calls that came meanwhile, which wait for that. */
  function inTurn(work) {
    const run = life.guard(work);
    let running = null;
    let next = null;
    // The guard has said what failed.
    const once = () => run().catch(() => {}).finally(() => (running = null));
    return () => {
      if (!life.isRunning) return Promise.resolve();
      if (!running) {
        running = once();
        return running;
      }
      next ??= running.then(() => {
        next = null;
        running = life.isRunning ? once() : null;
        return running;
      });
      return next;
    };
  }
}
