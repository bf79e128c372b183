// What the copy on this device and the queue have to show. Every answer is null where there is no copy, or it is not whole
// yet: then only the server knows.

import { below, got, walk } from "./idb.js";
import { DELETE, RENAME, SEND, entries } from "./queue.js";
import { stateIn } from "./replica.js";
import { withStores } from "./store.js";

const PAGE = 50;
const SNIPPET = 60;

/** Reads rows in one transaction, if the copy is whole. */
const whole = (read) => withStores(["rows", "meta"], "readonly", async (rows, meta) => ((await stateIn(meta)).begun ? read(rows) : null));

/** The newest conversations, at most `limit`, whose titles have all words of `search`: {items, more}. */
export const keptConversations = (limit, search = "") => whole(async (rows) => {
  const words = search.toLowerCase().split(/\s+/);
  const items = [];
  await walk(rows.index("kind"), below("conversation"), "prev", ({ value: { row } }) => {
    const title = row.title.toLowerCase();
    if (words.every((word) => title.includes(word))) items.push(row);
    return items.length > limit;
  });
  return { items: items.slice(0, limit), more: items.length > limit };
});

export const keptConversation = (id) => whole(async (rows) => (await got(rows.get(["membership", "conversation", id])))?.row ?? null);

/** The newest messages of a conversation, or those before one of them, the oldest first: {messages, more}. */
export const keptMessages = (id, before = null) => whole(async (rows) => {
  const found = before && (await got(rows.get(["membership", "message", before])));
  if (before && !found) return null;
  const range = found ? IDBKeyRange.bound([id], [id, found.sort], false, true) : below(id);
  const messages = [];
  await walk(rows.index("parent"), range, "prev", ({ value: { kind, row } }) => {
    if (kind === "message") messages.push(row);
    return messages.length > PAGE;
  });
  return { messages: messages.slice(0, PAGE).reverse(), more: messages.length > PAGE };
});

/** All that is known here of a conversation: {row, messages, more, waiting}. Null when that is nothing. */
export async function recall(id) {
  const [row, kept, queue] = await Promise.all([keptConversation(id), keptMessages(id), entries()]);
  const waiting = queue.filter((entry) => entry.kind === SEND && entry.conversation_id === id).map(asMessage);
  if (!row && !kept?.messages.length && !waiting.length) return null;
  const shown = row || waiting.length ? withQueue(row ? [row] : [], queue).find((item) => item.id === id) : null;
  return { row: shown ?? row, messages: kept?.messages ?? [], more: kept?.more ?? false, waiting };
}

/** A message that waits, as the page shows messages. */
const asMessage = (entry) => ({
  id: entry.id,
  entry,
  role: "user",
  content: entry.content,
  status: entry.state,
  error: entry.problem ?? null,
  created_at: entry.written_at,
});

/** Conversations as they will be when the queue is sent. */
export function withQueue(items, queue) {
  const found = new Map(items.map((item) => [item.id, item]));
  for (const { kind, state, conversation_id: id, content, title, isNew, written_at } of queue) {
    const known = found.get(id);
    if (kind === SEND && (known || isNew)) {
      const made = known ?? { id, title: content.split("\n")[0].slice(0, SNIPPET), created_at: written_at, updated_at: written_at };
      found.set(id, { ...made, waits: true });
    } else if (kind === RENAME && known && state === "waiting") {
      found.set(id, { ...known, title });
    } else if (kind === DELETE && state === "waiting") {
      found.delete(id);
    }
  }
  return [...found.values()];
}
