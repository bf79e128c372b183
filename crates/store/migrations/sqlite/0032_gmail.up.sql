-- Accounts that send by the Gmail API.

-- What the provider calls an email that it took under another Message-ID than ours.
ALTER TABLE email ADD COLUMN sent_message_id TEXT;
CREATE INDEX email_sent_message_id ON email (tenant_id, sent_message_id) WHERE sent_message_id IS NOT NULL;
-- What comes back into the thread of an email.
CREATE INDEX email_thread ON email (tenant_id, account_id, thread, id) WHERE thread IS NOT NULL;
-- From where a mailbox at Gmail is read on.
ALTER TABLE mailbox ADD COLUMN history_id TEXT;
