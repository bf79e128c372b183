// The reply that is being made in the open conversation: sending a message, following what comes, stopping it.

import { Problem, call, stream } from "./api.js";
import { emit } from "./bus.js";
import { follow } from "./stream.js";
import { put, settle, talk, visit } from "./talk.js";

/**
 * Sends a message. Resolves when the server has accepted it, and rejects with the problem when it has not; the same
 * `key` then makes a repeat harmless.
 */
export function send(content, key, images = []) {
  const here = visit;
  const from = talk.id;
  const run = newRun(null);
  const body = { content };
  if (from) body.conversation_id = from;
  if (images.length) body.images = images;
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
export function join(message) {
  Object.assign(message, { content: "", html: null, tools: [] });
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
  } else if (type === "tool") {
    const message = talk.messages.find((known) => known.id === run.generationId);
    if (message) {
      const tools = [...(message.tools ?? [])];
      tools[data.index] = data;
      emit("chat:message", Object.assign(message, { tools }));
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
