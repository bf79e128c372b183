-- Calls: what happened in them, what came of them, and what is left to do; and the board that whoever watches looks at.

-- Counts what happens at the reception. It is one small row that syncs, so that whoever watches knows when to look again.
CREATE TABLE board (
  tenant_id    BLOB NOT NULL,
  -- Under which it syncs.
  id           BLOB NOT NULL,
  -- Its place in the stream of the organisation; 0 before it has one.
  seq          INTEGER NOT NULL,
  appointments INTEGER NOT NULL,
  calls        INTEGER NOT NULL,
  PRIMARY KEY (tenant_id)
) STRICT, WITHOUT ROWID;

-- A call, of which several events tell in any order.
CREATE TABLE phone_call (
  id            BLOB NOT NULL,
  tenant_id     BLOB NOT NULL,
  -- The provider's id of it.
  provider_id   TEXT NOT NULL,
  direction     TEXT NOT NULL CHECK (direction IN ('inbound', 'outbound', 'web')),
  state         TEXT NOT NULL CHECK (state IN ('scheduled', 'queued', 'ringing', 'in_progress', 'forwarding', 'ended', 'lost')),
  -- Who called, or was called (E.164), and who that is.
  number        TEXT,
  contact_id    BLOB,
  started_at    INTEGER,
  ended_at      INTEGER,
  -- When something of it was last told, by the clock of whoever told it.
  heard_at      INTEGER NOT NULL,
  ended_reason  TEXT,
  -- When the report came that is made after a call. Everything below is from it.
  reported_at   INTEGER,
  summary       TEXT,
  -- What was said, as JSON: who, what, and when after the beginning.
  transcript    TEXT,
  recording_url TEXT,
  -- In millionths of a dollar.
  cost_micros   INTEGER,
  -- The most that the agent did in it.
  outcome       TEXT,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX phone_call_provider ON phone_call (tenant_id, provider_id);
CREATE INDEX phone_call_list ON phone_call (tenant_id, created_at, id);
CREATE INDEX phone_call_of_contact ON phone_call (tenant_id, contact_id, created_at, id);
CREATE INDEX phone_call_live ON phone_call (tenant_id, heard_at, id) WHERE state NOT IN ('ended', 'lost');
CREATE INDEX phone_call_silent ON phone_call (heard_at, id) WHERE state NOT IN ('ended', 'lost');

-- Who answers the phone of an organisation, and for how long calls are kept.
CREATE TABLE phone_agent (
  tenant_id       BLOB NOT NULL,
  -- The provider's id of an assistant that was made there; nothing for one that is described here.
  assistant_id    TEXT,
  greeting        TEXT NOT NULL,
  instructions    TEXT NOT NULL,
  -- To whom callers are passed on (E.164).
  transfer_number TEXT,
  keep_days       INTEGER NOT NULL,
  updated_at      INTEGER NOT NULL,
  PRIMARY KEY (tenant_id)
) STRICT, WITHOUT ROWID;

-- What the agent did in a call: one row for each use of a tool.
CREATE TABLE phone_call_action (
  id             BLOB NOT NULL,
  tenant_id      BLOB NOT NULL,
  call_id        BLOB NOT NULL,
  tool           TEXT NOT NULL,
  -- What came of it: a word.
  outcome        TEXT NOT NULL,
  -- What the caller was told.
  answer         TEXT NOT NULL,
  appointment_id BLOB,
  created_at     INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX phone_call_action_of_call ON phone_call_action (tenant_id, call_id, created_at, id);

-- What a caller wants somebody to know.
CREATE TABLE phone_message (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  call_id    BLOB,
  contact_id BLOB,
  name       TEXT NOT NULL,
  phone      TEXT,
  body       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  -- When somebody took care of it, and who.
  handled_at INTEGER,
  handled_by BLOB,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX phone_message_of_contact ON phone_message (tenant_id, contact_id);
CREATE INDEX phone_message_list ON phone_message (tenant_id, created_at, id);

-- Who has read what is said in confidence: transcripts, recordings, contacts.
CREATE TABLE access_log (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  person_id  BLOB NOT NULL,
  what       TEXT NOT NULL CHECK (what IN ('call', 'contact', 'contacts')),
  -- Which one; nothing for a list.
  subject_id BLOB,
  at         INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX access_log_list ON access_log (tenant_id, at, id);
