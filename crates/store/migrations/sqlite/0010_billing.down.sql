-- Clients of these streams begin again: an older server does not know the row that has gone.
UPDATE stream SET epoch = epoch + 1, live_rows = live_rows - 1,
  live_sum = live_sum - (SELECT o.seq FROM organisation o WHERE o.tenant_id = stream.tenant_id)
WHERE stream_id = tenant_id
  AND EXISTS (SELECT 1 FROM organisation o WHERE o.tenant_id = stream.tenant_id AND o.seq IS NOT NULL);
DELETE FROM change WHERE kind = 'organisation';
ALTER TABLE organisation DROP COLUMN seq;
DROP TABLE billing_lookup;
DROP TABLE billing_account;
DROP TABLE invoice;
DROP TABLE plan_change;
DROP TABLE subscription;
