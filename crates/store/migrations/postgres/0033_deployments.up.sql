-- What was deployed where and when, and what came of it. Entries are never changed.

CREATE TABLE deployment (
  id           uuid NOT NULL PRIMARY KEY,
  environment  text COLLATE "C" NOT NULL,
  version      text NOT NULL,
  commit_id    text NOT NULL,
  -- SHA-256 of the program, in hexadecimal.
  digest       text NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('deploy', 'rollback')),
  outcome      text NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'rolled_back')),
  reason       text NOT NULL,
  who          text NOT NULL,
  began_at     timestamptz NOT NULL,
  ended_at     timestamptz NOT NULL
);
GRANT SELECT, INSERT, DELETE ON deployment TO mainstay_system;

CREATE INDEX deployment_environment ON deployment (environment, id);
