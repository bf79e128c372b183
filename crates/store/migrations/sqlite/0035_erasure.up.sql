-- On PostgreSQL the login that owns the tables may change the rows of all organisations to erase somebody. A file has no logins.
SELECT 1;
