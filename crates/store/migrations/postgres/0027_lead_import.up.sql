-- Lists of people that are read into campaigns.

-- A list as far as it is read. The file itself is not kept: whoever has it goes on from the offset.
CREATE TABLE lead_import (
  id          uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  campaign_id uuid NOT NULL,
  -- What the file is called.
  name        text NOT NULL,
  state       text NOT NULL CHECK (state IN ('running', 'finished', 'cancelled')),
  -- How large it is, where that was said.
  bytes       bigint,
  -- Its encoding, its delimiter and its header, as JSON, once they are read.
  form        text,
  -- What each column is, as JSON; what its name says, where nobody has said.
  columns     text,
  -- What is read: so many bytes, and the line that follows.
  read_bytes  bigint NOT NULL,
  line        bigint NOT NULL,
  -- Rows, and what became of them.
  rows        bigint NOT NULL,
  added       bigint NOT NULL,
  duplicates  bigint NOT NULL,
  suppressed  bigint NOT NULL,
  bad         bigint NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX lead_import_list ON lead_import (tenant_id, campaign_id, id);
CREATE INDEX lead_import_age ON lead_import (updated_at);
ALTER TABLE lead_import ENABLE ROW LEVEL SECURITY;
ALTER TABLE lead_import FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lead_import TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON lead_import FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON lead_import FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON lead_import TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON lead_import TO mainstay_system;

-- What is wrong with rows of a list.
CREATE TABLE lead_import_fault (
  import_id   uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  -- The line that the row begins on, and which of its faults it is.
  line        bigint NOT NULL,
  place       bigint NOT NULL,
  -- What the column is called; empty for the whole row.
  column_name text NOT NULL,
  code        text NOT NULL,
  detail      text NOT NULL,
  -- How the row begins.
  excerpt     text NOT NULL,
  PRIMARY KEY (import_id, line, place, tenant_id)
);
ALTER TABLE lead_import_fault ENABLE ROW LEVEL SECURITY;
ALTER TABLE lead_import_fault FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON lead_import_fault TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON lead_import_fault FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON lead_import_fault FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON lead_import_fault TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON lead_import_fault TO mainstay_system;
