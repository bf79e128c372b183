-- What plans allow, what was used, what may be spent, and what is set aside for work that is under way.

-- What each plan allows a person; nothing where there is no limit. Costs are in millionths.
CREATE TABLE plan (
  name                    TEXT NOT NULL PRIMARY KEY CHECK (name IN ('free', 'core', 'studio')),
  messages_per_day        INTEGER,
  messages_per_month      INTEGER,
  images_per_day          INTEGER,
  images_per_month        INTEGER,
  voice_seconds_per_day   INTEGER,
  voice_seconds_per_month INTEGER,
  cost_micros_per_month   INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO plan VALUES
  ('free', 200, 2000, 5, 50, 300, 1800, 2000000),
  ('core', 2000, 30000, 50, 500, 3600, 36000, 30000000),
  ('studio', 10000, 150000, 500, 5000, 36000, 360000, 200000000);

-- What was used in a month by a person, and by the organisation as a whole, whose subject is itself. The columns of the
-- day are those of the latest day that something was counted on.
CREATE TABLE usage_month (
  tenant_id         BLOB NOT NULL,
  month             INTEGER NOT NULL,
  subject_id        BLOB NOT NULL,
  messages          INTEGER NOT NULL,
  input_tokens      INTEGER NOT NULL,
  output_tokens     INTEGER NOT NULL,
  images            INTEGER NOT NULL,
  voice_seconds     INTEGER NOT NULL,
  cost_micros       INTEGER NOT NULL,
  reserved_micros   INTEGER NOT NULL,
  day               INTEGER NOT NULL,
  day_messages      INTEGER NOT NULL,
  day_images        INTEGER NOT NULL,
  day_voice_seconds INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, month, subject_id)
) STRICT, WITHOUT ROWID;

-- The most that a person, or the organisation as a whole, may cost in a month.
CREATE TABLE budget (
  tenant_id   BLOB NOT NULL REFERENCES organisation (tenant_id),
  subject_id  BLOB NOT NULL,
  cost_micros INTEGER NOT NULL CHECK (cost_micros >= 0),
  set_by      BLOB NOT NULL,
  set_at      INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, subject_id)
) STRICT, WITHOUT ROWID;

-- What is set aside for work whose cost is not known yet. Whoever deletes the row settles it.
CREATE TABLE reservation (
  id            BLOB NOT NULL,
  tenant_id     BLOB NOT NULL,
  person_id     BLOB NOT NULL,
  amount_micros INTEGER NOT NULL CHECK (amount_micros > 0),
  reserved_at   INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL,
  swept_at      INTEGER,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservation_open ON reservation (expires_at) WHERE swept_at IS NULL;
CREATE INDEX reservation_swept ON reservation (swept_at) WHERE swept_at IS NOT NULL;

-- What a reply cost.
ALTER TABLE message ADD COLUMN cost_micros INTEGER NOT NULL DEFAULT 0;
