-- The mailboxes that answers, bounces and complaints come into.

-- Where an account reads what comes back; it has the id of the account.
CREATE TABLE mailbox (
  id           uuid NOT NULL,
  tenant_id    uuid NOT NULL,
  host         text NOT NULL,
  port         bigint NOT NULL,
  security     text NOT NULL CHECK (security IN ('none', 'start_tls', 'tls')),
  user_name    text NOT NULL,
  -- The password; sealed.
  secret       text NOT NULL,
  folder       text NOT NULL,
  state        text NOT NULL CHECK (state IN ('active', 'reconnect')),
  -- Why it is not read, for people.
  reason       text,
  -- What is read: the validity of the numbers of messages (RFC 3501, section 2.3.1.1), and the last number.
  uid_validity bigint,
  last_uid     bigint NOT NULL,
  -- When it was last read to its end.
  looked_at    timestamptz,
  created_at   timestamptz NOT NULL,
  updated_at   timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX mailbox_secret_mark ON mailbox (substr(secret, 1, 17), tenant_id, id);
CREATE INDEX mailbox_secret_plain ON mailbox (tenant_id, id) WHERE substr(secret, 1, 8) <> 'sealed1:';
ALTER TABLE mailbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE mailbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON mailbox TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON mailbox FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON mailbox FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON mailbox TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON mailbox TO mainstay_system;
-- What nobody knows of an account is looked for in its mailbox.
CREATE INDEX email_unknown_of_account ON email (tenant_id, account_id, id) WHERE state = 'unknown';

-- The address of whoever sends, which the law of many countries wants to stand in each email.
ALTER TABLE campaign ADD COLUMN postal_address text;
