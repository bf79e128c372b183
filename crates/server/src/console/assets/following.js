// The windows of one person in one browser. One of them, the leader, follows the server for all: it holds the socket, writes
// the copy and sends the queue. It tells the others what changed, and they read it from IndexedDB. A browser gives the lead
// on by itself when the leader's window goes away.
//
// Where a browser has no locks (without HTTPS) each window leads. That costs a socket each and is no less right: pages and
// pushes are applied by transactions that leave out what is known, and what is sent twice is applied once.
//
//   local:rows      rows of the copy changed (detail: {changes: [{kind, id, parent, deleted}], all})
//   local:queue     what waits to be sent changed (detail: {moved: {from, to} | null}: a conversation got its place)
//   local:held      why the queue is not sent for a while (detail: {status, code, detail}), or null when it is again
//   local:wanted    somebody did something: the leader looks sooner than planned
//   local:diverged  the copy had to be made again more than once

import { emit, events } from "./bus.js";
import { Life } from "./life.js";
import { database, databaseName } from "./store.js";
import { followServer } from "./sync.js";

const life = new Life("following");
// Another window that signs out takes the database away first; the word that it did so comes after.
life.failed = (error) => database() && console.error("Following the server failed.", error);

/** Begins to follow for a person whose database is open; without one, nothing is followed. */
export function startFollowing(who) {
  life.begin();
  const db = database();
  if (!db) return;
  const name = databaseName(who);
  const channel = new BroadcastChannel(name);
  life.onStop(() => channel.close());
  const tell = (type, detail) => {
    emit(type, detail);
    if (life.isRunning) channel.postMessage({ type, detail });
  };
  life.on(channel, "message", ({ data: { type, detail } }) => emit(type, detail));
  life.on(events, "queued", () => {
    tell("local:queue", { moved: null });
    tell("local:wanted");
  });
  life.on(events, "wanted", () => tell("local:wanted"));
  const lead = () => followServer(life, db, tell);
  if (!navigator.locks) return lead();
  const held = new Promise((resolve) => life.onStop(resolve));
  const { signal } = life;
  navigator.locks.request(`${name}.lead`, { signal }, () => {
    if (!signal.aborted) lead();
    return held;
  }).catch((error) => {
    if (!signal.aborted) life.failed(error);
  });
}

export const stopFollowing = () => life.end();
