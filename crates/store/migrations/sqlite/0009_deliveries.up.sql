-- Deliveries: events that organisations are told of at endpoints of their own, and what came of each attempt.

CREATE TABLE webhook_endpoint (
  id                   BLOB NOT NULL,
  tenant_id            BLOB NOT NULL,
  url                  TEXT NOT NULL,
  description          TEXT NOT NULL,
  -- A list as JSON; empty for all types.
  event_types          TEXT NOT NULL,
  -- As JSON: the newest first, each with the moment until which it signs, or null.
  secrets              TEXT NOT NULL,
  rate_per_minute      INTEGER,
  state                TEXT NOT NULL CHECK (state IN ('enabled', 'disabled')),
  disabled_reason      TEXT,
  disabled_at          INTEGER,
  -- Since when nothing has been taken, and how many attempts in a row have failed.
  failing_since        INTEGER,
  consecutive_failures INTEGER NOT NULL,
  -- How often in a row it was left alone, and until when nothing is sent. 0 while it is not the failures that are the reason.
  rests                INTEGER NOT NULL,
  rest_until           INTEGER,
  -- Until when one delivery tries whether it is well again.
  probe_until          INTEGER,
  created_at           INTEGER NOT NULL,
  updated_at           INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT;
CREATE INDEX webhook_endpoint_list ON webhook_endpoint (tenant_id, created_at, id);
CREATE INDEX webhook_endpoint_state ON webhook_endpoint (state);

-- Never changed.
CREATE TABLE webhook_event (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  kind       TEXT NOT NULL,
  -- Its data, as JSON.
  payload    TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT;
CREATE INDEX webhook_event_list ON webhook_event (tenant_id, created_at, id);
CREATE INDEX webhook_event_kind ON webhook_event (tenant_id, kind);
CREATE INDEX webhook_event_age ON webhook_event (created_at);

-- The delivery of an event to an endpoint. It shares the id of its job; what a job knows is forgotten long before this is.
CREATE TABLE webhook_delivery (
  id          BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  event_id    BLOB NOT NULL,
  endpoint_id BLOB NOT NULL,
  kind        TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled')),
  attempts    INTEGER NOT NULL,
  -- The status of the last answer, and what was wrong.
  status      INTEGER,
  error       TEXT,
  -- When it is tried again.
  next_at     INTEGER,
  created_at  INTEGER NOT NULL,
  ended_at    INTEGER,
  PRIMARY KEY (id, tenant_id)
) STRICT;
CREATE INDEX webhook_delivery_list ON webhook_delivery (tenant_id, id);
CREATE INDEX webhook_delivery_endpoint ON webhook_delivery (tenant_id, endpoint_id, id);
CREATE INDEX webhook_delivery_event ON webhook_delivery (tenant_id, event_id);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (tenant_id, endpoint_id, id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at);

-- The log: one attempt, its request, its answer and its times.
CREATE TABLE webhook_attempt (
  delivery_id      BLOB NOT NULL,
  tenant_id        BLOB NOT NULL,
  number           INTEGER NOT NULL,
  started_at       INTEGER NOT NULL,
  took_ms          INTEGER NOT NULL,
  status           INTEGER,
  error            TEXT,
  request_headers  TEXT NOT NULL,
  response_headers TEXT NOT NULL,
  -- The beginning.
  response_body    TEXT NOT NULL,
  PRIMARY KEY (delivery_id, tenant_id, number)
) STRICT;
