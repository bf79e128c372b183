DELETE FROM access_log WHERE what = 'replay';
ALTER TABLE access_log DROP CONSTRAINT access_log_what_check;
ALTER TABLE access_log ADD CONSTRAINT access_log_what_check CHECK (what IN ('call', 'calls', 'contact', 'contacts'));
DROP TABLE replay_chunk;
DROP TABLE replay;
DROP TABLE replay_consent;
