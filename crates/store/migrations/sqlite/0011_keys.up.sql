-- Secrets are sealed under keys: which keys there are (never the keys themselves), who has them and what needs them, and
-- what finds the rows of each. The texts that are there now are sealed by the first start after this, in bites. From then on
-- an older release cannot read them.

CREATE TABLE encryption_key (
  version      INTEGER NOT NULL PRIMARY KEY,
  state        TEXT NOT NULL CHECK (state IN ('added', 'active', 'retiring', 'retired', 'lost')),
  -- What follows from the key and says nothing of it: another key under this number is noticed.
  check_value  TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  -- When it last began to seal, when another took its place, and when nothing needed it any more.
  activated_at INTEGER,
  replaced_at  INTEGER,
  retired_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX encryption_key_active ON encryption_key (state) WHERE state = 'active';

-- What needs keys beside the rows: backups that are kept.
CREATE TABLE key_use (
  holder  TEXT NOT NULL,
  version INTEGER NOT NULL REFERENCES encryption_key (version),
  since   INTEGER NOT NULL,
  PRIMARY KEY (holder, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_use_version ON key_use (version);

-- Which processes have which keys, a list as JSON, and which of them each seals with.
CREATE TABLE key_holder (
  holder   TEXT NOT NULL PRIMARY KEY,
  versions TEXT NOT NULL,
  sealing  INTEGER NOT NULL,
  seen_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Its row is the installation's, as those of jobs and events are that belong to nobody.
ALTER TABLE signing_key ADD COLUMN id BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';
ALTER TABLE signing_key ADD COLUMN tenant_id BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';

-- By the mark that the text of a sealed secret begins with, and what is not sealed.
CREATE INDEX inbox_source_sealed ON inbox_source (substr(scheme, 1, 17), tenant_id, id);
CREATE INDEX inbox_source_plain ON inbox_source (tenant_id, id) WHERE substr(scheme, 1, 8) <> 'sealed1:';
CREATE INDEX webhook_endpoint_sealed ON webhook_endpoint (substr(secrets, 1, 17), tenant_id, id);
CREATE INDEX webhook_endpoint_plain ON webhook_endpoint (tenant_id, id) WHERE substr(secrets, 1, 8) <> 'sealed1:';
