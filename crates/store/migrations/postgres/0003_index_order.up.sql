-- The order of a conversation's messages, led by the conversation: conversations are numbered by time, so what is written
-- lies together at the end of the index and not wherever its organisation happens to be.
CREATE UNIQUE INDEX message_place ON message (conversation_id, ordinal, tenant_id);
DROP INDEX message_ordinal;

-- The replies of a lease are taken up in the order of their ids, however many there are.
CREATE INDEX generation_held ON generation (lease, id);
DROP INDEX generation_lease;
