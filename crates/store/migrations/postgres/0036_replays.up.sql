-- Recordings of what the pages of the console looked like, without what stood in them: of people who have agreed to it.

-- Who has agreed, and how many recordings of theirs were begun on a day (of the days since 1970).
CREATE TABLE replay_consent (
  tenant_id uuid NOT NULL,
  person_id uuid NOT NULL,
  given_at  timestamptz NOT NULL,
  day       bigint NOT NULL,
  begun     bigint NOT NULL,
  PRIMARY KEY (tenant_id, person_id)
);

-- One recording: of one page, from its loading on.
CREATE TABLE replay (
  id        uuid NOT NULL,
  tenant_id uuid NOT NULL,
  person_id uuid NOT NULL,
  page      text NOT NULL,
  version   text NOT NULL,
  -- Why it was sent.
  reason    text NOT NULL CHECK (reason IN ('sampled', 'error')),
  begun_at  timestamptz NOT NULL,
  last_at   timestamptz NOT NULL,
  -- By the clock of the browser, in milliseconds since 1970.
  first_ms  bigint NOT NULL,
  last_ms   bigint NOT NULL,
  chunks    bigint NOT NULL,
  bytes     bigint NOT NULL,
  errors    bigint NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX replay_of_person ON replay (tenant_id, person_id);
CREATE INDEX replay_list ON replay (begun_at, id);
CREATE INDEX replay_with_errors ON replay (begun_at, id) WHERE errors > 0;
-- What is old, and how much there is.
CREATE INDEX replay_age ON replay (last_at, bytes);

-- Its events, as they came: JSON arrays. They go with it.
CREATE TABLE replay_chunk (
  tenant_id uuid NOT NULL,
  replay_id uuid NOT NULL,
  number    bigint NOT NULL,
  events    text NOT NULL,
  PRIMARY KEY (tenant_id, replay_id, number),
  FOREIGN KEY (replay_id, tenant_id) REFERENCES replay (id, tenant_id) ON DELETE CASCADE
);

ALTER TABLE replay_consent ENABLE ROW LEVEL SECURITY;
ALTER TABLE replay_consent FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON replay_consent TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON replay_consent FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON replay_consent FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON replay_consent TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON replay_consent TO mainstay_system;

ALTER TABLE replay ENABLE ROW LEVEL SECURITY;
ALTER TABLE replay FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON replay TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON replay FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON replay FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON replay TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON replay TO mainstay_system;

ALTER TABLE replay_chunk ENABLE ROW LEVEL SECURITY;
ALTER TABLE replay_chunk FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON replay_chunk TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON replay_chunk FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON replay_chunk FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON replay_chunk TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON replay_chunk TO mainstay_system;

CREATE POLICY erasure ON replay_consent TO CURRENT_USER USING (current_setting('app.erasing', true) = 'on');
CREATE POLICY erasure ON replay TO CURRENT_USER USING (current_setting('app.erasing', true) = 'on');
CREATE POLICY erasure ON replay_chunk TO CURRENT_USER USING (current_setting('app.erasing', true) = 'on');

-- Whoever looks at one is noted. Rows that are there have one of the words that there were.
ALTER TABLE access_log DROP CONSTRAINT access_log_what_check;
ALTER TABLE access_log ADD CONSTRAINT access_log_what_check CHECK (what IN ('call', 'calls', 'contact', 'contacts', 'replay')) NOT VALID;
