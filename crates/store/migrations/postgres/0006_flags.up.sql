-- Feature flags and experiments: what the operator says, who saw what, and what came of it.

CREATE TABLE flag (
  key        text NOT NULL PRIMARY KEY,
  definition text NOT NULL,
  killed_at  timestamptz,
  updated_at timestamptz NOT NULL
);

CREATE TABLE experiment (
  id         uuid NOT NULL PRIMARY KEY,
  key        text NOT NULL,
  definition text NOT NULL,
  state      text NOT NULL CHECK (state IN ('draft', 'running', 'stopped')),
  winner     text,
  created_at timestamptz NOT NULL,
  started_at timestamptz,
  stopped_at timestamptz,
  removed_at timestamptz,
  erased_at  timestamptz
);
CREATE UNIQUE INDEX experiment_key ON experiment (key) WHERE removed_at IS NULL;

-- The first time that a unit was shown its variant.
CREATE TABLE exposure (
  experiment_id uuid NOT NULL,
  tenant_id     uuid NOT NULL,
  unit_id       uuid NOT NULL,
  variant       bigint NOT NULL,
  exposed_at    timestamptz NOT NULL,
  PRIMARY KEY (experiment_id, tenant_id, unit_id)
);

-- An event of a unit that an experiment counts. What happened before the exposure is left out when it is read.
CREATE TABLE outcome (
  experiment_id uuid NOT NULL,
  tenant_id     uuid NOT NULL,
  unit_id       uuid NOT NULL,
  person_id     uuid NOT NULL,
  event_id      uuid NOT NULL,
  value         double precision NOT NULL,
  happened_at   timestamptz NOT NULL,
  PRIMARY KEY (experiment_id, tenant_id, unit_id, person_id, event_id)
);

-- Global tables: an operator writes them, every node reads them.
GRANT SELECT, INSERT, UPDATE, DELETE ON flag, experiment TO mainstay_app;

-- Tenant tables: a row is visible only to a transaction that named its organisation.

ALTER TABLE exposure ENABLE ROW LEVEL SECURITY;
ALTER TABLE exposure FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON exposure TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON exposure TO mainstay_app;

ALTER TABLE outcome ENABLE ROW LEVEL SECURITY;
ALTER TABLE outcome FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON outcome TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON outcome TO mainstay_app;

-- The system adds up the results of an experiment over all organisations, and finds what is to be erased. It changes
-- nothing here.
CREATE POLICY system ON exposure TO mainstay_system USING (true);
GRANT SELECT ON exposure TO mainstay_system;
CREATE POLICY system ON outcome TO mainstay_system USING (true);
GRANT SELECT ON outcome TO mainstay_system;
