-- How each node was, every ten seconds; and what was wrong, since when, and who was told.

CREATE TABLE node_sample (
  at              INTEGER NOT NULL,
  node            BLOB NOT NULL,
  -- What was answered since the sample before: all, those that failed here, those that were refused for limits or a crowd.
  requests        INTEGER NOT NULL,
  errors          INTEGER NOT NULL,
  refusals        INTEGER NOT NULL,
  -- Those whose time counts, and how many of them took no longer than so many milliseconds.
  timed           INTEGER NOT NULL,
  within_5        INTEGER NOT NULL,
  within_10       INTEGER NOT NULL,
  within_25       INTEGER NOT NULL,
  within_50       INTEGER NOT NULL,
  within_100      INTEGER NOT NULL,
  within_250      INTEGER NOT NULL,
  within_500      INTEGER NOT NULL,
  within_1000     INTEGER NOT NULL,
  within_5000     INTEGER NOT NULL,
  -- Attempts at jobs that ended, how long they took together, and how many run.
  jobs_ended      INTEGER NOT NULL,
  jobs_ms         INTEGER NOT NULL,
  jobs_running    INTEGER NOT NULL,
  sockets         INTEGER NOT NULL,
  -- In tenths of a per cent; null where the system does not tell.
  connections_use INTEGER,
  pool_use        INTEGER,
  processor_use   INTEGER,
  memory_use      INTEGER,
  disk_use        INTEGER,
  files_use       INTEGER,
  redis_lost      INTEGER NOT NULL,
  -- The names of services that are left alone, with commas between.
  left_alone      TEXT NOT NULL,
  -- 1 for the last sample of a node that stops as it should.
  leaves          INTEGER NOT NULL,
  PRIMARY KEY (at, node)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert (
  id          BLOB NOT NULL PRIMARY KEY,
  rule        TEXT NOT NULL,
  -- What it is about: a node, a queue, a service; empty for the installation.
  subject     TEXT NOT NULL,
  value       REAL NOT NULL,
  threshold   REAL NOT NULL,
  began_at    INTEGER NOT NULL,
  fired_at    INTEGER,
  -- Since when it is well again, while it is waited whether it stays so.
  calm_at     INTEGER,
  told_at     INTEGER,
  ended_at    INTEGER,
  end_told_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX alert_open ON alert (rule, subject) WHERE ended_at IS NULL;

CREATE TABLE alert_receipt (
  receiver    TEXT NOT NULL PRIMARY KEY,
  accepted_at INTEGER,
  tested_at   INTEGER,
  failed_at   INTEGER,
  failure     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What went wrong in browsers: the last of each organisation.
CREATE TABLE client_report (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  person_id  BLOB NOT NULL,
  page       TEXT NOT NULL,
  version    TEXT NOT NULL,
  message    TEXT NOT NULL,
  detail     TEXT NOT NULL,
  at         INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_report_of_tenant ON client_report (tenant_id, id);

-- The newest sample of each node that has told of itself within five minutes.
CREATE VIEW system_health_node AS
WITH w AS (
  SELECT * FROM node_sample
  WHERE at >= CAST(unixepoch('subsec') * 1000 AS INTEGER) - 300000
), newest AS (
  SELECT node, max(at) AS at, sum(requests) AS requests, sum(errors) AS errors, sum(refusals) AS refusals FROM w GROUP BY node
)
SELECT w.node, w.at AS last_seen, newest.requests, newest.errors, newest.refusals, w.jobs_running, w.sockets, w.connections_use,
  w.pool_use, w.processor_use, w.memory_use, w.disk_use, w.files_use, w.redis_lost, w.left_alone, w.leaves
FROM newest JOIN w ON w.node = newest.node AND w.at = newest.at;

-- The last five minutes in one row.
CREATE VIEW system_health AS
WITH w AS (
  SELECT * FROM node_sample
  WHERE at >= CAST(unixepoch('subsec') * 1000 AS INTEGER) - 300000
), total AS (
  SELECT coalesce(sum(requests), 0) AS requests, coalesce(sum(errors), 0) AS errors, coalesce(sum(refusals), 0) AS refusals,
    coalesce(sum(timed), 0) AS timed, sum(within_5) AS within_5, sum(within_10) AS within_10, sum(within_25) AS within_25,
    sum(within_50) AS within_50, sum(within_100) AS within_100, sum(within_250) AS within_250, sum(within_500) AS within_500,
    sum(within_1000) AS within_1000, sum(within_5000) AS within_5000,
    coalesce(sum(jobs_ended), 0) AS jobs_ended, coalesce(sum(jobs_ms), 0) AS jobs_ms
  FROM w
), gauges AS (
  SELECT count(*) AS nodes, coalesce(sum(jobs_running), 0) AS active_jobs, coalesce(sum(sockets), 0) AS sockets,
    max(pool_use) AS pool_use, max(last_seen) AS last_seen
  FROM system_health_node WHERE leaves = 0
)
SELECT gauges.nodes, gauges.last_seen, total.requests, total.errors, total.refusals,
  CASE WHEN total.requests = 0 THEN 0.0 ELSE total.errors * 100.0 / total.requests END AS error_percent,
  CASE WHEN timed = 0 THEN NULL WHEN within_5 * 100 >= timed * 50 THEN 5 WHEN within_10 * 100 >= timed * 50 THEN 10
    WHEN within_25 * 100 >= timed * 50 THEN 25 WHEN within_50 * 100 >= timed * 50 THEN 50
    WHEN within_100 * 100 >= timed * 50 THEN 100 WHEN within_250 * 100 >= timed * 50 THEN 250
    WHEN within_500 * 100 >= timed * 50 THEN 500 WHEN within_1000 * 100 >= timed * 50 THEN 1000
    WHEN within_5000 * 100 >= timed * 50 THEN 5000 ELSE 30000 END AS p50_ms,
  CASE WHEN timed = 0 THEN NULL WHEN within_5 * 100 >= timed * 95 THEN 5 WHEN within_10 * 100 >= timed * 95 THEN 10
    WHEN within_25 * 100 >= timed * 95 THEN 25 WHEN within_50 * 100 >= timed * 95 THEN 50
    WHEN within_100 * 100 >= timed * 95 THEN 100 WHEN within_250 * 100 >= timed * 95 THEN 250
    WHEN within_500 * 100 >= timed * 95 THEN 500 WHEN within_1000 * 100 >= timed * 95 THEN 1000
    WHEN within_5000 * 100 >= timed * 95 THEN 5000 ELSE 30000 END AS p95_ms,
  CASE WHEN timed = 0 THEN NULL WHEN within_5 * 100 >= timed * 99 THEN 5 WHEN within_10 * 100 >= timed * 99 THEN 10
    WHEN within_25 * 100 >= timed * 99 THEN 25 WHEN within_50 * 100 >= timed * 99 THEN 50
    WHEN within_100 * 100 >= timed * 99 THEN 100 WHEN within_250 * 100 >= timed * 99 THEN 250
    WHEN within_500 * 100 >= timed * 99 THEN 500 WHEN within_1000 * 100 >= timed * 99 THEN 1000
    WHEN within_5000 * 100 >= timed * 99 THEN 5000 ELSE 30000 END AS p99_ms,
  gauges.active_jobs, CASE WHEN jobs_ended = 0 THEN NULL ELSE jobs_ms * 1.0 / jobs_ended END AS mean_job_ms,
  gauges.sockets, gauges.pool_use / 10.0 AS pool_percent
FROM total CROSS JOIN gauges;
