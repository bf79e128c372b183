-- What audits have found, and who may act in an emergency.

CREATE TABLE audit_run (
  id       BLOB NOT NULL PRIMARY KEY,
  at       INTEGER NOT NULL,
  profile  TEXT NOT NULL,
  -- In tenths: 0 to 1000.
  score    INTEGER NOT NULL,
  -- The report, as JSON.
  report   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX person_operator ON person (id) WHERE operator_since IS NOT NULL;
