// What was written and is not sent yet: messages, new titles, deletions, in their order. Kept in IndexedDB until the server
// has said what became of it; flush.js sends it.
//
// Nothing is applied twice, by construction, since each thing keeps to the one way on which it was tried:
// - What was never tried goes by POST /v1/sync, where the ids of this browser and of the entry are the claim, however often
//   it is sent.
// - A message that was tried by POST /v1/messages and got no answer may have arrived. It is tried again by the same route
//   with the same Idempotency-Key, which then finds what the first try made. By another route it would be another message.
// Both claims hold for 24 hours. What was tried longer ago is not sent by itself any more: the person decides.

import { Problem } from "./api.js";
import { emit } from "./bus.js";
import { uuid } from "./dom.js";
import { got, walk } from "./idb.js";
import { withStores } from "./store.js";

/** Things that may wait. */
const MOST = 200;

export const SEND = "message.send";
export const RENAME = "conversation.rename";
export const DELETE = "conversation.delete";

/**
 * An entry: {n, id, kind, conversation_id, content, title, isNew, key, tried_at, state: "waiting" | "refused", problem,
 * written_at}. `key` is there when it was tried by POST /v1/messages; `isNew` when its conversation is made by it, with an
 * id that was chosen here.
 */
export function makeQueue(db) {
  db.createObjectStore("queue", { keyPath: "n", autoIncrement: true });
}

/** All entries, in order. */
export const entries = async () => (await withStores(["queue"], "readonly", (queue) => got(queue.getAll()))) ?? [];

/** True when something can wait here at all. */
export const canQueue = (problem) => problem instanceof Problem && problem.status === 0 && problem.code !== "cancelled";

/** Puts something at the end. Throws a Problem when there is no room for it. */
export async function enqueue(entry) {
  const whole = { id: uuid(), state: "waiting", written_at: new Date().toISOString(), tried_at: null, ...entry };
  const added = await withStores(["queue"], "readwrite", async (queue) => {
    if ((await got(queue.count())) >= MOST) {
      throw new Problem({ code: "queue_full", detail: `${MOST} things wait to be sent already. More can be written when they are sent, or dropped.` });
    }
    await got(queue.add(whole));
    return true;
  });
  if (!added) throw new Problem({ code: "no_storage", detail: "This browser keeps no data for the page, so nothing can wait here." });
  changed();
  return whole;
}

/** Takes an entry out, because the person does not want it any more. */
export async function drop(id) {
  await withStores(["queue"], "readwrite", (queue) => walk(queue, null, "next", (cursor) => {
    if (cursor.value.id !== id) return false;
    cursor.delete();
    return true;
  }));
  changed();
}

/**
 * Takes everything about a conversation out, if it exists only here and none of it was ever sent. True when that was so.
 */
export async function dropNew(conversation) {
  const dropped = await withStores(["queue"], "readwrite", async (queue) => {
    const mine = (await got(queue.getAll())).filter((entry) => entry.conversation_id === conversation);
    const isOnlyHere = mine.some((entry) => entry.isNew) && mine.every((entry) => entry.state === "refused" || (!entry.tried_at && !entry.key));
    if (isOnlyHere) for (const { n } of mine) queue.delete(n);
    return isOnlyHere;
  });
  if (dropped) changed();
  return Boolean(dropped);
}

/** Tells this window and the others (following.js). */
const changed = () => emit("queued");
