// What a person does, sent at once where that is possible, and put into the queue where it is not.

import { Problem, call } from "./api.js";
import { emit } from "./bus.js";
import { timedUuid } from "./dom.js";
import { isReachable } from "./network.js";
import { DELETE, RENAME, SEND, canQueue, dropNew, enqueue, entries } from "./queue.js";
import { send } from "./reply.js";
import { database } from "./store.js";
import { awaits, talk } from "./talk.js";

const path = (id) => `/v1/conversations/${encodeURIComponent(id)}`;

/** Whether something goes behind what waits already: order is kept, and nothing is tried that cannot arrive. */
async function mustWait(conversation) {
  if (!database()) return false;
  if (!isReachable()) return true;
  return (await entries()).some(({ state, isNew, conversation_id }) => state === "waiting" || (isNew && conversation_id === conversation));
}

/** Tries `ask`; where no answer comes, `wait` puts it into the queue. Gives the answer, or null when it waits. */
async function orWait(conversation, ask, wait) {
  if (!(await mustWait(conversation))) {
    try {
      const answer = await ask();
      emit("wanted");
      return answer;
    } catch (problem) {
      if (!database() || !canQueue(problem)) throw problem;
    }
  }
  await wait();
  return null;
}

/** Gives the conversation as it now is, or null when the new title waits. */
export const rename = (id, title, signal) => orWait(
  id,
  () => call("PATCH", path(id), { body: { title }, signal }),
  () => enqueue({ kind: RENAME, conversation_id: id, title }),
);

/** Deletes a conversation. Doing so twice is harmless. */
export async function remove(id, signal) {
  if (await dropNew(id)) return;
  const ask = () => call("DELETE", path(id), { signal }).catch((problem) => {
    if (problem.status !== 404) throw problem; // Gone already is what was asked for.
  });
  await orWait(id, ask, () => enqueue({ kind: DELETE, conversation_id: id }));
}

/**
 * Sends a message into the open conversation. True when the server has it, false when it waits. `key` makes a repeat by the
 * same route harmless, so a message that was tried keeps it.
 */
export async function deliver(content, key, images = []) {
  const from = talk.id;
  // Images are on the server already, for a day: a message with some of them does not wait on this device.
  if (images.length) {
    await send(content, key, images);
    return true;
  }
  if (await mustWait(from)) return queueMessage(from, content, null);
  try {
    await send(content, key);
    return true;
  } catch (problem) {
    if (!(problem instanceof Problem) || !database() || !canQueue(problem)) throw problem;
    return queueMessage(from, content, key);
  }
}

async function queueMessage(from, content, key) {
  const isNew = from === null || (await entries()).some((entry) => entry.isNew && entry.conversation_id === from);
  const entry = await enqueue({ kind: SEND, conversation_id: from ?? timedUuid(), content, isNew, key });
  await awaits(from, entry);
  return false;
}
