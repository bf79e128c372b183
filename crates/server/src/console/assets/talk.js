// The open conversation: its messages and the reply that is being made. No DOM here; the parts draw what `talk` holds
// when they are told that it changed:
//   chat:reset    another conversation, another page of it, or another phase (detail: {earlier} or {quiet}: the same one)
//   chat:message  one message is new or changed (detail: the message)
//   chat:token    text was appended to a message (detail: the message)
//   chat:state    `talk.reply` or `talk.title` changed
//   chat:started  a message was accepted (detail: {from, id}: the conversation it was written in, and the one it is in)
// What this device knows is shown at once, and what the server says after it. Messages that wait to be sent (with an
// `entry` of the queue) stand at the end.

import { Problem, call } from "./api.js";
import { emit } from "./bus.js";
import { keptMessages, recall } from "./history.js";
import { join } from "./reply.js";

const PAGE = 50;
/** `talk.next` while the copy on this device has more. */
const KEPT = Symbol("kept");

const empty = (id) => ({
  id,
  title: "",
  messages: [],
  next: null,
  /** new | loading | ready | failed */
  phase: id ? "loading" : "new",
  problem: null,
  /** The reply being made: {id, stopping, attempt}; its id is null until the server has accepted the message. */
  reply: null,
});

/** What is open now. */
export const talk = empty(null);

/** One opening of one conversation. What is asked for it ends when another is opened. */
export let visit = { control: new AbortController(), run: null };

/** Opens a conversation, or with null the page of a new one. */
export function openTalk(id, title = "") {
  leave();
  visit = { control: new AbortController(), run: null };
  Object.assign(talk, empty(id), { title });
  emit("chat:reset");
  if (!id) return;
  const { signal } = visit.control;
  load(id, signal).catch((error) => {
    if (!signal.aborted) throw error; // An aborted piece of work ends without a word.
  });
}

/** Ends what is going on in the page. The reply goes on on the server, and a message on its way still arrives. */
export function leave() {
  visit.control.abort();
  if (visit.run?.generationId) visit.run.control.abort();
}

async function load(id, signal) {
  const known = await recall(id);
  signal.throwIfAborted();
  if (known) {
    Object.assign(talk, { messages: [...known.messages, ...known.waiting], next: known.more ? KEPT : null, phase: "ready" });
    if (known.row) talk.title = known.row.title;
    emit("chat:reset");
    followLast();
  }
  try {
    const page = await newest(id, null, signal);
    signal.throwIfAborted();
    // What was accepted meanwhile has another id, and its place.
    if (talk.id !== id) return;
    talk.phase = "ready";
    absorb(page.messages, page.next);
    if (!known) emit("chat:reset");
    followLast();
    if (!talk.title) await loadTitle(id, signal);
  } catch (error) {
    if (!(error instanceof Problem) || signal.aborted) throw error;
    // What is here is shown when the server is away; and what waits is nowhere else yet.
    if (talk.id !== id || (known && (error.isPassing || known.waiting.length))) return;
    fail(error);
  }
}

function fail(problem) {
  Object.assign(talk, { phase: "failed", problem, messages: [], next: null });
  emit("chat:reset");
}

/** A page of messages from the server, the oldest first: the newest, or those behind a cursor. */
async function newest(id, after, signal) {
  const page = await call("GET", `/v1/conversations/${encodeURIComponent(id)}/messages`, { query: { limit: PAGE, after, html: true }, signal });
  return { messages: page.data.reverse(), next: page.next };
}

async function loadTitle(id, signal) {
  const found = await call("GET", `/v1/conversations/${encodeURIComponent(id)}`, { signal }).catch((error) => {
    if (error instanceof Problem) return null; // The page says what is wrong where the messages would be.
    throw error;
  });
  if (found && talk.id === id) retitle(found);
}

/** Takes the title of the open conversation from wherever it became known. */
export function retitle({ id, title }) {
  if (talk.id !== id || talk.title === title) return;
  talk.title = title;
  emit("chat:state");
}

/** Loads the page before the oldest message, from this device when the server is away. */
export async function loadEarlier() {
  const { control } = visit;
  const { id, next } = talk;
  const oldest = talk.messages[0]?.id;
  const here = async (problem) => {
    const kept = await keptMessages(id, oldest);
    if (!kept) throw problem;
    return { messages: kept.messages, next: kept.more ? KEPT : null };
  };
  const page = next === KEPT ? await here(null) : await newest(id, next, control.signal).catch((problem) => (problem.isPassing ? here(problem) : Promise.reject(problem)));
  control.signal.throwIfAborted();
  const known = new Set(talk.messages.map((message) => message.id));
  talk.messages.unshift(...page.messages.filter((message) => !known.has(message.id)));
  talk.next = page.next;
  emit("chat:reset", { earlier: true });
}

/** Asks again for the newest messages, after a stream that did not end with the whole reply. */
export async function settle(run, signal) {
  const page = await newest(talk.id, null, signal);
  signal.throwIfAborted();
  for (const message of page.messages) {
    // What the stream said last is the reason, where the message itself names none.
    if (message.id === run.generationId && message.status !== "final" && run.problem) message.error ??= run.problem;
    put(message);
  }
}

/** Takes a message as it now is. */
export function put(message) {
  const at = talk.messages.findIndex((known) => known.id === message.id);
  if (at >= 0) return emit("chat:message", Object.assign(talk.messages[at], { lost: null, ...message }));
  const end = talk.messages.findIndex((known) => known.entry);
  if (end < 0) {
    talk.messages.push(message);
    return emit("chat:message", message);
  }
  talk.messages.splice(end, 0, message);
  emit("chat:reset", { quiet: true });
}

/** Takes the newest messages, in their order, into what is shown. `next` is where those before them are. */
function absorb(rows, next) {
  const isShown = (row) => talk.messages.some(({ id }) => id === row.id);
  if (!rows.some(isShown)) {
    // Nothing in common: what is shown was left behind long ago, or is nothing.
    if (!rows.length || visit.run) return;
    Object.assign(talk, { messages: [...rows, ...talk.messages.filter(({ entry }) => entry)], next });
    return emit("chat:reset", { quiet: true });
  }
  if (talk.messages[0].id === rows[0].id) talk.next = next;
  let at = -1;
  let isLonger = false;
  for (const row of rows) {
    const found = talk.messages.findIndex(({ id }) => id === row.id);
    if (found < 0) {
      talk.messages.splice(at + 1, 0, row);
      isLonger = true;
    }
    at = found < 0 ? at + 1 : found;
    if (found >= 0) update(talk.messages[found], row);
  }
  if (isLonger) emit("chat:reset", { quiet: true });
}

/** What the stream of a reply tells is newer than its row, until it ends. */
function update(message, row) {
  if (row.status === "streaming" || row.id === visit.run?.generationId) return;
  if (["status", "content", "html"].every((name) => row[name] === undefined || row[name] === message[name])) return;
  emit("chat:message", Object.assign(message, { lost: null, ...row }));
}

/** Takes the newest messages from the server: for a page without a copy, which hears of nothing by itself. */
export async function renewTalk() {
  const { id } = talk;
  const { signal } = visit.control;
  if (!id || talk.phase !== "ready") return;
  try {
    const page = await newest(id, null, signal);
    if (talk.id === id && !signal.aborted) absorb(page.messages, page.next);
  } catch (error) {
    if (!(error instanceof Problem) && !signal.aborted) throw error;
  }
}

/** Follows the last reply while it is being made, unless that is done or was given up. */
function followLast() {
  const last = talk.messages.findLast(({ entry }) => !entry);
  if (last?.status === "streaming" && !last.lost && !visit.run) join(last);
}

/** Looks at what this device knows now, because that changed. */
export async function lookAgain({ isDeleted = false } = {}) {
  const { id } = talk;
  const { signal } = visit.control;
  if (!id || talk.phase === "failed") return;
  const known = await recall(id);
  if (signal.aborted || talk.id !== id) return;
  if (isDeleted && !known) {
    leave();
    return fail(new Problem({ status: 404, code: "not_found" }));
  }
  awaitOnly(known?.waiting ?? []);
  if (!known) return;
  if (known.row) retitle(known.row);
  absorb(known.messages, known.more ? KEPT : null);
  followLast();
}

/** Shows these as waiting, and no others. */
function awaitOnly(waiting) {
  const shown = talk.messages.filter(({ entry }) => entry);
  const key = (message) => message.id + message.status;
  if (shown.map(key).join() === waiting.map(key).join()) return;
  talk.messages = [...talk.messages.filter(({ entry }) => !entry), ...waiting];
  emit("chat:reset", { quiet: true });
}

/** A message of the conversation `from` waits now, perhaps in a new conversation. */
export async function awaits(from, entry) {
  const id = entry.conversation_id;
  const isOpen = talk.id === from;
  if (isOpen) Object.assign(talk, { id, phase: "ready" });
  emit("chat:started", { from, id, isOpen });
  await lookAgain();
}

/** A conversation that was made here has got its place on the server. */
export function moved(from, to) {
  if (talk.id === from) talk.id = to;
}
