-- Jobs: work that was promised by the transaction that enqueued it, and what became of it.

-- Every transition of a job names the number in `lease` that it saw, and adds one: whoever comes late finds no row.
-- The table is written a lot; it is vacuumed early, so that what has gone does not stand in the way of what is ready.
CREATE TABLE job (
  id              uuid NOT NULL PRIMARY KEY,
  queue           text NOT NULL,
  kind            text NOT NULL,
  -- What its limits and its turn are counted by within the queue: an organisation, a host, an endpoint.
  group_key       text COLLATE "C" NOT NULL CHECK (group_key <> ''),
  -- Whose it is; the nil UUID for the installation's own.
  tenant_id       uuid NOT NULL,
  state           text NOT NULL CHECK (state IN ('scheduled', 'ready', 'running', 'done', 'dead', 'cancelled')),
  priority        bigint NOT NULL,
  arguments       text NOT NULL,
  unique_key      text,
  -- 1 when the key stays after the job has ended, as long as the row does.
  unique_kept     bigint NOT NULL,
  run_at          timestamptz NOT NULL,
  attempt         bigint NOT NULL,
  most_attempts   bigint NOT NULL,
  lease           bigint NOT NULL,
  -- The number of the worker's lease while it runs.
  worker          bigint NOT NULL,
  keep_until      timestamptz NOT NULL,
  created_at      timestamptz NOT NULL,
  started_at      timestamptz,
  finished_at     timestamptz,
  cancel_asked_at timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX job_unique ON job (kind, unique_key) WHERE unique_key IS NOT NULL;
CREATE INDEX job_ready ON job (queue, priority, group_key, run_at, id) WHERE state = 'ready';
CREATE INDEX job_scheduled ON job (run_at, id) WHERE state = 'scheduled';
CREATE INDEX job_running ON job (queue, group_key) WHERE state = 'running';
CREATE INDEX job_cancel ON job (worker) WHERE cancel_asked_at IS NOT NULL AND state = 'running';
CREATE INDEX job_dead ON job (id) WHERE state = 'dead';
CREATE INDEX job_finished ON job (keep_until) WHERE finished_at IS NOT NULL;

-- An attempt that did not end in success, with its error.
CREATE TABLE job_attempt (
  job_id     uuid NOT NULL,
  -- The job's number under which it ran.
  lease      bigint NOT NULL,
  attempt    bigint NOT NULL,
  outcome    text NOT NULL,
  error      text NOT NULL,
  started_at timestamptz NOT NULL,
  ended_at   timestamptz NOT NULL,
  PRIMARY KEY (job_id, lease)
);

-- A queue. The lock of its row is what makes limits that span nodes exact.
CREATE TABLE job_queue (
  name      text NOT NULL PRIMARY KEY,
  -- The group that was served last, for each priority, as JSON.
  turns     text NOT NULL,
  paused_at timestamptz
);

-- When a rate that jobs are begun at is used up to, for a queue (its group is empty) or a group of it.
CREATE TABLE job_rate (
  queue     text NOT NULL,
  group_key text COLLATE "C" NOT NULL,
  full_at   timestamptz NOT NULL,
  PRIMARY KEY (queue, group_key)
);
CREATE INDEX job_rate_full ON job_rate (full_at);

-- A schedule, and the tick that is due next.
CREATE TABLE job_schedule (
  name       text NOT NULL PRIMARY KEY,
  definition text NOT NULL,
  next_at    timestamptz NOT NULL,
  last_at    timestamptz,
  updated_at timestamptz NOT NULL
);

-- What probes left behind: each key says how often its effect took place.
CREATE TABLE job_probe (
  key      text COLLATE "C" NOT NULL PRIMARY KEY,
  effects  bigint NOT NULL,
  happened_at timestamptz NOT NULL
);
CREATE INDEX job_probe_age ON job_probe (happened_at);

-- System tables: workers read them across organisations. Whoever serves a request may promise a job, and learn whether
-- one with its key was promised already.
GRANT INSERT, SELECT (id, kind, unique_key) ON job TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON job, job_attempt, job_queue, job_rate, job_schedule, job_probe TO mainstay_system;
