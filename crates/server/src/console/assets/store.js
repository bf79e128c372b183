// The database of one person in one organisation, in this browser. It has the copy of what they may see (replica.js) and
// what they wrote that is not sent yet (queue.js). Signing out deletes it, and so does somebody else who signs in.

import { deleteDatabase, openDatabase, transact } from "./idb.js";
import { makeQueue } from "./queue.js";
import { forget, makeReplica } from "./replica.js";

const PREFIX = "mainstay.";
const VERSION = 1;
const PERSON = "mainstay.person";
/** A browser that does not open its database in this time is left without one. */
const PATIENCE_MS = 3000;

let current = null;

/** The open database, or null: without one the page reads from the server only, and queues nothing. */
export const database = () => current?.db ?? null;

/** Its name, which differs for each person and organisation. */
export const databaseName = ({ user, organisation }) => `${PREFIX}${user.id}.${organisation.id}`;

/** Opens the database of a person, and deletes those of others. Never throws. */
export async function openStore(who) {
  closeStore();
  const name = databaseName(who);
  try {
    const gone = () => current?.name === name && (current = null);
    const opening = deleteOthers(name).then(() => openDatabase(name, VERSION, (db) => (makeReplica(db), makeQueue(db)), gone));
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
    const db = await Promise.race([opening, late]);
    if (db) current = { db, name };
    else opening.then((db) => db.close(), () => {});
  } catch (error) {
    console.info("This browser keeps no data for the page.", error);
  }
}

export function closeStore() {
  current?.db.close();
  current = null;
}

/** Forgets what was read and keeps what was written: for a session that ended by itself. */
export async function forgetRows() {
  const db = database();
  forgetPerson();
  if (db) await forget(db).catch(() => {});
  closeStore();
}

/** Leaves nothing behind. */
export async function deleteAll() {
  forgetPerson();
  closeStore();
  await deleteOthers(null).catch(() => {});
}

async function deleteOthers(kept) {
  const found = (await indexedDB.databases()).map(({ name }) => name);
  await Promise.all(found.filter((name) => name.startsWith(PREFIX) && name !== kept).map(deleteDatabase));
}

/** Who was signed in last: with that the page opens without asking the server. */
export function recallPerson() {
  try {
    const who = JSON.parse(localStorage.getItem(PERSON));
    return who?.user?.id && who?.organisation?.id ? who : null;
  } catch {
    return null;
  }
}

export function rememberPerson({ user, organisation }) {
  try {
    localStorage.setItem(PERSON, JSON.stringify({ user, organisation }));
  } catch {
    // The page asks the server first, then.
  }
}

function forgetPerson() {
  try {
    localStorage.removeItem(PERSON);
  } catch {
    // Nothing was kept.
  }
}

/** Runs `work` on stores of the database. Null when there is none, or it went away meanwhile. */
export async function withStores(names, mode, work) {
  const db = database();
  if (!db) return null;
  try {
    return await transact(db, names, mode, work);
  } catch (error) {
    if (database() !== db) return null;
    throw error;
  }
}
