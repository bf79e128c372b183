-- Conversations, messages, the replies in the making, and what clients sync by.

CREATE TABLE stream (
  stream_id BLOB NOT NULL,
  tenant_id BLOB NOT NULL,
  head      INTEGER NOT NULL,
  epoch     INTEGER NOT NULL,
  floor     INTEGER NOT NULL,
  PRIMARY KEY (stream_id, tenant_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
  tenant_id   BLOB NOT NULL,
  person_id   BLOB NOT NULL,
  key         TEXT NOT NULL,
  operation   TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  resource_id BLOB NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, person_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE conversation (
  id           BLOB NOT NULL,
  tenant_id    BLOB NOT NULL,
  person_id    BLOB NOT NULL,
  title        TEXT NOT NULL,
  next_ordinal INTEGER NOT NULL,
  seq          INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  deleted_at   INTEGER,
  purged_at    INTEGER,
  PRIMARY KEY (id, tenant_id)
) STRICT;
CREATE UNIQUE INDEX conversation_seq ON conversation (tenant_id, person_id, seq);
CREATE INDEX conversation_recent ON conversation (tenant_id, person_id, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX conversation_unpurged ON conversation (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

CREATE TABLE message (
  id              BLOB NOT NULL,
  tenant_id       BLOB NOT NULL,
  conversation_id BLOB NOT NULL,
  person_id       BLOB NOT NULL,
  role            TEXT NOT NULL CHECK (role IN ('user', 'assistant')),
  status          TEXT NOT NULL CHECK (status IN ('streaming', 'final', 'stopped', 'interrupted', 'failed')),
  content         TEXT NOT NULL,
  ordinal         INTEGER NOT NULL,
  seq             INTEGER NOT NULL,
  provider        TEXT,
  model           TEXT,
  input_tokens    INTEGER,
  output_tokens   INTEGER,
  error_code      TEXT,
  error_detail    TEXT,
  created_at      INTEGER NOT NULL,
  settled_at      INTEGER,
  PRIMARY KEY (id, tenant_id)
) STRICT;
CREATE UNIQUE INDEX message_seq ON message (tenant_id, person_id, seq);
CREATE UNIQUE INDEX message_ordinal ON message (tenant_id, conversation_id, ordinal);

CREATE TABLE generation (
  id                BLOB NOT NULL,
  tenant_id         BLOB NOT NULL,
  person_id         BLOB NOT NULL,
  lease             INTEGER NOT NULL,
  text              TEXT NOT NULL,
  started_at        INTEGER NOT NULL,
  stop_requested_at INTEGER,
  PRIMARY KEY (id, tenant_id)
) STRICT;
CREATE INDEX generation_lease ON generation (lease);
