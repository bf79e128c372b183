-- What the provider of billing tells: subscriptions, whose they are, why plans changed, and invoices.

-- A subscription with everything that was told of it, as JSON.
CREATE TABLE subscription (
  tenant_id   uuid NOT NULL REFERENCES organisation (tenant_id),
  provider_id text NOT NULL CHECK (provider_id <> ''),
  state       text NOT NULL,
  updated_at  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, provider_id)
);

-- Each change of a plan, and why.
CREATE TABLE plan_change (
  tenant_id  uuid NOT NULL REFERENCES organisation (tenant_id),
  -- The place of the organisation in its stream since then: changes of one plan have an order.
  seq        bigint NOT NULL,
  from_plan  text NOT NULL,
  to_plan    text NOT NULL,
  cause      text NOT NULL,
  -- The provider's id of the event; nothing where time or an operator was the cause.
  event_id   text,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);

-- An order of the organisation at the provider.
CREATE TABLE invoice (
  tenant_id    uuid NOT NULL REFERENCES organisation (tenant_id),
  provider_id  text NOT NULL CHECK (provider_id <> ''),
  reference    text NOT NULL,
  total_micros bigint NOT NULL,
  currency     text NOT NULL,
  url          text NOT NULL,
  state        text NOT NULL CHECK (state IN ('failed', 'paid', 'returned')),
  -- 1 when it was read from the order itself, which knows more than what only mentions it.
  whole        bigint NOT NULL,
  issued_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, provider_id)
);

-- The account of an organisation at the provider: the first that paid for it.
CREATE TABLE billing_account (
  tenant_id   uuid NOT NULL PRIMARY KEY REFERENCES organisation (tenant_id),
  provider_id text NOT NULL CHECK (provider_id <> '')
);

-- Whose an account or a subscription of the provider is, before the organisation is known. Who is named first stays.
CREATE TABLE billing_lookup (
  kind        text NOT NULL CHECK (kind IN ('account', 'subscription')),
  provider_id text NOT NULL,
  tenant_id   uuid NOT NULL,
  PRIMARY KEY (kind, provider_id)
);

-- The place of the organisation in its own stream; nothing before its plan has changed for the first time.
ALTER TABLE organisation ADD COLUMN seq bigint;

ALTER TABLE subscription ENABLE ROW LEVEL SECURITY;
ALTER TABLE subscription FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON subscription TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON subscription TO mainstay_app, mainstay_system;

ALTER TABLE plan_change ENABLE ROW LEVEL SECURITY;
ALTER TABLE plan_change FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON plan_change TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON plan_change TO mainstay_app, mainstay_system;

ALTER TABLE invoice ENABLE ROW LEVEL SECURITY;
ALTER TABLE invoice FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invoice TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON invoice TO mainstay_app, mainstay_system;

ALTER TABLE billing_account ENABLE ROW LEVEL SECURITY;
ALTER TABLE billing_account FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON billing_account TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON billing_account TO mainstay_app, mainstay_system;

GRANT SELECT, INSERT, UPDATE, DELETE ON billing_lookup TO mainstay_app, mainstay_system;

-- A job changes the plan in the transaction that ends it, with the system's role: of the one organisation that the
-- transaction names. Across organisations the system goes on to read positions and tombstones, and now nothing but that.
CREATE POLICY worker ON organisation TO mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, UPDATE (plan, seq) ON organisation TO mainstay_system;
DROP POLICY system ON stream;
CREATE POLICY system ON stream FOR SELECT TO mainstay_system USING (true);
CREATE POLICY worker ON stream TO mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT INSERT, UPDATE ON stream TO mainstay_system;
DROP POLICY system ON change;
CREATE POLICY system ON change FOR SELECT TO mainstay_system USING (true);
CREATE POLICY worker ON change TO mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT INSERT, UPDATE (seq, deleted_at) ON change TO mainstay_system;
