-- Deliveries: events that organisations are told of at endpoints of their own, and what came of each attempt.

CREATE TABLE webhook_endpoint (
  id                   uuid NOT NULL,
  tenant_id            uuid NOT NULL,
  url                  text NOT NULL,
  description          text NOT NULL,
  -- A list as JSON; empty for all types.
  event_types          text NOT NULL,
  -- As JSON: the newest first, each with the moment until which it signs, or null.
  secrets              text NOT NULL,
  rate_per_minute      bigint,
  state                text NOT NULL CHECK (state IN ('enabled', 'disabled')),
  disabled_reason      text,
  disabled_at          timestamptz,
  -- Since when nothing has been taken, and how many attempts in a row have failed.
  failing_since        timestamptz,
  consecutive_failures bigint NOT NULL,
  -- How often in a row it was left alone, and until when nothing is sent. 0 while it is not the failures that are the reason.
  rests                bigint NOT NULL,
  rest_until           timestamptz,
  -- Until when one delivery tries whether it is well again.
  probe_until          timestamptz,
  created_at           timestamptz NOT NULL,
  updated_at           timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX webhook_endpoint_list ON webhook_endpoint (tenant_id, created_at, id);
CREATE INDEX webhook_endpoint_state ON webhook_endpoint (state);

-- Never changed.
CREATE TABLE webhook_event (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  kind       text NOT NULL,
  -- Its data, as JSON.
  payload    text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX webhook_event_list ON webhook_event (tenant_id, created_at, id);
CREATE INDEX webhook_event_kind ON webhook_event (tenant_id, kind);
CREATE INDEX webhook_event_age ON webhook_event (created_at);

-- The delivery of an event to an endpoint. It shares the id of its job; what a job knows is forgotten long before this is.
CREATE TABLE webhook_delivery (
  id          uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  event_id    uuid NOT NULL,
  endpoint_id uuid NOT NULL,
  kind        text NOT NULL,
  state       text NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'cancelled')),
  attempts    bigint NOT NULL,
  -- The status of the last answer, and what was wrong.
  status      bigint,
  error       text,
  -- When it is tried again.
  next_at     timestamptz,
  created_at  timestamptz NOT NULL,
  ended_at    timestamptz,
  PRIMARY KEY (id, tenant_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX webhook_delivery_list ON webhook_delivery (tenant_id, id);
CREATE INDEX webhook_delivery_endpoint ON webhook_delivery (tenant_id, endpoint_id, id);
CREATE INDEX webhook_delivery_event ON webhook_delivery (tenant_id, event_id);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (tenant_id, endpoint_id, id) WHERE state = 'pending';
CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at);

-- The log: one attempt, its request, its answer and its times.
CREATE TABLE webhook_attempt (
  delivery_id      uuid NOT NULL,
  tenant_id        uuid NOT NULL,
  number           bigint NOT NULL,
  started_at       timestamptz NOT NULL,
  took_ms          bigint NOT NULL,
  status           bigint,
  error            text,
  request_headers  text NOT NULL,
  response_headers text NOT NULL,
  -- The beginning.
  response_body    text NOT NULL,
  PRIMARY KEY (delivery_id, tenant_id, number)
);

-- Tenant tables: a row is visible only to a transaction that named its organisation. Workers end attempts in the name of
-- the organisations that they are for; only what is old or to be counted is looked for across all of them.

ALTER TABLE webhook_endpoint ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoint FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook_endpoint TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON webhook_endpoint FOR SELECT TO mainstay_system USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoint TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_endpoint TO mainstay_system;

ALTER TABLE webhook_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook_event TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON webhook_event FOR SELECT TO mainstay_system USING (true);
GRANT SELECT, INSERT ON webhook_event TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_event TO mainstay_system;

ALTER TABLE webhook_delivery ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_delivery FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook_delivery TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON webhook_delivery FOR SELECT TO mainstay_system USING (true);
GRANT SELECT, INSERT, UPDATE ON webhook_delivery TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_delivery TO mainstay_system;

ALTER TABLE webhook_attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_attempt FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON webhook_attempt TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON webhook_attempt FOR SELECT TO mainstay_system USING (true);
GRANT SELECT ON webhook_attempt TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_attempt TO mainstay_system;
