-- Recordings of what the pages of the console looked like, without what stood in them: of people who have agreed to it.

-- Who has agreed, and how many recordings of theirs were begun on a day (of the days since 1970).
CREATE TABLE replay_consent (
  tenant_id BLOB NOT NULL,
  person_id BLOB NOT NULL,
  given_at  INTEGER NOT NULL,
  day       INTEGER NOT NULL,
  begun     INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, person_id)
) STRICT, WITHOUT ROWID;

-- One recording: of one page, from its loading on.
CREATE TABLE replay (
  id        BLOB NOT NULL,
  tenant_id BLOB NOT NULL,
  person_id BLOB NOT NULL,
  page      TEXT NOT NULL,
  version   TEXT NOT NULL,
  -- Why it was sent.
  reason    TEXT NOT NULL CHECK (reason IN ('sampled', 'error')),
  begun_at  INTEGER NOT NULL,
  last_at   INTEGER NOT NULL,
  -- By the clock of the browser, in milliseconds since 1970.
  first_ms  INTEGER NOT NULL,
  last_ms   INTEGER NOT NULL,
  chunks    INTEGER NOT NULL,
  bytes     INTEGER NOT NULL,
  errors    INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_of_person ON replay (tenant_id, person_id);
CREATE INDEX replay_list ON replay (begun_at, id);
CREATE INDEX replay_with_errors ON replay (begun_at, id) WHERE errors > 0;
-- What is old, and how much there is.
CREATE INDEX replay_age ON replay (last_at, bytes);

-- Its events, as they came: JSON arrays. They go with it.
CREATE TABLE replay_chunk (
  tenant_id BLOB NOT NULL,
  replay_id BLOB NOT NULL,
  number    INTEGER NOT NULL,
  events    TEXT NOT NULL,
  PRIMARY KEY (tenant_id, replay_id, number),
  FOREIGN KEY (replay_id, tenant_id) REFERENCES replay (id, tenant_id) ON DELETE CASCADE
) STRICT;

-- Whoever looks at one is noted.
CREATE TABLE access_log_new (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  person_id  BLOB NOT NULL,
  what       TEXT NOT NULL CHECK (what IN ('call', 'calls', 'contact', 'contacts', 'replay')),
  -- Which one; nothing for a list.
  subject_id BLOB,
  at         INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
INSERT INTO access_log_new SELECT id, tenant_id, person_id, what, subject_id, at FROM access_log WHERE what IN ('call', 'calls', 'contact', 'contacts', 'replay');
DROP TABLE access_log;
ALTER TABLE access_log_new RENAME TO access_log;
CREATE INDEX access_log_list ON access_log (tenant_id, at, id);
