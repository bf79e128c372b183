ALTER TABLE account_domain DROP COLUMN free_at;
