-- An older release cannot open what was sealed. Senders and endpoints stay, switched off and without their secrets: each
-- has to be given new ones. The key that signs tokens is made anew, so that everybody signs in again.
UPDATE inbox_source SET scheme = '{"settings":{"mode":"shared_secret"},"secrets":[]}', disabled_at = coalesce(disabled_at, CAST(strftime('%s', 'now') AS INTEGER) * 1000)
WHERE substr(scheme, 1, 8) = 'sealed1:';
UPDATE webhook_endpoint SET secrets = '[]', state = 'disabled', disabled_reason = coalesce(disabled_reason, 'asked'),
  disabled_at = coalesce(disabled_at, CAST(strftime('%s', 'now') AS INTEGER) * 1000)
WHERE substr(secrets, 1, 8) = 'sealed1:';
DELETE FROM signing_key WHERE substr(secret, 1, 8) = 'sealed1:';
DROP INDEX webhook_endpoint_plain;
DROP INDEX webhook_endpoint_sealed;
DROP INDEX inbox_source_plain;
DROP INDEX inbox_source_sealed;
ALTER TABLE signing_key DROP COLUMN tenant_id;
ALTER TABLE signing_key DROP COLUMN id;
DROP TABLE key_holder;
DROP TABLE key_use;
DROP TABLE encryption_key;
