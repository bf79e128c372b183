-- What plans allow, what was used, what may be spent, and what is set aside for work that is under way.

-- What each plan allows a person; nothing where there is no limit. Costs are in millionths.
CREATE TABLE plan (
  name                    text NOT NULL PRIMARY KEY CHECK (name IN ('free', 'core', 'studio')),
  messages_per_day        bigint,
  messages_per_month      bigint,
  images_per_day          bigint,
  images_per_month        bigint,
  voice_seconds_per_day   bigint,
  voice_seconds_per_month bigint,
  cost_micros_per_month   bigint
);
INSERT INTO plan VALUES
  ('free', 200, 2000, 5, 50, 300, 1800, 2000000),
  ('core', 2000, 30000, 50, 500, 3600, 36000, 30000000),
  ('studio', 10000, 150000, 500, 5000, 36000, 360000, 200000000);

-- What was used in a month by a person, and by the organisation as a whole, whose subject is itself. The columns of the
-- day are those of the latest day that something was counted on.
CREATE TABLE usage_month (
  tenant_id         uuid NOT NULL,
  month             bigint NOT NULL,
  subject_id        uuid NOT NULL,
  messages          bigint NOT NULL,
  input_tokens      bigint NOT NULL,
  output_tokens     bigint NOT NULL,
  images            bigint NOT NULL,
  voice_seconds     bigint NOT NULL,
  cost_micros       bigint NOT NULL,
  reserved_micros   bigint NOT NULL,
  day               bigint NOT NULL,
  day_messages      bigint NOT NULL,
  day_images        bigint NOT NULL,
  day_voice_seconds bigint NOT NULL,
  PRIMARY KEY (tenant_id, month, subject_id)
);

-- The most that a person, or the organisation as a whole, may cost in a month.
CREATE TABLE budget (
  tenant_id   uuid NOT NULL REFERENCES organisation (tenant_id),
  subject_id  uuid NOT NULL,
  cost_micros bigint NOT NULL CHECK (cost_micros >= 0),
  set_by      uuid NOT NULL,
  set_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, subject_id)
);

-- What is set aside for work whose cost is not known yet. Whoever deletes the row settles it.
CREATE TABLE reservation (
  id            uuid NOT NULL,
  tenant_id     uuid NOT NULL,
  person_id     uuid NOT NULL,
  amount_micros bigint NOT NULL CHECK (amount_micros > 0),
  reserved_at   timestamptz NOT NULL,
  expires_at    timestamptz NOT NULL,
  swept_at      timestamptz,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX reservation_open ON reservation (expires_at) WHERE swept_at IS NULL;
CREATE INDEX reservation_swept ON reservation (swept_at) WHERE swept_at IS NOT NULL;

-- What a reply cost.
ALTER TABLE message ADD COLUMN cost_micros bigint NOT NULL DEFAULT 0;

GRANT SELECT, INSERT, UPDATE, DELETE ON plan TO mainstay_app;

ALTER TABLE usage_month ENABLE ROW LEVEL SECURITY;
ALTER TABLE usage_month FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_month TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON usage_month TO mainstay_app;

ALTER TABLE budget ENABLE ROW LEVEL SECURITY;
ALTER TABLE budget FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON budget TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON budget TO mainstay_app;

ALTER TABLE reservation ENABLE ROW LEVEL SECURITY;
ALTER TABLE reservation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON reservation TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON reservation TO mainstay_app;
-- The system finds what was abandoned, and forgets what was swept long ago.
CREATE POLICY system ON reservation TO mainstay_system USING (true);
GRANT SELECT (id, tenant_id, expires_at, swept_at), DELETE ON reservation TO mainstay_system;
