-- What an organisation knows: its documents, their passages, and the words that these are found by.

CREATE TABLE document (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  title      text NOT NULL,
  -- How its words are compared: simple or english.
  language   text NOT NULL,
  -- How many passages it has, and how many bytes.
  passages   bigint NOT NULL,
  bytes      bigint NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  content    text NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX document_list ON document (tenant_id, created_at, id);
CREATE INDEX document_size ON document (tenant_id, passages);
ALTER TABLE document ENABLE ROW LEVEL SECURITY;
ALTER TABLE document FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON document TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON document FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON document FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON document TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON document TO mainstay_system;

-- A part of a document that is found and read as one.
CREATE TABLE document_passage (
  document_id uuid NOT NULL,
  tenant_id   uuid NOT NULL,
  -- From 0, in the order of the text.
  place       bigint NOT NULL,
  heading     text NOT NULL,
  content     text NOT NULL,
  PRIMARY KEY (document_id, place, tenant_id)
);
ALTER TABLE document_passage ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_passage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON document_passage TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON document_passage FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON document_passage FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, DELETE ON document_passage TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON document_passage TO mainstay_system;

-- A word of a document, and the passages that hold it: "place:weight place:weight". Words are ordered by their bytes, as on
-- SQLite, so that those that begin alike stand together.
CREATE TABLE document_term (
  tenant_id   uuid NOT NULL,
  term        text COLLATE "C" NOT NULL,
  document_id uuid NOT NULL,
  places      text NOT NULL,
  PRIMARY KEY (tenant_id, term, document_id)
);
CREATE INDEX document_term_of ON document_term (document_id, tenant_id);
ALTER TABLE document_term ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_term FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON document_term TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON document_term FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON document_term FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, DELETE ON document_term TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON document_term TO mainstay_system;
