ALTER TABLE phone_agent DROP COLUMN mask;
DELETE FROM access_log WHERE what = 'calls';
ALTER TABLE access_log DROP CONSTRAINT access_log_what_check;
ALTER TABLE access_log ADD CONSTRAINT access_log_what_check CHECK (what IN ('call', 'contact', 'contacts'));
DROP INDEX phone_call_not_indexed;
ALTER TABLE phone_call DROP COLUMN indexed;
DROP TABLE phone_call_term;
ALTER TABLE generation DROP COLUMN tools;
ALTER TABLE message DROP COLUMN tools;
