-- Images that people send with messages, made anew by the server.

CREATE TABLE image (
  id              BLOB NOT NULL,
  tenant_id       BLOB NOT NULL,
  -- Who has sent it, and alone may see it.
  person_id       BLOB NOT NULL,
  -- The message that carries it, and where that stands; nothing until it is sent.
  message_id      BLOB,
  conversation_id BLOB,
  -- Its media type, image/png or image/jpeg; its size in pixels and in bytes; digests of what is kept and of what was sent.
  kind            TEXT NOT NULL,
  width           INTEGER NOT NULL,
  height          INTEGER NOT NULL,
  bytes           INTEGER NOT NULL,
  sha256          TEXT NOT NULL,
  source_sha256   TEXT NOT NULL,
  created_at      INTEGER NOT NULL,
  content         BLOB NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
-- What somebody uploads twice before it is sent is there once.
CREATE UNIQUE INDEX image_unsent ON image (tenant_id, person_id, source_sha256) WHERE message_id IS NULL;
CREATE INDEX image_old ON image (created_at) WHERE message_id IS NULL;
CREATE INDEX image_of_conversation ON image (tenant_id, conversation_id);

-- What a message carries, as JSON; nothing for most.
ALTER TABLE message ADD COLUMN images TEXT;
