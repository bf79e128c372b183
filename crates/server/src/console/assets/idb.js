// IndexedDB as promises. A transaction stays open only while requests of its own are waited for: its work awaits nothing
// else.

/** What a request gives. */
export const got = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/**
 * Runs `work` with the stores of these names, in one transaction. Resolves with what it gave when that is written, and
 * undoes all of it when it fails.
 */
export function transact(db, names, mode, work) {
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(names, mode);
    let result;
    let failure = null;
    transaction.oncomplete = () => resolve(result);
    transaction.onabort = () => reject(failure ?? transaction.error);
    Promise.resolve(work(...names.map((name) => transaction.objectStore(name)))).then(
      (value) => (result = value),
      (error) => {
        failure = error;
        try {
          transaction.abort();
        } catch {
          reject(error); // It had ended by itself.
        }
      },
    );
  });
}

/** Walks over what a store or an index holds in a range. `visit(cursor)` returns true to end. */
export function walk(source, range, direction, visit) {
  return new Promise((resolve, reject) => {
    const request = source.openCursor(range, direction);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor || visit(cursor) === true) return resolve();
      cursor.continue();
    };
  });
}

/** Everything in a compound index that begins with this key. */
export const below = (...key) => IDBKeyRange.bound(key, [...key, []]);

/** Opens a database, making its stores when they are not there. `closing` is called when something else wants it gone. */
export function openDatabase(name, version, make, closing) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, version);
    request.onupgradeneeded = () => make(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("another window holds an older form of the database"));
    request.onsuccess = () => {
      const db = request.result;
      const close = () => {
        db.close();
        closing();
      };
      db.onversionchange = close;
      db.onclose = closing;
      resolve(db);
    };
  });
}

export const deleteDatabase = (name) => new Promise((resolve, reject) => {
  const request = indexedDB.deleteDatabase(name);
  request.onsuccess = () => resolve();
  request.onerror = () => reject(request.error);
});
