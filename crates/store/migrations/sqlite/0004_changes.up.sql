-- One index of changes for all synced rows: each row has one place in its stream, which moves when it changes and stays as
-- a tombstone when it is deleted. Tables of synced rows need no index by number of their own any more.

CREATE TABLE change (
  stream_id  BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  seq        INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  id         BLOB NOT NULL,
  deleted_at INTEGER,
  PRIMARY KEY (stream_id, tenant_id, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX change_tombstone ON change (deleted_at, stream_id, seq) WHERE deleted_at IS NOT NULL;

-- How many rows of a stream are live, and the sum of their numbers: what a client compares with its own.
ALTER TABLE stream ADD COLUMN live_rows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN live_sum INTEGER NOT NULL DEFAULT 0;

-- Where a reply in the making stands in its stream; nothing when its conversation was deleted.
ALTER TABLE generation ADD COLUMN seq INTEGER;
-- Members are synced in the stream of their organisation.
ALTER TABLE membership ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;

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
