// The open conversation: its messages and the reply that is being made. No DOM here; the parts draw what `talk` holds
// when they are told that it changed:
//   chat:reset    another conversation, another page of it, or another phase
//   chat:message  one message is new or changed (detail: the message)
//   chat:token    text was appended to a message (detail: the message)
//   chat:state    `talk.reply` or `talk.title` changed
//   chat:started  a message was accepted (detail: {from, id}: the conversation it was written in, and the one it is in)

import { Problem, call, stream } from "./api.js";
import { emit } from "./bus.js";
import { follow } from "./stream.js";

const PAGE = 50;

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
let visit = { control: new AbortController(), run: null };

const path = (id, rest = "") => `/v1/conversations/${encodeURIComponent(id)}${rest}`;

/** Opens a conversation, or with null the page of a new one. */
export function openTalk(id, title = "") {
  leave();
  visit = { control: new AbortController(), run: null };
  Object.assign(talk, empty(id), { title });
  emit("chat:reset");
  if (!id) return;
  const { signal } = visit.control;
  quietly(load(signal), signal);
  if (!title) quietly(loadTitle(id, signal), signal);
}

/** Ends what is going on in the page. The reply goes on on the server, and a message on its way still arrives. */
export function leave() {
  visit.control.abort();
  if (visit.run?.generationId) visit.run.control.abort();
}

/** Lets an aborted piece of work end without a word. */
const quietly = (work, signal) => work.catch((error) => {
  if (!signal.aborted) throw error;
});

async function load(signal) {
  try {
    const page = await messages(talk.id, null, signal);
    Object.assign(talk, { messages: page.data.reverse(), next: page.next, phase: "ready" });
  } catch (error) {
    if (!(error instanceof Problem) || signal.aborted) throw error;
    Object.assign(talk, { phase: "failed", problem: error });
  }
  emit("chat:reset");
  const last = talk.messages.at(-1);
  if (last?.status === "streaming") join(last);
}

const messages = (id, after, signal) => call("GET", path(id, "/messages"), { query: { limit: PAGE, after, html: true }, signal });

async function loadTitle(id, signal) {
  const found = await call("GET", path(id), { signal }).catch((error) => {
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

/** Loads the page before the oldest message. */
export async function loadEarlier() {
  const { control } = visit;
  const page = await messages(talk.id, talk.next, control.signal);
  control.signal.throwIfAborted();
  const known = new Set(talk.messages.map((message) => message.id));
  talk.messages.unshift(...page.data.reverse().filter((message) => !known.has(message.id)));
  talk.next = page.next;
  emit("chat:reset", { earlier: true });
}

/** Asks again for the newest messages, after a stream that did not end with the whole reply. */
async function settle(run, signal) {
  const page = await messages(talk.id, null, signal);
  signal.throwIfAborted();
  for (const message of page.data.reverse()) {
    // What the stream said last is the reason, where the message itself names none.
    if (message.id === run.generationId && message.status !== "final" && run.problem) message.error ??= run.problem;
    put(message);
  }
}

/** Takes a message as it now is. */
function put(message) {
  const at = talk.messages.findIndex((known) => known.id === message.id);
  if (at < 0) talk.messages.push(message);
  else message = Object.assign(talk.messages[at], { lost: null, ...message });
  emit("chat:message", message);
}

/**
 * Sends a message. Resolves when the server has accepted it, and rejects with the problem when it has not; the same
 * `key` then makes a repeat harmless.
 */
export function send(content, key) {
  const here = visit;
  const from = talk.id;
  const run = newRun(null);
  const body = from ? { content, conversation_id: from } : { content };
  const first = () => stream("POST", "/v1/messages", { query: { html: true }, body, headers: { "Idempotency-Key": key }, signal: run.control.signal });
  return new Promise((accepted, refused) => {
    const begun = (data) => {
      run.generationId = data.generation_id;
      const isOpen = here === visit;
      if (isOpen) Object.assign(talk, { id: data.conversation_id, phase: "ready" });
      emit("chat:started", { from, id: data.conversation_id, isOpen });
      accepted();
      if (!isOpen) return run.control.abort();
      put(data.message);
      put({ ...data.reply, content: "" });
      setReply({ id: run.generationId });
    };
    track(here, run, { first, begun, refused });
  });
}

const newRun = (generationId, lastId = null) => ({ generationId, lastId, problem: null, control: new AbortController() });

/** Follows a reply that is already being made, from its beginning. */
function join(message) {
  Object.assign(message, { content: "", html: null });
  emit("chat:message", message);
  track(visit, newRun(message.id), {});
}

/** Follows a reply whose connection was given up, from where it was. */
export function rejoin(message) {
  const lastId = message.lost?.lastId ?? null;
  message.lost = null;
  if (lastId === null) return join(message);
  emit("chat:message", message);
  track(visit, newRun(message.id, lastId), {});
}

async function track(here, run, { first = null, begun, refused }) {
  const { signal } = run.control;
  here.run = run;
  setReply({ id: run.generationId });
  try {
    const end = await follow(run, {
      first,
      signal,
      waiting: (attempt) => setReply({ ...talk.reply, attempt }),
      // Events of a conversation that was left in the meantime are not for this page.
      handle: (type, data) => (here === visit || !run.generationId ? take(run, type, data, begun) : true),
    });
    if (here === visit && (end === "gone" || run.problem)) await settle(run, here.control.signal);
  } catch (error) {
    if (!run.generationId && refused) refused(error);
    else if (signal.aborted || here !== visit) return;
    else if (error instanceof Problem) lose(run, error);
    else throw error;
  } finally {
    if (here === visit && here.run === run) {
      here.run = null;
      setReply(null);
    }
  }
}

/** One event of a reply. True when it was the last. */
function take(run, type, data, begun) {
  if (type === "start") {
    if (begun && !run.generationId) begun(data);
  } else if (type === "token") {
    const message = talk.messages.find((known) => known.id === run.generationId);
    if (talk.reply?.attempt) setReply({ ...talk.reply, attempt: 0 });
    if (message) {
      message.content += data.text;
      message.html = data.html;
      emit("chat:token", message);
    }
  } else if (type === "done") {
    put(data.reply);
    emit("chat:done", data.reply);
    return true;
  } else if (type === "error") {
    run.problem = new Problem(data.problem ?? data);
    lose(run, run.problem);
    return true;
  }
  return false;
}

/** Says at the message why its stream ended. What had arrived stays. */
function lose(run, problem) {
  const message = talk.messages.find((known) => known.id === run.generationId);
  if (!message) return;
  message.lost = { problem, lastId: run.lastId };
  emit("chat:message", message);
}

/** Stops the reply; what had arrived is kept. Before the message was accepted it takes the message back. */
export async function stop() {
  const { run, control } = visit;
  if (!run || talk.reply?.stopping) return;
  if (!run.generationId) return run.control.abort(new Problem({ code: "cancelled", detail: "Sending was stopped." }));
  setReply({ ...talk.reply, stopping: true });
  try {
    await call("POST", `/v1/generations/${encodeURIComponent(run.generationId)}/stop`, { signal: control.signal });
  } catch (error) {
    if (visit.run === run) setReply({ ...talk.reply, stopping: false });
    throw error;
  }
}

function setReply(reply) {
  talk.reply = reply && { stopping: false, attempt: 0, ...reply };
  emit("chat:state");
}
