-- Text messages: how an organisation sends them, those that are sent, and who wants none.

-- How an organisation sends text messages.
CREATE TABLE text_settings (
  tenant_id  uuid NOT NULL,
  -- The sender of the inbox that the provider's callbacks come by: its secret is the account's, and signs both ways.
  source_id  uuid NOT NULL,
  -- The provider's account.
  account    text NOT NULL,
  -- Our number (E.164), or the provider's id of a service that has numbers.
  sender     text NOT NULL,
  enabled    bigint NOT NULL,
  -- Whether it is told that an appointment was made, moved or cancelled.
  confirms   bigint NOT NULL,
  -- How many minutes before an appointment somebody is reminded: a list, as JSON.
  reminders  text NOT NULL,
  -- When nobody is disturbed, such as 21:00-08:00.
  quiet      text,
  -- What is said, by the reason: an object, as JSON. What is not in it is said in the usual words.
  wording    text NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id)
);
ALTER TABLE text_settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE text_settings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON text_settings TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON text_settings FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON text_settings FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON text_settings TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON text_settings TO mainstay_system;

-- A message to somebody. Its id follows from why it is sent, so that it is there once.
CREATE TABLE text_message (
  id             uuid NOT NULL,
  tenant_id      uuid NOT NULL,
  appointment_id uuid NOT NULL,
  contact_id     uuid NOT NULL,
  reason         text NOT NULL CHECK (reason IN ('confirmation', 'moved', 'cancelled', 'reminder')),
  -- What tells it apart from others of its reason, in milliseconds: of a reminder the beginning, of a move when it was made.
  occasion       bigint NOT NULL,
  -- How many minutes before somebody is reminded; 0 for what is no reminder.
  minutes_before bigint NOT NULL,
  -- What it is about, as it was when it was promised.
  service_id     uuid NOT NULL,
  staff_id       uuid NOT NULL,
  starts_at      timestamptz NOT NULL,
  phone          text NOT NULL,
  state          text NOT NULL CHECK (state IN ('waiting', 'sending', 'unknown', 'accepted', 'sent', 'failed', 'undelivered',
                   'delivered', 'read', 'dropped')),
  -- What was said; nothing before it is sent for the first time.
  body           text,
  due_at         timestamptz NOT NULL,
  attempts       bigint NOT NULL,
  attempted_at   timestamptz,
  -- The provider's id.
  provider_id    text,
  error_code     bigint,
  error          text,
  segments       bigint,
  -- In millionths of the currency (ISO 4217).
  price_micros   bigint,
  currency       text,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id),
  CONSTRAINT text_message_once UNIQUE (tenant_id, appointment_id, reason, occasion, minutes_before)
);
CREATE UNIQUE INDEX text_message_of_provider ON text_message (tenant_id, provider_id);
CREATE INDEX text_message_list ON text_message (tenant_id, created_at, id);
CREATE INDEX text_message_of_contact ON text_message (tenant_id, contact_id);
CREATE INDEX text_message_age ON text_message (created_at);
ALTER TABLE text_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE text_message FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON text_message TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON text_message FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON text_message FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON text_message TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON text_message TO mainstay_system;

-- Who wants no text messages: numbers that have said stop.
CREATE TABLE text_opt_out (
  phone      text NOT NULL,
  tenant_id  uuid NOT NULL,
  -- 1 for one who wants none; 0 for one who has said start again.
  stopped    bigint NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (phone, tenant_id)
);
CREATE INDEX text_opt_out_list ON text_opt_out (tenant_id, changed_at, phone);
ALTER TABLE text_opt_out ENABLE ROW LEVEL SECURITY;
ALTER TABLE text_opt_out FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON text_opt_out TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON text_opt_out FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON text_opt_out FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON text_opt_out TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON text_opt_out TO mainstay_system;
