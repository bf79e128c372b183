-- The mailboxes that answers, bounces and complaints come into.

-- Where an account reads what comes back; it has the id of the account.
CREATE TABLE mailbox (
  id           BLOB NOT NULL,
  tenant_id    BLOB NOT NULL,
  host         TEXT NOT NULL,
  port         INTEGER NOT NULL,
  security     TEXT NOT NULL CHECK (security IN ('none', 'start_tls', 'tls')),
  user_name    TEXT NOT NULL,
  -- The password; sealed.
  secret       TEXT NOT NULL,
  folder       TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('active', 'reconnect')),
  -- Why it is not read, for people.
  reason       TEXT,
  -- What is read: the validity of the numbers of messages (RFC 3501, section 2.3.1.1), and the last number.
  uid_validity INTEGER,
  last_uid     INTEGER NOT NULL,
  -- When it was last read to its end.
  looked_at    INTEGER,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mailbox_secret_mark ON mailbox (substr(secret, 1, 17), tenant_id, id);
CREATE INDEX mailbox_secret_plain ON mailbox (tenant_id, id) WHERE substr(secret, 1, 8) <> 'sealed1:';
-- What nobody knows of an account is looked for in its mailbox.
CREATE INDEX email_unknown_of_account ON email (tenant_id, account_id, id) WHERE state = 'unknown';

-- The address of whoever sends, which the law of many countries wants to stand in each email.
ALTER TABLE campaign ADD COLUMN postal_address TEXT;
