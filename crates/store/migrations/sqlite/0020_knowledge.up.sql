-- What an organisation knows: its documents, their passages, and the words that these are found by.

CREATE TABLE document (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  title      TEXT NOT NULL,
  -- How its words are compared: simple or english.
  language   TEXT NOT NULL,
  -- How many passages it has, and how many bytes.
  passages   INTEGER NOT NULL,
  bytes      INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  content    TEXT NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_list ON document (tenant_id, created_at, id);
CREATE INDEX document_size ON document (tenant_id, passages);

-- A part of a document that is found and read as one.
CREATE TABLE document_passage (
  document_id BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  -- From 0, in the order of the text.
  place       INTEGER NOT NULL,
  heading     TEXT NOT NULL,
  content     TEXT NOT NULL,
  PRIMARY KEY (document_id, place, tenant_id)
) STRICT, WITHOUT ROWID;

-- A word of a document, and the passages that hold it: "place:weight place:weight".
CREATE TABLE document_term (
  tenant_id   BLOB NOT NULL,
  term        TEXT NOT NULL,
  document_id BLOB NOT NULL,
  places      TEXT NOT NULL,
  PRIMARY KEY (tenant_id, term, document_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX document_term_of ON document_term (document_id, tenant_id);
