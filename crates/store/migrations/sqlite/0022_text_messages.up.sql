-- Text messages: how an organisation sends them, those that are sent, and who wants none.

-- How an organisation sends text messages.
CREATE TABLE text_settings (
  tenant_id  BLOB NOT NULL,
  -- The sender of the inbox that the provider's callbacks come by: its secret is the account's, and signs both ways.
  source_id  BLOB NOT NULL,
  -- The provider's account.
  account    TEXT NOT NULL,
  -- Our number (E.164), or the provider's id of a service that has numbers.
  sender     TEXT NOT NULL,
  enabled    INTEGER NOT NULL,
  -- Whether it is told that an appointment was made, moved or cancelled.
  confirms   INTEGER NOT NULL,
  -- How many minutes before an appointment somebody is reminded: a list, as JSON.
  reminders  TEXT NOT NULL,
  -- When nobody is disturbed, such as 21:00-08:00.
  quiet      TEXT,
  -- What is said, by the reason: an object, as JSON. What is not in it is said in the usual words.
  wording    TEXT NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id)
) STRICT, WITHOUT ROWID;

-- A message to somebody. Its id follows from why it is sent, so that it is there once.
CREATE TABLE text_message (
  id             BLOB NOT NULL,
  tenant_id      BLOB NOT NULL,
  appointment_id BLOB NOT NULL,
  contact_id     BLOB NOT NULL,
  reason         TEXT NOT NULL CHECK (reason IN ('confirmation', 'moved', 'cancelled', 'reminder')),
  -- What tells it apart from others of its reason, in milliseconds: of a reminder the beginning, of a move when it was made.
  occasion       INTEGER NOT NULL,
  -- How many minutes before somebody is reminded; 0 for what is no reminder.
  minutes_before INTEGER NOT NULL,
  -- What it is about, as it was when it was promised.
  service_id     BLOB NOT NULL,
  staff_id       BLOB NOT NULL,
  starts_at      INTEGER NOT NULL,
  phone          TEXT NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('waiting', 'sending', 'unknown', 'accepted', 'sent', 'failed', 'undelivered',
                   'delivered', 'read', 'dropped')),
  -- What was said; nothing before it is sent for the first time.
  body           TEXT,
  due_at         INTEGER NOT NULL,
  attempts       INTEGER NOT NULL,
  attempted_at   INTEGER,
  -- The provider's id.
  provider_id    TEXT,
  error_code     INTEGER,
  error          TEXT,
  segments       INTEGER,
  -- In millionths of the currency (ISO 4217).
  price_micros   INTEGER,
  currency       TEXT,
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id),
  CONSTRAINT text_message_once UNIQUE (tenant_id, appointment_id, reason, occasion, minutes_before)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX text_message_of_provider ON text_message (tenant_id, provider_id);
CREATE INDEX text_message_list ON text_message (tenant_id, created_at, id);
CREATE INDEX text_message_of_contact ON text_message (tenant_id, contact_id);
CREATE INDEX text_message_age ON text_message (created_at);

-- Who wants no text messages: numbers that have said stop.
CREATE TABLE text_opt_out (
  phone      TEXT NOT NULL,
  tenant_id  BLOB NOT NULL,
  -- 1 for one who wants none; 0 for one who has said start again.
  stopped    INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (phone, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX text_opt_out_list ON text_opt_out (tenant_id, changed_at, phone);
