-- Calendars of others: Google's both ways, and feeds for everybody else.

-- The calendar of a member of the staff at Google.
CREATE TABLE calendar_connection (
  id                 BLOB NOT NULL,
  tenant_id          BLOB NOT NULL,
  staff_id           BLOB NOT NULL,
  -- Whose account it is, by its address.
  account            TEXT NOT NULL,
  -- Which of the account's calendars, by Google's id of it.
  calendar           TEXT NOT NULL,
  -- The refresh token, sealed.
  token              TEXT NOT NULL,
  state              TEXT NOT NULL CHECK (state IN ('connected', 'reconnect')),
  -- From where the next reading goes on.
  sync_token         TEXT,
  -- Counted up by whatever says that there is something to read; and the number that the last reading began with.
  wanted             INTEGER NOT NULL,
  synced             INTEGER NOT NULL,
  synced_at          INTEGER,
  -- When all of it was read last.
  full_at            INTEGER,
  -- What went wrong last, and since when something does.
  error              TEXT,
  failing_since      INTEGER,
  -- The channel that Google notifies by.
  channel_id         BLOB,
  channel_resource   TEXT,
  channel_hash       TEXT,
  channel_expires_at INTEGER,
  -- When a reading began last.
  looked_at          INTEGER NOT NULL,
  created_at         INTEGER NOT NULL,
  updated_at         INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id),
  FOREIGN KEY (staff_id, tenant_id) REFERENCES staff (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX calendar_connection_of ON calendar_connection (tenant_id, staff_id);
-- Which are to be looked after, the longest unread first.
CREATE INDEX calendar_connection_due ON calendar_connection (state, looked_at);
CREATE INDEX calendar_connection_failing ON calendar_connection (failing_since) WHERE failing_since IS NOT NULL;
-- What a key has sealed, and what is not sealed.
CREATE INDEX calendar_connection_sealed ON calendar_connection (substr(token, 1, 17), tenant_id, id);
CREATE INDEX calendar_connection_plain ON calendar_connection (tenant_id, id) WHERE substr(token, 1, 8) <> 'sealed1:';

-- Somebody is on the way to Google to connect a calendar.
CREATE TABLE calendar_sign_in (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  -- Who asked, and only they may finish it.
  person_id  BLOB NOT NULL,
  staff_id   BLOB NOT NULL,
  -- SHA-256 of the secret that comes back with them.
  hash       TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX calendar_sign_in_expired ON calendar_sign_in (tenant_id, expires_at);

-- What is owed to a calendar for an appointment, and what is known to stand there.
CREATE TABLE calendar_entry (
  appointment_id BLOB NOT NULL,
  connection_id  BLOB NOT NULL,
  tenant_id      BLOB NOT NULL,
  -- How many ids of events have been used up before the present one.
  generation     INTEGER NOT NULL,
  -- Whether the event is there, its version, and its times as they were last written or taken over.
  present        INTEGER NOT NULL,
  etag           TEXT,
  wrote_from     INTEGER,
  wrote_until    INTEGER,
  -- Counted up with each change of the appointment; and the number of the change that is there.
  wanted         INTEGER NOT NULL,
  written        INTEGER NOT NULL,
  written_at     INTEGER,
  -- Since when the one is behind the other.
  owed_since     INTEGER,
  PRIMARY KEY (appointment_id, connection_id, tenant_id),
  FOREIGN KEY (connection_id, tenant_id) REFERENCES calendar_connection (id, tenant_id),
  FOREIGN KEY (appointment_id, tenant_id) REFERENCES appointment (id, tenant_id),
  CHECK (written <= wanted AND (written = wanted) = (owed_since IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX calendar_entry_of ON calendar_entry (tenant_id, connection_id, wrote_until, appointment_id);
CREATE INDEX calendar_entry_owed_to ON calendar_entry (tenant_id, connection_id, owed_since) WHERE owed_since IS NOT NULL;
CREATE INDEX calendar_entry_owed ON calendar_entry (owed_since) WHERE owed_since IS NOT NULL;

-- Time that is taken by something else in a calendar. What it is stays there.
CREATE TABLE calendar_busy (
  connection_id BLOB NOT NULL,
  event_id      TEXT NOT NULL,
  tenant_id     BLOB NOT NULL,
  staff_id      BLOB NOT NULL,
  busy_from     INTEGER NOT NULL,
  busy_until    INTEGER NOT NULL,
  PRIMARY KEY (connection_id, event_id, tenant_id),
  FOREIGN KEY (connection_id, tenant_id) REFERENCES calendar_connection (id, tenant_id),
  CHECK (busy_from < busy_until)
) STRICT, WITHOUT ROWID;
CREATE INDEX calendar_busy_taken ON calendar_busy (tenant_id, staff_id, busy_until, busy_from);

-- Where a calendar says something else than the reception does.
CREATE TABLE calendar_conflict (
  id             BLOB NOT NULL,
  tenant_id      BLOB NOT NULL,
  connection_id  BLOB NOT NULL,
  appointment_id BLOB NOT NULL,
  staff_id       BLOB NOT NULL,
  -- The event was moved to a time that cannot be had, was deleted, or something else lies over the appointment.
  kind           TEXT NOT NULL CHECK (kind IN ('moved', 'deleted', 'busy')),
  event_id       TEXT NOT NULL,
  theirs_from    INTEGER,
  theirs_until   INTEGER,
  ours_from      INTEGER NOT NULL,
  ours_until     INTEGER NOT NULL,
  found_at       INTEGER NOT NULL,
  resolved_at    INTEGER,
  resolution     TEXT CHECK (resolution IN ('ours', 'theirs', 'seen', 'overtaken')),
  PRIMARY KEY (id, tenant_id),
  FOREIGN KEY (appointment_id, tenant_id) REFERENCES appointment (id, tenant_id),
  CHECK ((resolved_at IS NULL) = (resolution IS NULL))
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX calendar_conflict_open ON calendar_conflict (tenant_id, appointment_id, event_id) WHERE resolved_at IS NULL;
CREATE INDEX calendar_conflict_list ON calendar_conflict (tenant_id, found_at, id) WHERE resolved_at IS NULL;
CREATE INDEX calendar_conflict_of ON calendar_conflict (tenant_id, connection_id, event_id);
-- What is forgotten when it has been kept for long enough.
CREATE INDEX calendar_conflict_over ON calendar_conflict (tenant_id, connection_id, resolved_at) WHERE resolved_at IS NOT NULL;

-- A calendar that other programs read by a secret address.
CREATE TABLE calendar_feed (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  -- Whose appointments; nothing for everybody's.
  staff_id   BLOB,
  name       TEXT NOT NULL,
  -- SHA-256 of the secret in its address.
  hash       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX calendar_feed_list ON calendar_feed (tenant_id, created_at, id);
