-- Conversations, messages, the replies in the making, and what clients sync by.

CREATE TABLE stream (
  stream_id uuid NOT NULL,
  tenant_id uuid NOT NULL,
  head      bigint NOT NULL,
  epoch     bigint NOT NULL,
  floor     bigint NOT NULL,
  PRIMARY KEY (stream_id, tenant_id)
) WITH (fillfactor = 50);

CREATE TABLE idempotency (
  tenant_id   uuid NOT NULL,
  person_id   uuid NOT NULL,
  key         text NOT NULL,
  operation   text NOT NULL,
  fingerprint text NOT NULL,
  resource_id uuid NOT NULL,
  created_at  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, person_id, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE conversation (
  id           uuid NOT NULL,
  tenant_id    uuid NOT NULL,
  person_id    uuid NOT NULL,
  title        text NOT NULL,
  next_ordinal bigint NOT NULL,
  seq          bigint NOT NULL,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  deleted_at   timestamptz,
  purged_at    timestamptz,
  PRIMARY KEY (id, tenant_id)
);
CREATE UNIQUE INDEX conversation_seq ON conversation (tenant_id, person_id, seq);
CREATE INDEX conversation_recent ON conversation (tenant_id, person_id, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX conversation_unpurged ON conversation (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

CREATE TABLE message (
  id              uuid NOT NULL,
  tenant_id       uuid NOT NULL,
  conversation_id uuid NOT NULL,
  person_id       uuid NOT NULL,
  role            text NOT NULL CHECK (role IN ('user', 'assistant')),
  status          text NOT NULL CHECK (status IN ('streaming', 'final', 'stopped', 'interrupted', 'failed')),
  content         text NOT NULL,
  ordinal         bigint NOT NULL,
  seq             bigint NOT NULL,
  provider        text,
  model           text,
  input_tokens    bigint,
  output_tokens   bigint,
  error_code      text,
  error_detail    text,
  created_at      timestamptz NOT NULL,
  settled_at      timestamptz,
  PRIMARY KEY (id, tenant_id)
);
CREATE UNIQUE INDEX message_seq ON message (tenant_id, person_id, seq);
CREATE UNIQUE INDEX message_ordinal ON message (tenant_id, conversation_id, ordinal);

CREATE TABLE generation (
  id                uuid NOT NULL,
  tenant_id         uuid NOT NULL,
  person_id         uuid NOT NULL,
  lease             bigint NOT NULL,
  text              text NOT NULL,
  started_at        timestamptz NOT NULL,
  stop_requested_at timestamptz,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX generation_lease ON generation (lease);

-- Tenant tables: a row is visible only to a transaction that named its organisation.

ALTER TABLE stream ENABLE ROW LEVEL SECURITY;
ALTER TABLE stream FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON stream TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON stream TO mainstay_app;

ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO mainstay_app;

ALTER TABLE conversation ENABLE ROW LEVEL SECURITY;
ALTER TABLE conversation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON conversation TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON conversation TO mainstay_app;

ALTER TABLE message ENABLE ROW LEVEL SECURITY;
ALTER TABLE message FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON message TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON message TO mainstay_app;

ALTER TABLE generation ENABLE ROW LEVEL SECURITY;
ALTER TABLE generation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON generation TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON generation TO mainstay_app;

-- What the system's role may see across organisations: which replies lost their node, which conversations are to be
-- purged, which idempotency keys are old. Never a text.
CREATE POLICY system ON generation TO mainstay_system USING (true);
GRANT SELECT (id, tenant_id, lease) ON generation TO mainstay_system;
CREATE POLICY system ON conversation TO mainstay_system USING (true);
GRANT SELECT (id, tenant_id, deleted_at, purged_at) ON conversation TO mainstay_system;
CREATE POLICY system ON idempotency TO mainstay_system USING (true);
GRANT SELECT (tenant_id, person_id, key, created_at), DELETE ON idempotency TO mainstay_system;
