-- Lists of people that are read into campaigns.

-- A list as far as it is read. The file itself is not kept: whoever has it goes on from the offset.
CREATE TABLE lead_import (
  id          BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  campaign_id BLOB NOT NULL,
  -- What the file is called.
  name        TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('running', 'finished', 'cancelled')),
  -- How large it is, where that was said.
  bytes       INTEGER,
  -- Its encoding, its delimiter and its header, as JSON, once they are read.
  form        TEXT,
  -- What each column is, as JSON; what its name says, where nobody has said.
  columns     TEXT,
  -- What is read: so many bytes, and the line that follows.
  read_bytes  INTEGER NOT NULL,
  line        INTEGER NOT NULL,
  -- Rows, and what became of them.
  rows        INTEGER NOT NULL,
  added       INTEGER NOT NULL,
  duplicates  INTEGER NOT NULL,
  suppressed  INTEGER NOT NULL,
  bad         INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX lead_import_list ON lead_import (tenant_id, campaign_id, id);
CREATE INDEX lead_import_age ON lead_import (updated_at);

-- What is wrong with rows of a list.
CREATE TABLE lead_import_fault (
  import_id   BLOB NOT NULL,
  tenant_id   BLOB NOT NULL,
  -- The line that the row begins on, and which of its faults it is.
  line        INTEGER NOT NULL,
  place       INTEGER NOT NULL,
  -- What the column is called; empty for the whole row.
  column_name TEXT NOT NULL,
  code        TEXT NOT NULL,
  detail      TEXT NOT NULL,
  -- How the row begins.
  excerpt     TEXT NOT NULL,
  PRIMARY KEY (import_id, line, place, tenant_id)
) STRICT, WITHOUT ROWID;
