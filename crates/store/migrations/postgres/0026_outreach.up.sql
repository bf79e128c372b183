-- Outreach: campaigns, whom they write to, the accounts that send, the emails, and who wants none.

-- A campaign: what is written to its leads, and when.
CREATE TABLE campaign (
  id             uuid NOT NULL,
  tenant_id      uuid NOT NULL,
  name           text NOT NULL,
  state          text NOT NULL CHECK (state IN ('draft', 'running', 'paused', 'stopped')),
  -- Where its days are counted for leads of which nobody knows the zone (IANA).
  zone           text NOT NULL,
  -- When it may send, such as mon-fri 09:00-17:00.
  sending_window text NOT NULL,
  -- Nothing is sent before this.
  starts_at      timestamptz,
  track_opens    bigint NOT NULL,
  track_clicks   bigint NOT NULL,
  -- Whether a lead that answers is written to no more.
  stop_on_reply  bigint NOT NULL,
  launched_at    timestamptz,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX campaign_list ON campaign (tenant_id, created_at, id);
ALTER TABLE campaign ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaign FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaign TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON campaign FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON campaign FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign TO mainstay_system;

-- A step of a campaign: how long after the one before it is sent.
CREATE TABLE campaign_step (
  campaign_id uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  -- From 1.
  step        bigint NOT NULL,
  -- Calendar days at the hour of the one before, then hours.
  delay_days  bigint NOT NULL,
  delay_hours bigint NOT NULL,
  PRIMARY KEY (campaign_id, step, tenant_id)
);
ALTER TABLE campaign_step ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaign_step FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaign_step TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON campaign_step FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON campaign_step FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_step TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_step TO mainstay_system;

-- One of the texts that a step may have. It never changes: who writes it anew retires it and adds another.
CREATE TABLE step_variant (
  id          uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  campaign_id uuid NOT NULL,
  step        bigint NOT NULL,
  -- What it is called within the step: A, B ...
  name        text NOT NULL,
  -- Its share among those of the step that are not retired.
  weight      bigint NOT NULL,
  subject     text NOT NULL,
  -- The plain text.
  body        text NOT NULL,
  -- The same as HTML; nothing for mail in plain text alone.
  html        text,
  retired     bigint NOT NULL,
  created_at  timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX step_variant_of_campaign ON step_variant (campaign_id, tenant_id);
CREATE UNIQUE INDEX step_variant_name ON step_variant (campaign_id, step, name, tenant_id) WHERE retired = 0;
ALTER TABLE step_variant ENABLE ROW LEVEL SECURITY;
ALTER TABLE step_variant FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON step_variant TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON step_variant FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON step_variant FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON step_variant TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON step_variant TO mainstay_system;

-- The zones that leads of a campaign live in: a claim asks for those whose window is open.
CREATE TABLE campaign_zone (
  campaign_id uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  zone        text NOT NULL,
  PRIMARY KEY (campaign_id, zone, tenant_id)
);
ALTER TABLE campaign_zone ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaign_zone FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaign_zone TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON campaign_zone FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON campaign_zone FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_zone TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_zone TO mainstay_system;

-- An account that emails are sent by.
CREATE TABLE sending_account (
  id                uuid NOT NULL,
  tenant_id         uuid NOT NULL,
  -- The address that it sends from, and the name beside it.
  address           text NOT NULL,
  sender_name       text NOT NULL,
  -- Where answers go; nothing for the address itself.
  reply_to          text,
  kind              text NOT NULL CHECK (kind IN ('smtp', 'gmail')),
  -- The server, for SMTP.
  host              text NOT NULL,
  port              bigint NOT NULL,
  security          text NOT NULL CHECK (security IN ('none', 'start_tls', 'tls')),
  user_name         text NOT NULL,
  -- The password, or the refresh token; sealed. Nothing where none is needed.
  secret            text,
  -- What mail is signed with: the selector, the domain and the key (sealed); nothing where the provider signs.
  dkim_selector     text,
  dkim_domain       text,
  dkim_key          text,
  state             text NOT NULL CHECK (state IN ('active', 'paused', 'reconnect')),
  -- Why it does not send, for people.
  reason            text,
  -- The most emails in any 24 hours.
  daily_cap         bigint NOT NULL,
  -- The cap of the first day, and what each day adds to it, while it warms up.
  ramp_start        bigint NOT NULL,
  ramp_step         bigint NOT NULL,
  -- When it began to warm up; nothing when it does not.
  ramp_from         timestamptz,
  -- The least milliseconds between two emails, and between two to one domain.
  gap_millis        bigint NOT NULL,
  domain_gap_millis bigint NOT NULL,
  -- How many connections it may have at once.
  connections       bigint NOT NULL,
  -- Counted up by whoever begins to work on it: what an older run holds it no longer may send.
  run               bigint NOT NULL,
  -- Counted up by whoever gives it something to do.
  wakes             bigint NOT NULL,
  -- No email before this.
  next_at           timestamptz NOT NULL,
  -- Of what it has sent: taken by a server, came back for good, called junk; since it was last told to send.
  sent              bigint NOT NULL,
  bounced           bigint NOT NULL,
  complained        bigint NOT NULL,
  created_at        timestamptz NOT NULL,
  updated_at        timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id),
  CONSTRAINT sending_account_once UNIQUE (tenant_id, address)
);
CREATE INDEX sending_account_list ON sending_account (tenant_id, created_at, id);
CREATE INDEX sending_account_secret_mark ON sending_account (substr(secret, 1, 17), tenant_id, id);
CREATE INDEX sending_account_secret_plain ON sending_account (tenant_id, id) WHERE substr(secret, 1, 8) <> 'sealed1:';
CREATE INDEX sending_account_dkim_key_mark ON sending_account (substr(dkim_key, 1, 17), tenant_id, id);
CREATE INDEX sending_account_dkim_key_plain ON sending_account (tenant_id, id) WHERE substr(dkim_key, 1, 8) <> 'sealed1:';
ALTER TABLE sending_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE sending_account FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sending_account TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON sending_account FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON sending_account FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON sending_account TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON sending_account TO mainstay_system;

-- Which accounts send for a campaign.
CREATE TABLE campaign_account (
  campaign_id uuid NOT NULL,
  account_id  uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  PRIMARY KEY (campaign_id, account_id, tenant_id)
);
CREATE INDEX campaign_account_of_account ON campaign_account (account_id, tenant_id);
ALTER TABLE campaign_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaign_account FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaign_account TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON campaign_account FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON campaign_account FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_account TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON campaign_account TO mainstay_system;

-- How many emails an account has sent, by five minutes: what its cap over 24 hours is reckoned from.
CREATE TABLE account_bucket (
  account_id uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  -- Five minutes since 1970.
  bucket     bigint NOT NULL,
  sent       bigint NOT NULL,
  PRIMARY KEY (account_id, bucket, tenant_id)
);
ALTER TABLE account_bucket ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_bucket FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON account_bucket TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON account_bucket FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON account_bucket FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON account_bucket TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON account_bucket TO mainstay_system;

-- When an account may write to a domain again.
CREATE TABLE account_domain (
  account_id uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  domain     text NOT NULL,
  next_at    timestamptz NOT NULL,
  PRIMARY KEY (account_id, domain, tenant_id)
);
ALTER TABLE account_domain ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_domain FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON account_domain TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON account_domain FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON account_domain FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON account_domain TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON account_domain TO mainstay_system;

-- Somebody that a campaign writes to. There is one for each address.
CREATE TABLE lead (
  id          uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  campaign_id uuid NOT NULL,
  -- As it identifies them: trimmed, lower case.
  address     text NOT NULL CHECK (address = lower(address) AND length(address) <= 254
                AND address ~ '^[^@[:space:]<>,;]+@[^@[:space:]<>,;]+$'),
  domain      text NOT NULL,
  -- What templates may name: an object of texts, as JSON.
  fields      text NOT NULL,
  -- Where they live (IANA).
  zone        text NOT NULL,
  state       text NOT NULL CHECK (state IN ('new', 'active', 'finished', 'replied', 'unsubscribed', 'bounced', 'complained',
                'stopped')),
  -- The last step that there is an email for; 0 before the first.
  step        bigint NOT NULL,
  -- What writes to them from the first email on.
  account_id  uuid,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id),
  CONSTRAINT lead_once UNIQUE (tenant_id, campaign_id, address)
);
-- Those that nothing was written to yet, by the zone that they live in: what a claim takes from.
CREATE INDEX lead_new ON lead (tenant_id, campaign_id, zone, id) WHERE state = 'new';
CREATE INDEX lead_list ON lead (tenant_id, campaign_id, id);
CREATE INDEX lead_of_address ON lead (tenant_id, address);
CREATE INDEX lead_of_domain ON lead (tenant_id, domain);
ALTER TABLE lead ENABLE ROW LEVEL SECURITY;
ALTER TABLE lead FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lead TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON lead FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON lead FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON lead TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON lead TO mainstay_system;

-- An email of a campaign to a lead. There is one for each step.
CREATE TABLE email (
  id                 uuid NOT NULL,
  tenant_id          uuid NOT NULL,
  campaign_id        uuid NOT NULL,
  lead_id            uuid NOT NULL,
  step               bigint NOT NULL,
  variant_id         uuid NOT NULL,
  account_id         uuid NOT NULL,
  -- Whom it goes to, and where they live, as it was when it was made.
  address            text NOT NULL,
  domain             text NOT NULL,
  zone               text NOT NULL,
  -- Fixed when the row is made, and the same whatever happens to it (RFC 5322).
  message_id         text NOT NULL,
  state              text NOT NULL CHECK (state IN ('scheduled', 'claimed', 'in_flight', 'accepted', 'rejected', 'unknown', 'cancelled')),
  due_at             timestamptz NOT NULL,
  -- Whether its turn within the domain was taken already.
  in_turn            bigint NOT NULL,
  -- How often it was offered to a server.
  attempts           bigint NOT NULL,
  -- The run of the account that has it, while one has.
  run                bigint NOT NULL,
  -- When it was last about to go out, and that day (since 1970); 0 for what never was.
  fenced_at          timestamptz,
  day                bigint NOT NULL,
  accepted_at        timestamptz,
  -- What the server said: its code, the enhanced one (RFC 3463), its words.
  code               bigint,
  enhanced           text,
  said               text,
  -- The id that the provider gave it, and its thread there.
  provider_id        text,
  thread             text,
  -- The first time that somebody opened it, that a machine did; the same of its links.
  opened_at          timestamptz,
  machine_opened_at  timestamptz,
  clicked_at         timestamptz,
  machine_clicked_at timestamptz,
  replied_at         timestamptz,
  bounced_at         timestamptz,
  complained_at      timestamptz,
  unsubscribed_at    timestamptz,
  converted_at       timestamptz,
  created_at         timestamptz NOT NULL,
  updated_at         timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id),
  CONSTRAINT email_once UNIQUE (tenant_id, campaign_id, lead_id, step),
  CONSTRAINT email_message_id UNIQUE (tenant_id, message_id)
);
-- What is to be sent, as a claim looks for it.
CREATE INDEX email_due ON email (tenant_id, account_id, campaign_id, zone, due_at) WHERE state = 'scheduled';
-- What a run has.
CREATE INDEX email_held ON email (account_id, tenant_id) WHERE state IN ('claimed', 'in_flight');
CREATE INDEX email_list ON email (tenant_id, campaign_id, id);
CREATE INDEX email_all ON email (tenant_id, id);
CREATE INDEX email_in_state ON email (tenant_id, state, id) WHERE state IN ('rejected', 'unknown');
CREATE INDEX email_of_address ON email (tenant_id, address);
ALTER TABLE email ENABLE ROW LEVEL SECURITY;
ALTER TABLE email FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON email TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON email FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON email FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON email TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON email TO mainstay_system;

-- How many rows there are of each kind: of emails in a state, or with something that became of them; of leads in a state.
CREATE TABLE outreach_figure (
  campaign_id uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  -- 0 for leads.
  step        bigint NOT NULL,
  -- The nil UUID for leads.
  variant_id  uuid NOT NULL,
  account_id  uuid NOT NULL,
  -- The day on which an email last went out; 0 for what did not, and for leads.
  day         bigint NOT NULL,
  kind        text NOT NULL,
  number      bigint NOT NULL,
  PRIMARY KEY (campaign_id, step, variant_id, account_id, day, kind, tenant_id)
);
ALTER TABLE outreach_figure ENABLE ROW LEVEL SECURITY;
ALTER TABLE outreach_figure FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON outreach_figure TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON outreach_figure FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON outreach_figure FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON outreach_figure TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON outreach_figure TO mainstay_system;

-- Whom nobody of the organisation writes to: an address, or a whole domain as @example.com.
CREATE TABLE suppression (
  subject    text NOT NULL,
  tenant_id  uuid NOT NULL,
  reason     text NOT NULL CHECK (reason IN ('unsubscribed', 'bounced', 'complained', 'manual')),
  -- The email that it came of, where it came of one.
  email_id   uuid,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (subject, tenant_id)
);
CREATE INDEX suppression_list ON suppression (tenant_id, created_at, subject);
ALTER TABLE suppression ENABLE ROW LEVEL SECURITY;
ALTER TABLE suppression FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON suppression TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON suppression FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON suppression FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON suppression TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON suppression TO mainstay_system;
