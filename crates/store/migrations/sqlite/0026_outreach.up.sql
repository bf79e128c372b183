-- Outreach: campaigns, whom they write to, the accounts that send, the emails, and who wants none.

-- A campaign: what is written to its leads, and when.
CREATE TABLE campaign (
  id             BLOB NOT NULL,
  tenant_id      BLOB NOT NULL,
  name           TEXT NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('draft', 'running', 'paused', 'stopped')),
  -- Where its days are counted for leads of which nobody knows the zone (IANA).
  zone           TEXT NOT NULL,
  -- When it may send, such as mon-fri 09:00-17:00.
  sending_window TEXT NOT NULL,
  -- Nothing is sent before this.
  starts_at      INTEGER,
  track_opens    INTEGER NOT NULL,
  track_clicks   INTEGER NOT NULL,
  -- Whether a lead that answers is written to no more.
  stop_on_reply  INTEGER NOT NULL,
  launched_at    INTEGER,
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX campaign_list ON campaign (tenant_id, created_at, id);

-- A step of a campaign: how long after the one before it is sent.
CREATE TABLE campaign_step (
  campaign_id BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  -- From 1.
  step        INTEGER NOT NULL,
  -- Calendar days at the hour of the one before, then hours.
  delay_days  INTEGER NOT NULL,
  delay_hours INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, step, tenant_id)
) STRICT, WITHOUT ROWID;

-- One of the texts that a step may have. It never changes: who writes it anew retires it and adds another.
CREATE TABLE step_variant (
  id          BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  campaign_id BLOB NOT NULL,
  step        INTEGER NOT NULL,
  -- What it is called within the step: A, B ...
  name        TEXT NOT NULL,
  -- Its share among those of the step that are not retired.
  weight      INTEGER NOT NULL,
  subject     TEXT NOT NULL,
  -- The plain text.
  body        TEXT NOT NULL,
  -- The same as HTML; nothing for mail in plain text alone.
  html        TEXT,
  retired     INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX step_variant_of_campaign ON step_variant (campaign_id, tenant_id);
CREATE UNIQUE INDEX step_variant_name ON step_variant (campaign_id, step, name, tenant_id) WHERE retired = 0;

-- The zones that leads of a campaign live in: a claim asks for those whose window is open.
CREATE TABLE campaign_zone (
  campaign_id BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  zone        TEXT NOT NULL,
  PRIMARY KEY (campaign_id, zone, tenant_id)
) STRICT, WITHOUT ROWID;

-- An account that emails are sent by.
CREATE TABLE sending_account (
  id                BLOB NOT NULL,
  tenant_id         BLOB NOT NULL,
  -- The address that it sends from, and the name beside it.
  address           TEXT NOT NULL,
  sender_name       TEXT NOT NULL,
  -- Where answers go; nothing for the address itself.
  reply_to          TEXT,
  kind              TEXT NOT NULL CHECK (kind IN ('smtp', 'gmail')),
  -- The server, for SMTP.
  host              TEXT NOT NULL,
  port              INTEGER NOT NULL,
  security          TEXT NOT NULL CHECK (security IN ('none', 'start_tls', 'tls')),
  user_name         TEXT NOT NULL,
  -- The password, or the refresh token; sealed. Nothing where none is needed.
  secret            TEXT,
  -- What mail is signed with: the selector, the domain and the key (sealed); nothing where the provider signs.
  dkim_selector     TEXT,
  dkim_domain       TEXT,
  dkim_key          TEXT,
  state             TEXT NOT NULL CHECK (state IN ('active', 'paused', 'reconnect')),
  -- Why it does not send, for people.
  reason            TEXT,
  -- The most emails in any 24 hours.
  daily_cap         INTEGER NOT NULL,
  -- The cap of the first day, and what each day adds to it, while it warms up.
  ramp_start        INTEGER NOT NULL,
  ramp_step         INTEGER NOT NULL,
  -- When it began to warm up; nothing when it does not.
  ramp_from         INTEGER,
  -- The least milliseconds between two emails, and between two to one domain.
  gap_millis        INTEGER NOT NULL,
  domain_gap_millis INTEGER NOT NULL,
  -- How many connections it may have at once.
  connections       INTEGER NOT NULL,
  -- Counted up by whoever begins to work on it: what an older run holds it no longer may send.
  run               INTEGER NOT NULL,
  -- Counted up by whoever gives it something to do.
  wakes             INTEGER NOT NULL,
  -- No email before this.
  next_at           INTEGER NOT NULL,
  -- Of what it has sent: taken by a server, came back for good, called junk; since it was last told to send.
  sent              INTEGER NOT NULL,
  bounced           INTEGER NOT NULL,
  complained        INTEGER NOT NULL,
  created_at        INTEGER NOT NULL,
  updated_at        INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id),
  CONSTRAINT sending_account_once UNIQUE (tenant_id, address)
) STRICT, WITHOUT ROWID;
CREATE INDEX sending_account_list ON sending_account (tenant_id, created_at, id);
CREATE INDEX sending_account_secret_mark ON sending_account (substr(secret, 1, 17), tenant_id, id);
CREATE INDEX sending_account_secret_plain ON sending_account (tenant_id, id) WHERE substr(secret, 1, 8) <> 'sealed1:';
CREATE INDEX sending_account_dkim_key_mark ON sending_account (substr(dkim_key, 1, 17), tenant_id, id);
CREATE INDEX sending_account_dkim_key_plain ON sending_account (tenant_id, id) WHERE substr(dkim_key, 1, 8) <> 'sealed1:';

-- Which accounts send for a campaign.
CREATE TABLE campaign_account (
  campaign_id BLOB NOT NULL,
  account_id  BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  PRIMARY KEY (campaign_id, account_id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX campaign_account_of_account ON campaign_account (account_id, tenant_id);

-- How many emails an account has sent, by five minutes: what its cap over 24 hours is reckoned from.
CREATE TABLE account_bucket (
  account_id BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  -- Five minutes since 1970.
  bucket     INTEGER NOT NULL,
  sent       INTEGER NOT NULL,
  PRIMARY KEY (account_id, bucket, tenant_id)
) STRICT, WITHOUT ROWID;

-- When an account may write to a domain again.
CREATE TABLE account_domain (
  account_id BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  domain     TEXT NOT NULL,
  next_at    INTEGER NOT NULL,
  PRIMARY KEY (account_id, domain, tenant_id)
) STRICT, WITHOUT ROWID;

-- Somebody that a campaign writes to. There is one for each address.
CREATE TABLE lead (
  id          BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  campaign_id BLOB NOT NULL,
  -- As it identifies them: trimmed, lower case.
  address     TEXT NOT NULL CHECK (address = lower(address) AND length(address) <= 254 AND address GLOB '?*@?*'
                AND address NOT GLOB '*@*@*' AND address NOT GLOB '*[ 	

<>,;]*'),
  domain      TEXT NOT NULL,
  -- What templates may name: an object of texts, as JSON.
  fields      TEXT NOT NULL,
  -- Where they live (IANA).
  zone        TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('new', 'active', 'finished', 'replied', 'unsubscribed', 'bounced', 'complained',
                'stopped')),
  -- The last step that there is an email for; 0 before the first.
  step        INTEGER NOT NULL,
  -- What writes to them from the first email on.
  account_id  BLOB,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id),
  CONSTRAINT lead_once UNIQUE (tenant_id, campaign_id, address)
) STRICT, WITHOUT ROWID;
-- Those that nothing was written to yet, by the zone that they live in: what a claim takes from.
CREATE INDEX lead_new ON lead (tenant_id, campaign_id, zone, id) WHERE state = 'new';
CREATE INDEX lead_list ON lead (tenant_id, campaign_id, id);
CREATE INDEX lead_of_address ON lead (tenant_id, address);
CREATE INDEX lead_of_domain ON lead (tenant_id, domain);

-- An email of a campaign to a lead. There is one for each step.
CREATE TABLE email (
  id                 BLOB NOT NULL,
  tenant_id          BLOB NOT NULL,
  campaign_id        BLOB NOT NULL,
  lead_id            BLOB NOT NULL,
  step               INTEGER NOT NULL,
  variant_id         BLOB NOT NULL,
  account_id         BLOB NOT NULL,
  -- Whom it goes to, and where they live, as it was when it was made.
  address            TEXT NOT NULL,
  domain             TEXT NOT NULL,
  zone               TEXT NOT NULL,
  -- Fixed when the row is made, and the same whatever happens to it (RFC 5322).
  message_id         TEXT NOT NULL,
  state              TEXT NOT NULL CHECK (state IN ('scheduled', 'claimed', 'in_flight', 'accepted', 'rejected', 'unknown', 'cancelled')),
  due_at             INTEGER NOT NULL,
  -- Whether its turn within the domain was taken already.
  in_turn            INTEGER NOT NULL,
  -- How often it was offered to a server.
  attempts           INTEGER NOT NULL,
  -- The run of the account that has it, while one has.
  run                INTEGER NOT NULL,
  -- When it was last about to go out, and that day (since 1970); 0 for what never was.
  fenced_at          INTEGER,
  day                INTEGER NOT NULL,
  accepted_at        INTEGER,
  -- What the server said: its code, the enhanced one (RFC 3463), its words.
  code               INTEGER,
  enhanced           TEXT,
  said               TEXT,
  -- The id that the provider gave it, and its thread there.
  provider_id        TEXT,
  thread             TEXT,
  -- The first time that somebody opened it, that a machine did; the same of its links.
  opened_at          INTEGER,
  machine_opened_at  INTEGER,
  clicked_at         INTEGER,
  machine_clicked_at INTEGER,
  replied_at         INTEGER,
  bounced_at         INTEGER,
  complained_at      INTEGER,
  unsubscribed_at    INTEGER,
  converted_at       INTEGER,
  created_at         INTEGER NOT NULL,
  updated_at         INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id),
  CONSTRAINT email_once UNIQUE (tenant_id, campaign_id, lead_id, step),
  CONSTRAINT email_message_id UNIQUE (tenant_id, message_id)
) STRICT, WITHOUT ROWID;
-- What is to be sent, as a claim looks for it.
CREATE INDEX email_due ON email (tenant_id, account_id, campaign_id, zone, due_at) WHERE state = 'scheduled';
-- What a run has.
CREATE INDEX email_held ON email (account_id, tenant_id) WHERE state IN ('claimed', 'in_flight');
CREATE INDEX email_list ON email (tenant_id, campaign_id, id);
CREATE INDEX email_all ON email (tenant_id, id);
CREATE INDEX email_in_state ON email (tenant_id, state, id) WHERE state IN ('rejected', 'unknown');
CREATE INDEX email_of_address ON email (tenant_id, address);

-- How many rows there are of each kind: of emails in a state, or with something that became of them; of leads in a state.
CREATE TABLE outreach_figure (
  campaign_id BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  -- 0 for leads.
  step        INTEGER NOT NULL,
  -- The nil UUID for leads.
  variant_id  BLOB NOT NULL,
  account_id  BLOB NOT NULL,
  -- The day on which an email last went out; 0 for what did not, and for leads.
  day         INTEGER NOT NULL,
  kind        TEXT NOT NULL,
  number      INTEGER NOT NULL,
  PRIMARY KEY (campaign_id, step, variant_id, account_id, day, kind, tenant_id)
) STRICT, WITHOUT ROWID;

-- Whom nobody of the organisation writes to: an address, or a whole domain as @example.com.
CREATE TABLE suppression (
  subject    TEXT NOT NULL,
  tenant_id  BLOB NOT NULL,
  reason     TEXT NOT NULL CHECK (reason IN ('unsubscribed', 'bounced', 'complained', 'manual')),
  -- The email that it came of, where it came of one.
  email_id   BLOB,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (subject, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX suppression_list ON suppression (tenant_id, created_at, subject);
