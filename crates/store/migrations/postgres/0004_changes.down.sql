REVOKE SELECT ON stream FROM mainstay_system;
DROP POLICY system ON stream;
CREATE UNIQUE INDEX message_seq ON message (tenant_id, person_id, seq);
CREATE UNIQUE INDEX conversation_seq ON conversation (tenant_id, person_id, seq);
ALTER TABLE membership DROP COLUMN seq;
ALTER TABLE generation DROP COLUMN seq;
ALTER TABLE stream DROP COLUMN live_sum;
ALTER TABLE stream DROP COLUMN live_rows;
DROP TABLE change;
