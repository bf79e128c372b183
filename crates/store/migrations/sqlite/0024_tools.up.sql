-- What the assistant did in a reply, the words that calls are found by, and what is masked in them.

-- Each use of a tool as JSON; nothing for most. What a reply in the making has done is kept with its text.
ALTER TABLE message ADD COLUMN tools TEXT;
ALTER TABLE generation ADD COLUMN tools TEXT;

-- A word of a call: of what was said, of its summary, of who called; and the ends of the caller's number.
CREATE TABLE phone_call_term (
  tenant_id  BLOB NOT NULL,
  term       TEXT NOT NULL,
  -- When the call was first heard of: calls are found the last first.
  created_at INTEGER NOT NULL,
  call_id    BLOB NOT NULL,
  PRIMARY KEY (tenant_id, term, created_at, call_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX phone_call_term_of ON phone_call_term (tenant_id, call_id);

-- Whether its words are there: 0 until they are, also for calls from before this.
ALTER TABLE phone_call ADD COLUMN indexed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX phone_call_not_indexed ON phone_call (created_at, id) WHERE indexed = 0;

-- Searches are noted, too.
CREATE TABLE access_log_new (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  person_id  BLOB NOT NULL,
  what       TEXT NOT NULL CHECK (what IN ('call', 'calls', 'contact', 'contacts')),
  -- Which one; nothing for a list.
  subject_id BLOB,
  at         INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
INSERT INTO access_log_new SELECT id, tenant_id, person_id, what, subject_id, at FROM access_log WHERE what IN ('call', 'calls', 'contact', 'contacts');
DROP TABLE access_log;
ALTER TABLE access_log_new RENAME TO access_log;
CREATE INDEX access_log_list ON access_log (tenant_id, at, id);

-- What is replaced in what was said before it is kept: words of card, email and phone.
ALTER TABLE phone_agent ADD COLUMN mask TEXT NOT NULL DEFAULT 'card';
