-- Jobs: work that was promised by the transaction that enqueued it, and what became of it.

-- Every transition of a job names the number in `lease` that it saw, and adds one: whoever comes late finds no row.
CREATE TABLE job (
  id              BLOB NOT NULL PRIMARY KEY,
  queue           TEXT NOT NULL,
  kind            TEXT NOT NULL,
  -- What its limits and its turn are counted by within the queue: an organisation, a host, an endpoint.
  group_key       TEXT NOT NULL CHECK (group_key <> ''),
  -- Whose it is; the nil UUID for the installation's own.
  tenant_id       BLOB NOT NULL,
  state           TEXT NOT NULL CHECK (state IN ('scheduled', 'ready', 'running', 'done', 'dead', 'cancelled')),
  priority        INTEGER NOT NULL,
  arguments       TEXT NOT NULL,
  unique_key      TEXT,
  -- 1 when the key stays after the job has ended, as long as the row does.
  unique_kept     INTEGER NOT NULL,
  run_at          INTEGER NOT NULL,
  attempt         INTEGER NOT NULL,
  most_attempts   INTEGER NOT NULL,
  lease           INTEGER NOT NULL,
  -- The number of the worker's lease while it runs.
  worker          INTEGER NOT NULL,
  keep_until      INTEGER NOT NULL,
  created_at      INTEGER NOT NULL,
  started_at      INTEGER,
  finished_at     INTEGER,
  cancel_asked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX job_unique ON job (kind, unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX job_ready ON job (queue, priority, group_key, run_at, id) WHERE state = 'ready';
CREATE INDEX job_scheduled ON job (run_at, id) WHERE state = 'scheduled';
CREATE INDEX job_running ON job (queue, group_key) WHERE state = 'running';
CREATE INDEX job_cancel ON job (worker) WHERE cancel_asked_at IS NOT NULL AND state = 'running';
CREATE INDEX job_dead ON job (id) WHERE state = 'dead';
CREATE INDEX job_finished ON job (keep_until) WHERE finished_at IS NOT NULL;

-- An attempt that did not end in success, with its error.
CREATE TABLE job_attempt (
  job_id     BLOB NOT NULL,
  -- The job's number under which it ran.
  lease      INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  outcome    TEXT NOT NULL,
  error      TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at   INTEGER NOT NULL,
  PRIMARY KEY (job_id, lease)
) STRICT, WITHOUT ROWID;

-- A queue. The lock of its row is what makes limits that span nodes exact.
CREATE TABLE job_queue (
  name      TEXT NOT NULL PRIMARY KEY,
  -- The group that was served last, for each priority, as JSON.
  turns     TEXT NOT NULL,
  paused_at INTEGER
) STRICT, WITHOUT ROWID;

-- When a rate that jobs are begun at is used up to, for a queue (its group is empty) or a group of it.
CREATE TABLE job_rate (
  queue     TEXT NOT NULL,
  group_key TEXT NOT NULL,
  full_at   INTEGER NOT NULL,
  PRIMARY KEY (queue, group_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_rate_full ON job_rate (full_at);

-- A schedule, and the tick that is due next.
CREATE TABLE job_schedule (
  name       TEXT NOT NULL PRIMARY KEY,
  definition TEXT NOT NULL,
  next_at    INTEGER NOT NULL,
  last_at    INTEGER,
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What probes left behind: each key says how often its effect took place.
CREATE TABLE job_probe (
  key      TEXT NOT NULL PRIMARY KEY,
  effects  INTEGER NOT NULL,
  happened_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX job_probe_age ON job_probe (happened_at);
