-- The inbox of webhooks: who may send, what has arrived, and what is known of each thing that events tell about.

CREATE TABLE inbox_source (
  id          uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  name        text NOT NULL,
  provider    text NOT NULL,
  -- How the sender proves who it is, with the secrets for it, as JSON.
  scheme      text NOT NULL,
  -- The end of its address.
  key         text NOT NULL,
  created_at  timestamptz NOT NULL,
  disabled_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX inbox_source_age ON inbox_source (tenant_id, created_at, id);

-- Whose an address is: asked before the organisation is known.
CREATE TABLE inbox_key (
  key       text NOT NULL PRIMARY KEY,
  tenant_id uuid NOT NULL,
  source_id uuid NOT NULL
);

-- An event as it arrived. It never changes; what became of it is in its job, which has the same id. The installation's own
-- events have the nil UUID for their organisation. What is read most stands before the payload, which may be long.
CREATE TABLE inbox_event (
  id          uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  source_id   uuid NOT NULL,
  provider    text NOT NULL,
  -- What the same event has when it arrives again.
  identity    text NOT NULL,
  kind        text NOT NULL,
  -- When what it tells was so, by the sender's clock.
  version     bigint,
  received_at timestamptz NOT NULL,
  payload     text NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (source_id, tenant_id, identity)
);
CREATE INDEX inbox_event_age ON inbox_event (received_at);

-- The newest event of each thing, by the events' own version. Of two with one version the identity decides, by its bytes:
-- in the same way whatever the language of the database.
CREATE TABLE inbox_subject (
  tenant_id  uuid NOT NULL,
  source_id  uuid NOT NULL,
  subject    text NOT NULL,
  version    bigint NOT NULL,
  identity   text COLLATE "C" NOT NULL,
  event_id   uuid NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, source_id, subject)
);
CREATE INDEX inbox_subject_age ON inbox_subject (updated_at);

-- A global table: an address comes before its organisation.
GRANT SELECT, INSERT, DELETE ON inbox_key TO mainstay_app;

-- Tenant tables: a row is visible only to a transaction that named its organisation.

ALTER TABLE inbox_source ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbox_source FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON inbox_source TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON inbox_source TO mainstay_app;

ALTER TABLE inbox_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbox_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON inbox_event TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT ON inbox_event TO mainstay_app;

ALTER TABLE inbox_subject ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbox_subject FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON inbox_subject TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE ON inbox_subject TO mainstay_app;

-- Workers keep what is newest in the transaction that ends the job, and what is old is swept across organisations.
CREATE POLICY system ON inbox_event TO mainstay_system USING (true);
GRANT SELECT (id, tenant_id, received_at), DELETE ON inbox_event TO mainstay_system;
CREATE POLICY system ON inbox_subject TO mainstay_system USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON inbox_subject TO mainstay_system;

-- Whoever lists events sees where their jobs stand, and nothing else of them.
GRANT SELECT (state) ON job TO mainstay_app;
