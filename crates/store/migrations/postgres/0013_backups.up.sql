-- Backups that were made, drills that restored one, and which installation this is.

CREATE TABLE installation (
  only_row bigint NOT NULL PRIMARY KEY CHECK (only_row = 1),
  id       uuid NOT NULL
);

CREATE TABLE backup (
  -- When it began and some letters of chance, as the place where it is kept names it.
  id         text COLLATE "C" NOT NULL PRIMARY KEY,
  state      text NOT NULL CHECK (state IN ('running', 'complete', 'failed', 'deleted')),
  place      text NOT NULL,
  -- Chance that only the database and, as a digest, the backup know: it is there before the first byte is read, so a copy
  -- that lacks it is not a copy of this moment.
  canary     text NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at   timestamptz,
  -- As stored: compressed, and encrypted if asked.
  bytes      bigint NOT NULL,
  rows       bigint NOT NULL,
  encrypted  boolean NOT NULL,
  error      text
);

CREATE TABLE restore_drill (
  id                text COLLATE "C" NOT NULL PRIMARY KEY,
  at                timestamptz NOT NULL,
  backup            text NOT NULL,
  passed            boolean NOT NULL,
  recovery_point_ms bigint NOT NULL,
  recovery_time_ms  bigint NOT NULL,
  detail            text NOT NULL
);
GRANT SELECT, INSERT ON installation TO mainstay_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON backup TO mainstay_system;
GRANT SELECT, INSERT, DELETE ON restore_drill TO mainstay_system;

-- Who owns the tables reads all of them for a backup, and writes nothing by this. Requests never have this role: they take
-- the app's or the system's, which the policies of tenants bind.
DO $$
DECLARE guarded record;
BEGIN
  FOR guarded IN
    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relforcerowsecurity
  LOOP
    EXECUTE format('CREATE POLICY backup ON %I FOR SELECT TO CURRENT_USER USING (true)', guarded.relname);
  END LOOP;
END $$;
