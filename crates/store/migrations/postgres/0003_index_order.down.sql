CREATE INDEX generation_lease ON generation (lease);
DROP INDEX generation_held;
CREATE UNIQUE INDEX message_ordinal ON message (tenant_id, conversation_id, ordinal);
DROP INDEX message_place;
