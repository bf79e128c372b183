-- When an account may write to a domain again, apart from the turns that were given out: whoever missed a turn has to wait.
ALTER TABLE account_domain ADD COLUMN free_at INTEGER NOT NULL DEFAULT 0;
