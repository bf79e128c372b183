-- Backups that were made, drills that restored one, and which installation this is.

CREATE TABLE installation (
  only_row INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
  id       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE backup (
  -- When it began and some letters of chance, as the place where it is kept names it.
  id         TEXT NOT NULL PRIMARY KEY,
  state      TEXT NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'deleted')),
  place      TEXT NOT NULL,
  -- Chance that only the database and, as a digest, the backup know: it is there before the first byte is read, so a copy
  -- that lacks it is not a copy of this moment.
  canary     TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at   INTEGER,
  -- As stored: compressed, and encrypted if asked.
  bytes      INTEGER NOT NULL,
  rows       INTEGER NOT NULL,
  encrypted  INTEGER NOT NULL,
  error      TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE restore_drill (
  id                TEXT NOT NULL PRIMARY KEY,
  at                INTEGER NOT NULL,
  backup            TEXT NOT NULL,
  passed            INTEGER NOT NULL,
  recovery_point_ms INTEGER NOT NULL,
  recovery_time_ms  INTEGER NOT NULL,
  detail            TEXT NOT NULL
) STRICT, WITHOUT ROWID;
