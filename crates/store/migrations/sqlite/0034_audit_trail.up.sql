-- The audit trail: who has signed in and who has changed what, one entry after the other. Each organisation has a chain of its
-- own; that of the installation has the id zero. An entry's digest covers the one before, so that none can be changed, taken
-- out or put in between. It covers what the entry says by a digest of its own: what is said of a person can be taken away, and
-- the chain still holds.

CREATE TABLE audit_trail (
  tenant_id    BLOB NOT NULL PRIMARY KEY,
  -- The last entry.
  position     INTEGER NOT NULL,
  digest       BLOB NOT NULL,
  -- The last of those that were too old and are gone.
  floor        INTEGER NOT NULL,
  floor_digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_event (
  tenant_id      BLOB NOT NULL,
  position       INTEGER NOT NULL,
  at             INTEGER NOT NULL,
  action         TEXT NOT NULL,
  -- Who, of what and where from, as JSON, and the chance that its digest is made with; nothing when it was erased.
  content        TEXT,
  salt           BLOB,
  content_digest BLOB NOT NULL,
  digest         BLOB NOT NULL,
  PRIMARY KEY (tenant_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_event_age ON audit_event (at);
