-- An older release cannot open what was sealed. Senders and endpoints stay, switched off and without their secrets: each
-- has to be given new ones. The key that signs tokens is made anew, so that everybody signs in again.
-- The policies bind the owner too, who has to see every row here.
ALTER TABLE inbox_source NO FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoint NO FORCE ROW LEVEL SECURITY;
UPDATE inbox_source SET scheme = '{"settings":{"mode":"shared_secret"},"secrets":[]}', disabled_at = coalesce(disabled_at, now())
WHERE substr(scheme, 1, 8) = 'sealed1:';
UPDATE webhook_endpoint SET secrets = '[]', state = 'disabled', disabled_reason = coalesce(disabled_reason, 'asked'),
  disabled_at = coalesce(disabled_at, now())
WHERE substr(secrets, 1, 8) = 'sealed1:';
DELETE FROM signing_key WHERE substr(secret, 1, 8) = 'sealed1:';
ALTER TABLE inbox_source FORCE ROW LEVEL SECURITY;
ALTER TABLE webhook_endpoint FORCE ROW LEVEL SECURITY;
REVOKE SELECT, UPDATE ON signing_key FROM mainstay_system;
REVOKE SELECT (id, tenant_id, scheme), UPDATE (scheme) ON inbox_source FROM mainstay_system;
DROP POLICY worker ON inbox_source;
DROP POLICY system ON inbox_source;
DROP INDEX webhook_endpoint_plain;
DROP INDEX webhook_endpoint_sealed;
DROP INDEX inbox_source_plain;
DROP INDEX inbox_source_sealed;
ALTER TABLE signing_key DROP COLUMN tenant_id;
ALTER TABLE signing_key DROP COLUMN id;
DROP TABLE key_holder;
DROP TABLE key_use;
DROP TABLE encryption_key;
