-- What the provider of billing tells: subscriptions, whose they are, why plans changed, and invoices.

-- A subscription with everything that was told of it, as JSON.
CREATE TABLE subscription (
  tenant_id   BLOB NOT NULL REFERENCES organisation (tenant_id),
  provider_id TEXT NOT NULL CHECK (provider_id <> ''),
  state       TEXT NOT NULL,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, provider_id)
) STRICT, WITHOUT ROWID;

-- Each change of a plan, and why.
CREATE TABLE plan_change (
  tenant_id  BLOB NOT NULL REFERENCES organisation (tenant_id),
  -- The place of the organisation in its stream since then: changes of one plan have an order.
  seq        INTEGER NOT NULL,
  from_plan  TEXT NOT NULL,
  to_plan    TEXT NOT NULL,
  cause      TEXT NOT NULL,
  -- The provider's id of the event; nothing where time or an operator was the cause.
  event_id   TEXT,
  changed_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, seq)
) STRICT, WITHOUT ROWID;

-- An order of the organisation at the provider.
CREATE TABLE invoice (
  tenant_id    BLOB NOT NULL REFERENCES organisation (tenant_id),
  provider_id  TEXT NOT NULL CHECK (provider_id <> ''),
  reference    TEXT NOT NULL,
  total_micros INTEGER NOT NULL,
  currency     TEXT NOT NULL,
  url          TEXT NOT NULL,
  state        TEXT NOT NULL CHECK (state IN ('failed', 'paid', 'returned')),
  -- 1 when it was read from the order itself, which knows more than what only mentions it.
  whole        INTEGER NOT NULL,
  issued_at    INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, provider_id)
) STRICT, WITHOUT ROWID;

-- The account of an organisation at the provider: the first that paid for it.
CREATE TABLE billing_account (
  tenant_id   BLOB NOT NULL PRIMARY KEY REFERENCES organisation (tenant_id),
  provider_id TEXT NOT NULL CHECK (provider_id <> '')
) STRICT, WITHOUT ROWID;

-- Whose an account or a subscription of the provider is, before the organisation is known. Who is named first stays.
CREATE TABLE billing_lookup (
  kind        TEXT NOT NULL CHECK (kind IN ('account', 'subscription')),
  provider_id TEXT NOT NULL,
  tenant_id   BLOB NOT NULL,
  PRIMARY KEY (kind, provider_id)
) STRICT, WITHOUT ROWID;

-- The place of the organisation in its own stream; nothing before its plan has changed for the first time.
ALTER TABLE organisation ADD COLUMN seq INTEGER;
