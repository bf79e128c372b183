-- People, organisations, sign-ins, keys; the counters and leases that everything else leans on.

CREATE TABLE person (
  id             BLOB NOT NULL PRIMARY KEY,
  email          TEXT UNIQUE,
  name           TEXT NOT NULL,
  password_hash  TEXT,
  operator_since INTEGER,
  disabled_at    INTEGER,
  created_at     INTEGER NOT NULL
) STRICT;

-- Which organisations a person belongs to, before any of them is known.
CREATE TABLE person_tenant (
  person_id BLOB NOT NULL REFERENCES person (id),
  tenant_id BLOB NOT NULL,
  PRIMARY KEY (person_id, tenant_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE outside_identity (
  issuer    TEXT NOT NULL,
  subject   TEXT NOT NULL,
  person_id BLOB NOT NULL REFERENCES person (id),
  PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE sign_in_session (
  id           BLOB NOT NULL PRIMARY KEY,
  person_id    BLOB NOT NULL REFERENCES person (id),
  tenant_id    BLOB NOT NULL,
  generation   INTEGER NOT NULL,
  rotated_at   INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  ended_at     INTEGER,
  ended_reason TEXT
) STRICT;
CREATE INDEX sign_in_session_person ON sign_in_session (person_id);
CREATE INDEX sign_in_session_expiry ON sign_in_session (expires_at);

CREATE TABLE api_key_lookup (
  hash       TEXT NOT NULL PRIMARY KEY,
  tenant_id  BLOB NOT NULL,
  api_key_id BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revocation (
  position   INTEGER NOT NULL PRIMARY KEY,
  kind       TEXT NOT NULL CHECK (kind IN ('session', 'person', 'membership', 'api_key')),
  subject    BLOB NOT NULL,
  tenant_id  BLOB,
  revoked_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX revocation_expiry ON revocation (expires_at);

CREATE TABLE signing_key (
  name       TEXT NOT NULL PRIMARY KEY,
  secret     TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (
  name  TEXT NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
  name       TEXT NOT NULL PRIMARY KEY,
  number     INTEGER NOT NULL UNIQUE,
  holder     TEXT NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE organisation (
  tenant_id  BLOB NOT NULL PRIMARY KEY,
  name       TEXT NOT NULL,
  plan       TEXT NOT NULL CHECK (plan IN ('free', 'core', 'studio')),
  created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE membership (
  tenant_id  BLOB NOT NULL REFERENCES organisation (tenant_id),
  person_id  BLOB NOT NULL REFERENCES person (id),
  role       TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, person_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE api_key (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL REFERENCES organisation (tenant_id),
  person_id  BLOB NOT NULL,
  name       TEXT NOT NULL,
  prefix     TEXT NOT NULL,
  hash       TEXT NOT NULL,
  scopes     TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER,
  PRIMARY KEY (id, tenant_id)
) STRICT;
CREATE INDEX api_key_list ON api_key (tenant_id, created_at, id);
