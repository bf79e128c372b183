-- Calendars of others: Google's both ways, and feeds for everybody else.

-- The calendar of a member of the staff at Google.
CREATE TABLE calendar_connection (
  id                 uuid NOT NULL,
  tenant_id          uuid NOT NULL,
  staff_id           uuid NOT NULL,
  -- Whose account it is, by its address.
  account            text NOT NULL,
  -- Which of the account's calendars, by Google's id of it.
  calendar           text NOT NULL,
  -- The refresh token, sealed.
  token              text NOT NULL,
  state              text NOT NULL CHECK (state IN ('connected', 'reconnect')),
  -- From where the next reading goes on.
  sync_token         text,
  -- Counted up by whatever says that there is something to read; and the number that the last reading began with.
  wanted             bigint NOT NULL,
  synced             bigint NOT NULL,
  synced_at          timestamptz,
  -- When all of it was read last.
  full_at            timestamptz,
  -- What went wrong last, and since when something does.
  error              text,
  failing_since      timestamptz,
  -- The channel that Google notifies by.
  channel_id         uuid,
  channel_resource   text,
  channel_hash       text,
  channel_expires_at timestamptz,
  -- When a reading began last.
  looked_at          timestamptz NOT NULL,
  created_at         timestamptz NOT NULL,
  updated_at         timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id),
  FOREIGN KEY (staff_id, tenant_id) REFERENCES staff (id, tenant_id)
);
CREATE UNIQUE INDEX calendar_connection_of ON calendar_connection (tenant_id, staff_id);
-- Which are to be looked after, the longest unread first.
CREATE INDEX calendar_connection_due ON calendar_connection (state, looked_at);
CREATE INDEX calendar_connection_failing ON calendar_connection (failing_since) WHERE failing_since IS NOT NULL;
-- What a key has sealed, and what is not sealed.
CREATE INDEX calendar_connection_sealed ON calendar_connection (substr(token, 1, 17), tenant_id, id);
CREATE INDEX calendar_connection_plain ON calendar_connection (tenant_id, id) WHERE substr(token, 1, 8) <> 'sealed1:';
ALTER TABLE calendar_connection ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_connection FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_connection TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON calendar_connection FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON calendar_connection FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_connection TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_connection TO mainstay_system;

-- Somebody is on the way to Google to connect a calendar.
CREATE TABLE calendar_sign_in (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  -- Who asked, and only they may finish it.
  person_id  uuid NOT NULL,
  staff_id   uuid NOT NULL,
  -- SHA-256 of the secret that comes back with them.
  hash       text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX calendar_sign_in_expired ON calendar_sign_in (tenant_id, expires_at);
ALTER TABLE calendar_sign_in ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_sign_in FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_sign_in TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON calendar_sign_in FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON calendar_sign_in FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, DELETE ON calendar_sign_in TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_sign_in TO mainstay_system;

-- What is owed to a calendar for an appointment, and what is known to stand there.
CREATE TABLE calendar_entry (
  appointment_id uuid NOT NULL,
  connection_id  uuid NOT NULL,
  tenant_id      uuid NOT NULL,
  -- How many ids of events have been used up before the present one.
  generation     bigint NOT NULL,
  -- Whether the event is there, its version, and its times as they were last written or taken over.
  present        bigint NOT NULL,
  etag           text,
  wrote_from     timestamptz,
  wrote_until    timestamptz,
  -- Counted up with each change of the appointment; and the number of the change that is there.
  wanted         bigint NOT NULL,
  written        bigint NOT NULL,
  written_at     timestamptz,
  -- Since when the one is behind the other.
  owed_since     timestamptz,
  PRIMARY KEY (appointment_id, connection_id, tenant_id),
  FOREIGN KEY (connection_id, tenant_id) REFERENCES calendar_connection (id, tenant_id),
  FOREIGN KEY (appointment_id, tenant_id) REFERENCES appointment (id, tenant_id),
  CHECK (written <= wanted AND (written = wanted) = (owed_since IS NULL))
);
CREATE INDEX calendar_entry_of ON calendar_entry (tenant_id, connection_id, wrote_until, appointment_id);
CREATE INDEX calendar_entry_owed_to ON calendar_entry (tenant_id, connection_id, owed_since) WHERE owed_since IS NOT NULL;
CREATE INDEX calendar_entry_owed ON calendar_entry (owed_since) WHERE owed_since IS NOT NULL;
ALTER TABLE calendar_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_entry FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_entry TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON calendar_entry FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON calendar_entry FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_entry TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_entry TO mainstay_system;

-- Time that is taken by something else in a calendar. What it is stays there.
CREATE TABLE calendar_busy (
  connection_id uuid NOT NULL,
  event_id      text NOT NULL,
  tenant_id     uuid NOT NULL,
  staff_id      uuid NOT NULL,
  busy_from     timestamptz NOT NULL,
  busy_until    timestamptz NOT NULL,
  PRIMARY KEY (connection_id, event_id, tenant_id),
  FOREIGN KEY (connection_id, tenant_id) REFERENCES calendar_connection (id, tenant_id),
  CHECK (busy_from < busy_until)
);
CREATE INDEX calendar_busy_taken ON calendar_busy (tenant_id, staff_id, busy_until, busy_from);
ALTER TABLE calendar_busy ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_busy FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_busy TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON calendar_busy FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON calendar_busy FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_busy TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_busy TO mainstay_system;

-- Where a calendar says something else than the reception does.
CREATE TABLE calendar_conflict (
  id             uuid NOT NULL,
  tenant_id      uuid NOT NULL,
  connection_id  uuid NOT NULL,
  appointment_id uuid NOT NULL,
  staff_id       uuid NOT NULL,
  -- The event was moved to a time that cannot be had, was deleted, or something else lies over the appointment.
  kind           text NOT NULL CHECK (kind IN ('moved', 'deleted', 'busy')),
  event_id       text NOT NULL,
  theirs_from    timestamptz,
  theirs_until   timestamptz,
  ours_from      timestamptz NOT NULL,
  ours_until     timestamptz NOT NULL,
  found_at       timestamptz NOT NULL,
  resolved_at    timestamptz,
  resolution     text CHECK (resolution IN ('ours', 'theirs', 'seen', 'overtaken')),
  PRIMARY KEY (id, tenant_id),
  FOREIGN KEY (appointment_id, tenant_id) REFERENCES appointment (id, tenant_id),
  CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);
CREATE UNIQUE INDEX calendar_conflict_open ON calendar_conflict (tenant_id, appointment_id, event_id) WHERE resolved_at IS NULL;
CREATE INDEX calendar_conflict_list ON calendar_conflict (tenant_id, found_at, id) WHERE resolved_at IS NULL;
CREATE INDEX calendar_conflict_of ON calendar_conflict (tenant_id, connection_id, event_id);
-- What is forgotten when it has been kept for long enough.
CREATE INDEX calendar_conflict_over ON calendar_conflict (tenant_id, connection_id, resolved_at) WHERE resolved_at IS NOT NULL;
ALTER TABLE calendar_conflict ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_conflict FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_conflict TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON calendar_conflict FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON calendar_conflict FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_conflict TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_conflict TO mainstay_system;

-- A calendar that other programs read by a secret address.
CREATE TABLE calendar_feed (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  -- Whose appointments; nothing for everybody's.
  staff_id   uuid,
  name       text NOT NULL,
  -- SHA-256 of the secret in its address.
  hash       text NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX calendar_feed_list ON calendar_feed (tenant_id, created_at, id);
ALTER TABLE calendar_feed ENABLE ROW LEVEL SECURITY;
ALTER TABLE calendar_feed FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON calendar_feed TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON calendar_feed FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON calendar_feed FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, DELETE ON calendar_feed TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON calendar_feed TO mainstay_system;
