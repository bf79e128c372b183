-- The inbox of webhooks: who may send, what has arrived, and what is known of each thing that events tell about.

CREATE TABLE inbox_source (
  id          BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  name        TEXT NOT NULL,
  provider    TEXT NOT NULL,
  -- How the sender proves who it is, with the secrets for it, as JSON.
  scheme      TEXT NOT NULL,
  -- The end of its address.
  key         TEXT NOT NULL,
  created_at  INTEGER NOT NULL,
  disabled_at INTEGER,
  PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_source_age ON inbox_source (tenant_id, created_at, id);

-- Whose an address is: asked before the organisation is known.
CREATE TABLE inbox_key (
  key       TEXT NOT NULL PRIMARY KEY,
  tenant_id BLOB NOT NULL,
  source_id BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- An event as it arrived. It never changes; what became of it is in its job, which has the same id. The installation's own
-- events have the nil UUID for their organisation. What is read most stands before the payload, which may be long.
CREATE TABLE inbox_event (
  id          BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  source_id   BLOB NOT NULL,
  provider    TEXT NOT NULL,
  -- What the same event has when it arrives again.
  identity    TEXT NOT NULL,
  kind        TEXT NOT NULL,
  -- When what it tells was so, by the sender's clock.
  version     INTEGER,
  received_at INTEGER NOT NULL,
  payload     TEXT NOT NULL,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (source_id, tenant_id, identity)
) STRICT;
CREATE INDEX inbox_event_age ON inbox_event (received_at);

-- The newest event of each thing, by the events' own version.
CREATE TABLE inbox_subject (
  tenant_id  BLOB NOT NULL,
  source_id  BLOB NOT NULL,
  subject    TEXT NOT NULL,
  version    INTEGER NOT NULL,
  identity   TEXT NOT NULL,
  event_id   BLOB NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, source_id, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_subject_age ON inbox_subject (updated_at);
