-- Images that people send with messages, made anew by the server.

CREATE TABLE image (
  id              uuid NOT NULL,
  tenant_id       uuid NOT NULL,
  -- Who has sent it, and alone may see it.
  person_id       uuid NOT NULL,
  -- The message that carries it, and where that stands; nothing until it is sent.
  message_id      uuid,
  conversation_id uuid,
  -- Its media type, image/png or image/jpeg; its size in pixels and in bytes; digests of what is kept and of what was sent.
  kind            text NOT NULL,
  width           bigint NOT NULL,
  height          bigint NOT NULL,
  bytes           bigint NOT NULL,
  sha256          text NOT NULL,
  source_sha256   text NOT NULL,
  created_at      timestamptz NOT NULL,
  content         bytea NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
-- What somebody uploads twice before it is sent is there once.
CREATE UNIQUE INDEX image_unsent ON image (tenant_id, person_id, source_sha256) WHERE message_id IS NULL;
CREATE INDEX image_old ON image (created_at) WHERE message_id IS NULL;
CREATE INDEX image_of_conversation ON image (tenant_id, conversation_id);
ALTER TABLE image ENABLE ROW LEVEL SECURITY;
ALTER TABLE image FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON image TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON image FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON image FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON image TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON image TO mainstay_system;

-- What a message carries, as JSON; nothing for most.
ALTER TABLE message ADD COLUMN images text;
