// Sends what waits in the queue, in its order, by the way of each (queue.js).

import { Problem, call, stream } from "./api.js";
import { uuid } from "./dom.js";
import { got, transact } from "./idb.js";
import { DELETE, RENAME, SEND } from "./queue.js";
import { eventsOf } from "./sse.js";

/** Mutations of one request, and about how many bytes of them: below the server's limits. */
const MOST = 50;
const MOST_BYTES = 400_000;
/** A claim holds for 24 hours on the server; somewhat less is sure. */
const CLAIM_MS = 23 * 3_600_000;
const IDLE_MS = 30_000;

/**
 * Sends the next things that wait, at most `most`. Null when nothing waits; else what became of it, for `settle`. Throws a
 * Problem when nothing can be said yet, and all of it stays.
 */
export async function sendNext(db, most, signal) {
  const batch = await next(db, Math.min(most, MOST));
  if (batch.length === 0) return null;
  try {
    return batch[0].key ? await repeat(batch[0], signal) : await push(db, batch, signal);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    // Refused as a whole, or a limit was reached in the middle. Which of them did it shows when they go one by one, and
    // what was applied before is then known to be.
    const isAnswer = problem.status === 429 || !(problem.isPassing || problem.status === 401 || problem.retryAfter);
    if (isAnswer && batch.length > 1) return { done: [], refused: [], oneByOne: true };
    if (problem.isPassing || problem.status === 401 || problem.retryAfter) throw problem;
    return { done: [], refused: [{ n: batch[0].n, problem: told(problem) }] };
  }
}

/** What is sent together next; marked as tried before it leaves, so that nothing is forgotten when the page ends. */
const next = (db, most) => transact(db, ["queue"], "readwrite", async (queue) => {
  const batch = [];
  let bytes = 0;
  for (const entry of await got(queue.getAll())) {
    if (entry.state !== "waiting") continue;
    if (entry.tried_at && Date.now() - entry.tried_at > CLAIM_MS) {
      queue.put({ ...entry, state: "refused", problem: { code: "unknown_outcome", detail: "It was sent more than a day ago without an answer, and may have arrived. Look before you write it again." } });
      continue;
    }
    if (entry.key && batch.length) break;
    bytes += 3 * (entry.content ?? entry.title ?? "").length + 300;
    if (batch.length && bytes > MOST_BYTES) break;
    entry.tried_at ??= Date.now();
    queue.put(entry);
    batch.push(entry);
    if (entry.key || batch.length >= most) break;
  }
  return batch;
});

async function push(db, batch, signal) {
  const body = { client_id: await clientId(db), mutations: batch.map(mutation) };
  const { results } = await call("POST", "/v1/sync", { body, signal });
  const [done, refused] = [[], []];
  for (const entry of batch) {
    const { status, problem } = results.find(({ id }) => id === entry.id);
    // Gone already is what was asked for.
    const isDone = status !== "refused" || (entry.kind === DELETE && problem?.code === "not_found");
    if (isDone) done.push(entry.n);
    else refused.push({ n: entry.n, problem: told(problem) });
  }
  return { done, refused };
}

function mutation({ id, kind, conversation_id, content, title, isNew }) {
  const common = { id, kind, conversation_id };
  if (kind === SEND) return { ...common, content, new: Boolean(isNew) };
  return kind === RENAME ? { ...common, title } : common;
}

const told = ({ code, detail }) => ({ code, detail });

/** This browser's id for the server. It lives and dies with the queue. */
const clientId = (db) => transact(db, ["meta"], "readwrite", async (meta) => {
  const known = await got(meta.get("client"));
  if (known) return known;
  const id = uuid();
  await got(meta.put(id, "client"));
  return id;
});

/**
 * Tries a message again as it was tried first. The first event says where it is; the reply goes on on the server, and
 * whoever has the conversation open follows it there.
 */
async function repeat(entry, signal) {
  const control = new AbortController();
  const { content, conversation_id, isNew, key, n } = entry;
  const body = isNew ? { content } : { content, conversation_id };
  const both = AbortSignal.any([control.signal, signal]);
  try {
    const response = await stream("POST", "/v1/messages", { body, headers: { "Idempotency-Key": key }, signal: both });
    for await (const { type, data } of eventsOf(response, IDLE_MS)) {
      if (type === "start") {
        const to = JSON.parse(data).conversation_id;
        return { done: [n], refused: [], moved: isNew ? { from: conversation_id, to } : null };
      }
      if (type === "error") throw new Problem(JSON.parse(data).problem ?? JSON.parse(data));
    }
  } finally {
    control.abort();
  }
  throw new Problem({ code: "connection_lost", detail: "The connection was lost before the message was accepted." });
}

/** Takes out what was done, marks what was refused, and leads what waits for a moved conversation to its place. */
export const settle = (db, { done, refused, moved }) => transact(db, ["queue"], "readwrite", async (queue) => {
  for (const n of done) queue.delete(n);
  for (const { n, problem } of refused) {
    const entry = await got(queue.get(n));
    if (entry) await got(queue.put({ ...entry, state: "refused", problem }));
  }
  if (!moved) return;
  for (const entry of await got(queue.getAll())) {
    if (entry.conversation_id === moved.from) await got(queue.put({ ...entry, conversation_id: moved.to, isNew: false }));
  }
});
