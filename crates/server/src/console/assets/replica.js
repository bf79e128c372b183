// The copy of what the person may see, in IndexedDB. Rows and the cursor up to which they are whole are written by one
// transaction, so that the cursor is never ahead of the rows, whatever ends the page in the middle. Nothing here asks the
// server; see sync.js.

import { advance, format, hasReached, isSameLife, parse } from "./cursor.js";
import { below, got, transact, walk } from "./idb.js";

/** The stores of the copy: rows by stream, kind and id, and what is known about all of them. */
export function makeReplica(db) {
  const rows = db.createObjectStore("rows", { keyPath: ["stream", "kind", "id"] });
  rows.createIndex("kind", ["kind", "sort"]);
  rows.createIndex("parent", ["parent", "sort"]);
  db.createObjectStore("meta");
}

const STATE = "state";
/** `begun`: a sync has come to its end, so that what is missing here is nowhere. The sums are those of the server. */
const nothing = () => ({ cursor: null, begun: false, count: 0, sum: 0 });

/** What is known, within a transaction: `{cursor, begun, count, sum}`. */
export const stateIn = async (meta) => (await got(meta.get(STATE))) ?? nothing();

/** The same in one of its own. */
export const stateOf = (db) => transact(db, ["meta"], "readonly", stateIn);

/** Forgets all rows. What waits to be sent stays. */
export const forget = (db) => transact(db, ["rows", "meta"], "readwrite", clear);

async function clear(rows, meta) {
  await Promise.all([got(rows.clear()), got(meta.delete(STATE))]);
}

/**
 * Applies a page that was asked for from where the copy is. Gives what changed, and whether the page is the last one
 * ("complete"), more comes ("more"), or the copy is not what the server has ("diverged"); then it is forgotten.
 */
export const applyPage = (db, page) => transact(db, ["rows", "meta"], "readwrite", async (rows, meta) => {
  const state = await stateIn(meta);
  const before = state.cursor && parse(state.cursor);
  const after = parse(page.cursor);
  if (before && !isSameLife(before, after)) {
    await clear(rows, meta);
    return { outcome: "diverged", changes: [] };
  }
  const changes = [];
  for (const change of page.changes) await apply(rows, state, before, change, changes);
  // A socket may have been faster than this page.
  for (const stream of ["membership", "organisation"]) if (before) advance(after, stream, before[stream].head);
  state.cursor = format(after);
  const agrees = state.count === page.checksum.count && state.sum === page.checksum.sum;
  if (page.complete && state.cursor === page.cursor && !agrees) {
    await clear(rows, meta);
    return { outcome: "diverged", changes: [] };
  }
  state.begun ||= page.complete;
  await got(meta.put(state, STATE));
  return { outcome: page.complete ? "complete" : "more", changes };
});

/**
 * Applies changes that were pushed, in their order, and moves the cursor to them, if everything before is known: when the
 * copy has come up to `from`, where the socket began. Gives what changed, and how many were taken; the others must wait
 * for a sync.
 */
export const applyPushed = (db, pushed, from) => transact(db, ["rows", "meta"], "readwrite", async (rows, meta) => {
  const state = await stateIn(meta);
  const changes = [];
  const cursor = state.cursor && parse(state.cursor);
  if (!state.begun || !cursor || !hasReached(cursor, from)) return { taken: 0, changes };
  let taken = 0;
  for (const change of pushed) {
    // A frame does not tell the epoch of its stream, so the first change of a stream must come by a page.
    if (cursor[change.stream].epoch === 0) break;
    await apply(rows, state, cursor, change, changes);
    advance(cursor, change.stream, change.seq);
    taken += 1;
  }
  state.cursor = format(cursor);
  await got(meta.put(state, STATE));
  return { taken, changes };
});

async function apply(rows, state, known, change, changes) {
  const { stream, kind, id, seq, parent, row } = change;
  // It came before, by the other way.
  if (known && seq <= known[stream].head) return;
  const key = [stream, kind, id];
  const old = await got(rows.get(key));
  if (old) count(state, -1, old.seq);
  const deleted = change.deleted || !row;
  if (deleted) {
    if (old) await got(rows.delete(key));
    await orphans(rows, state, id);
  } else {
    await got(rows.put({ stream, kind, id, seq, parent, sort: row.ordinal ?? row.updated_at ?? "", row }));
    count(state, 1, seq);
  }
  changes.push({ kind, id, parent, deleted });
}

/** What lies below a row goes with it: no tombstones come for that. */
async function orphans(rows, state, id) {
  const gone = [];
  await walk(rows.index("parent"), below(id), "next", (cursor) => {
    count(state, -1, cursor.value.seq);
    gone.push(cursor.value.id);
    cursor.delete();
  });
  for (const child of gone) await orphans(rows, state, child);
}

function count(state, sign, seq) {
  state.count += sign;
  state.sum += sign * seq;
}
