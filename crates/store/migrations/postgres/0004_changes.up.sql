-- One index of changes for all synced rows: each row has one place in its stream, which moves when it changes and stays as
-- a tombstone when it is deleted. Tables of synced rows need no index by number of their own any more.

CREATE TABLE change (
  stream_id  uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  seq        bigint NOT NULL,
  kind       text NOT NULL,
  id         uuid NOT NULL,
  deleted_at timestamptz,
  PRIMARY KEY (stream_id, tenant_id, seq)
);
CREATE INDEX change_tombstone ON change (deleted_at, stream_id, seq) WHERE deleted_at IS NOT NULL;

-- How many rows of a stream are live, and the sum of their numbers: what a client compares with its own.
ALTER TABLE stream ADD COLUMN live_rows bigint NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN live_sum bigint NOT NULL DEFAULT 0;

-- Where a reply in the making stands in its stream; nothing when its conversation was deleted.
ALTER TABLE generation ADD COLUMN seq bigint;
-- Members are synced in the stream of their organisation.
ALTER TABLE membership ADD COLUMN seq bigint NOT NULL DEFAULT 0;

-- The policies bind the owner too, who has to see every row here.
ALTER TABLE conversation NO FORCE ROW LEVEL SECURITY;
ALTER TABLE message NO FORCE ROW LEVEL SECURITY;
ALTER TABLE generation NO FORCE ROW LEVEL SECURITY;
ALTER TABLE membership NO FORCE ROW LEVEL SECURITY;
ALTER TABLE stream NO FORCE ROW LEVEL SECURITY;

INSERT INTO change (stream_id, tenant_id, seq, kind, id, deleted_at)
SELECT person_id, tenant_id, seq, 'conversation', id, deleted_at FROM conversation;
INSERT INTO change (stream_id, tenant_id, seq, kind, id)
SELECT m.person_id, m.tenant_id, m.seq, 'message', m.id
FROM message m JOIN conversation c ON c.id = m.conversation_id AND c.tenant_id = m.tenant_id WHERE c.deleted_at IS NULL;
UPDATE generation SET seq = (
  SELECT x.seq FROM change x JOIN message m ON x.stream_id = m.person_id AND x.tenant_id = m.tenant_id AND x.seq = m.seq
  WHERE m.id = generation.id AND m.tenant_id = generation.tenant_id);

UPDATE membership SET seq = (
  SELECT s.head FROM stream s WHERE s.stream_id = membership.tenant_id AND s.tenant_id = membership.tenant_id) + (
  SELECT count(*) FROM membership o WHERE o.tenant_id = membership.tenant_id AND o.person_id <= membership.person_id);
INSERT INTO change (stream_id, tenant_id, seq, kind, id)
SELECT tenant_id, tenant_id, seq, 'member', person_id FROM membership;
UPDATE stream SET head = (
  SELECT max(x.seq) FROM change x WHERE x.stream_id = stream.stream_id AND x.tenant_id = stream.tenant_id)
WHERE stream_id = tenant_id;
UPDATE stream SET
  live_rows = (SELECT count(*) FROM change x
    WHERE x.stream_id = stream.stream_id AND x.tenant_id = stream.tenant_id AND x.deleted_at IS NULL),
  live_sum = coalesce((SELECT sum(x.seq) FROM change x
    WHERE x.stream_id = stream.stream_id AND x.tenant_id = stream.tenant_id AND x.deleted_at IS NULL), 0);

DROP INDEX conversation_seq;
DROP INDEX message_seq;

ALTER TABLE conversation FORCE ROW LEVEL SECURITY;
ALTER TABLE message FORCE ROW LEVEL SECURITY;
ALTER TABLE generation FORCE ROW LEVEL SECURITY;
ALTER TABLE membership FORCE ROW LEVEL SECURITY;
ALTER TABLE stream FORCE ROW LEVEL SECURITY;

ALTER TABLE change ENABLE ROW LEVEL SECURITY;
ALTER TABLE change FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON change TO mainstay_app
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON change TO mainstay_app;
-- The system finds old tombstones; it changes nothing here.
CREATE POLICY system ON change TO mainstay_system USING (true);
GRANT SELECT (stream_id, tenant_id, seq, deleted_at) ON change TO mainstay_system;
-- A node that is not told of what the others write looks where the streams of its sockets stand.
CREATE POLICY system ON stream TO mainstay_system USING (true);
GRANT SELECT ON stream TO mainstay_system;
