-- What was deployed where and when, and what came of it. Entries are never changed.

CREATE TABLE deployment (
  id           BLOB NOT NULL PRIMARY KEY,
  environment  TEXT NOT NULL,
  version      TEXT NOT NULL,
  commit_id    TEXT NOT NULL,
  -- SHA-256 of the program, in hexadecimal.
  digest       TEXT NOT NULL,
  kind         TEXT NOT NULL CHECK (kind IN ('deploy', 'rollback')),
  outcome      TEXT NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'rolled_back')),
  reason       TEXT NOT NULL,
  who          TEXT NOT NULL,
  began_at     INTEGER NOT NULL,
  ended_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX deployment_environment ON deployment (environment, id);
