-- Feature flags and experiments: what the operator says, who saw what, and what came of it.

CREATE TABLE flag (
  key        TEXT NOT NULL PRIMARY KEY,
  definition TEXT NOT NULL,
  killed_at  INTEGER,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE experiment (
  id         BLOB NOT NULL PRIMARY KEY,
  key        TEXT NOT NULL,
  definition TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('draft', 'running', 'stopped')),
  winner     TEXT,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  stopped_at INTEGER,
  removed_at INTEGER,
  erased_at  INTEGER
) STRICT;
CREATE UNIQUE INDEX experiment_key ON experiment (key) WHERE removed_at IS NULL;

-- The first time that a unit was shown its variant.
CREATE TABLE exposure (
  experiment_id BLOB NOT NULL,
  tenant_id     BLOB NOT NULL,
  unit_id       BLOB NOT NULL,
  variant       INTEGER NOT NULL,
  exposed_at    INTEGER NOT NULL,
  PRIMARY KEY (experiment_id, tenant_id, unit_id)
) STRICT, WITHOUT ROWID;

-- An event of a unit that an experiment counts. What happened before the exposure is left out when it is read.
CREATE TABLE outcome (
  experiment_id BLOB NOT NULL,
  tenant_id     BLOB NOT NULL,
  unit_id       BLOB NOT NULL,
  person_id     BLOB NOT NULL,
  event_id      BLOB NOT NULL,
  value         REAL NOT NULL,
  happened_at   INTEGER NOT NULL,
  PRIMARY KEY (experiment_id, tenant_id, unit_id, person_id, event_id)
) STRICT, WITHOUT ROWID;
