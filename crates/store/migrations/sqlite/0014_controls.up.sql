-- What operators have set in an emergency, and the trail of it. An entry that has expired counts for nothing.

CREATE TABLE control (
  name        TEXT NOT NULL PRIMARY KEY,
  value       TEXT NOT NULL,
  reason      TEXT NOT NULL,
  -- The operator who signed in; nothing from the command line.
  person_id   BLOB,
  author      TEXT NOT NULL,
  set_at      INTEGER NOT NULL,
  -- Since when it has been set without a pause, however often it was renewed.
  since       INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE control_change (
  id          BLOB NOT NULL PRIMARY KEY,
  at          INTEGER NOT NULL,
  name        TEXT NOT NULL,
  old_value   TEXT,
  -- Nothing when it was cleared.
  new_value   TEXT,
  expires_at  INTEGER,
  reason      TEXT NOT NULL,
  person_id   BLOB,
  author      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
