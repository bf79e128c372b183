// Follows one reply to its end, over as many connections as it takes. The reply is made on the server whether or not
// anybody listens, so a lost connection loses nothing: the next one goes on behind the last event seen.

import { Problem, stream } from "./api.js";
import { eventsOf } from "./sse.js";

const RESUMES = 5;
const IDLE_MS = 60_000;

/**
 * Follows `run = {generationId, lastId}`. `first()` opens the first connection, if it is not a join.
 * `handle(type, data)` takes each event and returns true for the last one; on "start" it sets `run.generationId`.
 * `waiting(attempt)` is called before each wait. Returns "done", or "gone" when the server has no such stream any
 * more. Throws a Problem when the first connection fails, or after five resumes without progress.
 */
export async function follow(run, { first, handle, waiting, signal }) {
  let failures = 0;
  for (let open = first; ; open = null) {
    let problem = new Problem({ code: "connection_lost", detail: "The connection was lost before the reply was complete." });
    try {
      const response = await (open ? open() : resume(run, signal));
      for await (const event of eventsOf(response, IDLE_MS)) {
        if (event.type === "token" && isRepeat(run, event)) continue;
        if (event.type === "token") failures = 0;
        if (event.id !== null) run.lastId = event.id;
        if (handle(event.type, JSON.parse(event.data))) return "done";
      }
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      problem = error;
    }
    signal.throwIfAborted();
    if (!run.generationId) throw problem;
    if (problem.status === 404 || problem.status === 410) return "gone";
    const passing = problem.isPassing || problem.code === "connection_lost";
    if (!passing || failures >= RESUMES) throw problem;
    failures += 1;
    waiting(failures);
    await pause(problem.retryAfter ? problem.retryAfter * 1000 : backoff(failures), signal);
  }
}

function resume(run, signal) {
  const headers = run.lastId === null ? {} : { "Last-Event-ID": run.lastId };
  return stream("GET", `/v1/generations/${encodeURIComponent(run.generationId)}/events`, { query: { html: true }, headers, signal });
}

/** True for a token that was seen: its offset is not behind the last one. */
const isRepeat = (run, event) => event.id !== null && run.lastId !== null && Number(event.id) <= Number(run.lastId);

/** Half to all of 0.5, 1, 2, 4, 8 seconds, so that the clients of a restarted server do not come back as one. */
const backoff = (failures) => 500 * 2 ** (failures - 1) * (0.5 + Math.random() / 2);

/** Waits, but not past the moment at which the device is online again. Throws when aborted. */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      signal.aborted ? reject(signal.reason) : resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}
