-- Secrets are sealed under keys: which keys there are (never the keys themselves), who has them and what needs them, and
-- what finds the rows of each. The texts that are there now are sealed by the first start after this, in bites. From then on
-- an older release cannot read them.

CREATE TABLE encryption_key (
  version      bigint NOT NULL PRIMARY KEY,
  state        text NOT NULL CHECK (state IN ('added', 'active', 'retiring', 'retired', 'lost')),
  -- What follows from the key and says nothing of it: another key under this number is noticed.
  check_value  text NOT NULL,
  created_at   timestamptz NOT NULL,
  -- When it last began to seal, when another took its place, and when nothing needed it any more.
  activated_at timestamptz,
  replaced_at  timestamptz,
  retired_at   timestamptz
);
CREATE UNIQUE INDEX encryption_key_active ON encryption_key (state) WHERE state = 'active';

-- What needs keys beside the rows: backups that are kept.
CREATE TABLE key_use (
  holder  text NOT NULL,
  version bigint NOT NULL REFERENCES encryption_key (version),
  since   timestamptz NOT NULL,
  PRIMARY KEY (holder, version)
);
CREATE INDEX key_use_version ON key_use (version);

-- Which processes have which keys, a list as JSON, and which of them each seals with.
CREATE TABLE key_holder (
  holder   text NOT NULL PRIMARY KEY,
  versions text NOT NULL,
  sealing  bigint NOT NULL,
  seen_at  timestamptz NOT NULL
);

-- Its row is the installation's, as those of jobs and events are that belong to nobody.
ALTER TABLE signing_key ADD COLUMN id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE signing_key ADD COLUMN tenant_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';

-- By the mark that the text of a sealed secret begins with, and what is not sealed.
CREATE INDEX inbox_source_sealed ON inbox_source (substr(scheme, 1, 17), tenant_id, id);
CREATE INDEX inbox_source_plain ON inbox_source (tenant_id, id) WHERE substr(scheme, 1, 8) <> 'sealed1:';
CREATE INDEX webhook_endpoint_sealed ON webhook_endpoint (substr(secrets, 1, 17), tenant_id, id);
CREATE INDEX webhook_endpoint_plain ON webhook_endpoint (tenant_id, id) WHERE substr(secrets, 1, 8) <> 'sealed1:';

GRANT SELECT, INSERT, UPDATE ON encryption_key TO mainstay_app, mainstay_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON key_use, key_holder TO mainstay_app, mainstay_system;

-- Rotation looks at the secrets of all organisations, and seals each anew in the name of its own.
CREATE POLICY system ON inbox_source FOR SELECT TO mainstay_system USING (true);
CREATE POLICY worker ON inbox_source TO mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT (id, tenant_id, scheme), UPDATE (scheme) ON inbox_source TO mainstay_system;
GRANT SELECT, UPDATE ON signing_key TO mainstay_system;
