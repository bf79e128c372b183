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
DROP TABLE replay_chunk;
DROP TABLE replay;
DROP TABLE replay_consent;
