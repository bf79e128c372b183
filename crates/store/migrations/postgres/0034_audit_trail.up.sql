-- The audit trail: who has signed in and who has changed what, one entry after the other. Each organisation has a chain of its
-- own; that of the installation has the id zero. An entry's digest covers the one before, so that none can be changed, taken
-- out or put in between. It covers what the entry says by a digest of its own: what is said of a person can be taken away, and
-- the chain still holds.

CREATE TABLE audit_trail (
  tenant_id    uuid NOT NULL PRIMARY KEY,
  -- The last entry.
  position     bigint NOT NULL,
  digest       bytea NOT NULL,
  -- The last of those that were too old and are gone.
  floor        bigint NOT NULL,
  floor_digest bytea NOT NULL
);

CREATE TABLE audit_event (
  tenant_id      uuid NOT NULL,
  position       bigint NOT NULL,
  at             timestamptz NOT NULL,
  action         text NOT NULL,
  -- Who, of what and where from, as JSON, and the chance that its digest is made with; nothing when it was erased.
  content        text,
  salt           bytea,
  content_digest bytea NOT NULL,
  digest         bytea NOT NULL,
  PRIMARY KEY (tenant_id, position)
);
CREATE INDEX audit_event_age ON audit_event (at);

-- Tenant tables: an entry is written by the transaction that it tells of, in the name of its organisation. Nothing is ever
-- changed but by an erasure, which takes away what is said.
ALTER TABLE audit_trail ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_trail FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_trail TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON audit_trail FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON audit_trail FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE ON audit_trail TO mainstay_app;
GRANT SELECT, INSERT, UPDATE ON audit_trail TO mainstay_system;

ALTER TABLE audit_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_event TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON audit_event FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON audit_event FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT ON audit_event TO mainstay_app;
GRANT SELECT, INSERT, DELETE ON audit_event TO mainstay_system;
