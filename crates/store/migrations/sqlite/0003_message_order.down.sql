CREATE UNIQUE INDEX message_ordinal ON message (tenant_id, conversation_id, ordinal);
DROP INDEX message_place;
