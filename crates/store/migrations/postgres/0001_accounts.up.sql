-- People, organisations, sign-ins, keys; the counters and leases that everything else leans on.

CREATE TABLE person (
  id             uuid NOT NULL PRIMARY KEY,
  email          text UNIQUE,
  name           text NOT NULL,
  password_hash  text,
  operator_since timestamptz,
  disabled_at    timestamptz,
  created_at     timestamptz NOT NULL
);

-- Which organisations a person belongs to, before any of them is known.
CREATE TABLE person_tenant (
  person_id uuid NOT NULL REFERENCES person (id),
  tenant_id uuid NOT NULL,
  PRIMARY KEY (person_id, tenant_id)
);

CREATE TABLE outside_identity (
  issuer    text NOT NULL,
  subject   text NOT NULL,
  person_id uuid NOT NULL REFERENCES person (id),
  PRIMARY KEY (issuer, subject)
);

CREATE TABLE sign_in_session (
  id           uuid NOT NULL PRIMARY KEY,
  person_id    uuid NOT NULL REFERENCES person (id),
  tenant_id    uuid NOT NULL,
  generation   bigint NOT NULL,
  rotated_at   timestamptz NOT NULL,
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  ended_at     timestamptz,
  ended_reason text
);
CREATE INDEX sign_in_session_person ON sign_in_session (person_id);
CREATE INDEX sign_in_session_expiry ON sign_in_session (expires_at);

CREATE TABLE api_key_lookup (
  hash       text NOT NULL PRIMARY KEY,
  tenant_id  uuid NOT NULL,
  api_key_id uuid NOT NULL
);

CREATE TABLE revocation (
  position   bigint NOT NULL PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('session', 'person', 'membership', 'api_key')),
  subject    uuid NOT NULL,
  tenant_id  uuid,
  revoked_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX revocation_expiry ON revocation (expires_at);

CREATE TABLE signing_key (
  name       text NOT NULL PRIMARY KEY,
  secret     text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE counter (
  name  text NOT NULL PRIMARY KEY,
  value bigint NOT NULL
);

CREATE TABLE lease (
  name       text NOT NULL PRIMARY KEY,
  number     bigint NOT NULL UNIQUE,
  holder     text NOT NULL,
  expires_at timestamptz NOT NULL
);

CREATE TABLE organisation (
  tenant_id  uuid NOT NULL PRIMARY KEY,
  name       text NOT NULL,
  plan       text NOT NULL CHECK (plan IN ('free', 'core', 'studio')),
  created_at timestamptz NOT NULL
);

CREATE TABLE membership (
  tenant_id  uuid NOT NULL REFERENCES organisation (tenant_id),
  person_id  uuid NOT NULL REFERENCES person (id),
  role       text NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, person_id)
);

CREATE TABLE api_key (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL REFERENCES organisation (tenant_id),
  person_id  uuid NOT NULL,
  name       text NOT NULL,
  prefix     text NOT NULL,
  hash       text NOT NULL,
  scopes     text NOT NULL,
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX api_key_list ON api_key (tenant_id, created_at, id);

-- The two roles beside the owner. Roles belong to the whole server: another database of it may have made them already.
DO $$
BEGIN
  CREATE ROLE mainstay_app NOLOGIN NOSUPERUSER NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
  CREATE ROLE mainstay_system NOLOGIN NOSUPERUSER NOBYPASSRLS;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
-- The login that migrates may take both, so that one address is enough. It may be a member already without the right to
-- grant: then there is nothing to do, and the check of the roles at start says so if there is.
DO $$
BEGIN
  EXECUTE format('GRANT mainstay_app, mainstay_system TO %I', current_user);
EXCEPTION WHEN insufficient_privilege OR unique_violation THEN NULL;
END $$;
DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO mainstay_app, mainstay_system', current_schema()); END $$;

-- Global tables: what is looked up before an organisation is known.
GRANT SELECT, INSERT, UPDATE, DELETE ON person, person_tenant, outside_identity, sign_in_session, api_key_lookup, revocation, signing_key, counter TO mainstay_app;

-- System tables, and what the system's role cleans up.
GRANT SELECT, INSERT, UPDATE, DELETE ON lease, counter TO mainstay_system;
GRANT SELECT, DELETE ON sign_in_session, revocation TO mainstay_system;

-- Tenant tables: a row is visible only to a transaction that named its organisation.

ALTER TABLE organisation ENABLE ROW LEVEL SECURITY;
ALTER TABLE organisation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON organisation TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON organisation TO mainstay_app;

ALTER TABLE membership ENABLE ROW LEVEL SECURITY;
ALTER TABLE membership FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON membership TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON membership TO mainstay_app;

ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_key FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_key TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON api_key TO mainstay_app;
