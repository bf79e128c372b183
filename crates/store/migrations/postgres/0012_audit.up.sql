-- What audits have found, and who may act in an emergency.

CREATE TABLE audit_run (
  id       uuid NOT NULL PRIMARY KEY,
  at       timestamptz NOT NULL,
  profile  text NOT NULL,
  -- In tenths: 0 to 1000.
  score    bigint NOT NULL,
  -- The report, as JSON.
  report   text NOT NULL
);
GRANT SELECT, INSERT, DELETE ON audit_run TO mainstay_system;

CREATE INDEX person_operator ON person (id) WHERE operator_since IS NOT NULL;
