ALTER TABLE mailbox DROP COLUMN history_id;
DROP INDEX email_thread;
DROP INDEX email_sent_message_id;
ALTER TABLE email DROP COLUMN sent_message_id;
