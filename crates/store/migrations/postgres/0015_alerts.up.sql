-- How each node was, every ten seconds; and what was wrong, since when, and who was told.

CREATE TABLE node_sample (
  at              timestamptz NOT NULL,
  node            uuid NOT NULL,
  -- What was answered since the sample before: all, those that failed here, those that were refused for limits or a crowd.
  requests        bigint NOT NULL,
  errors          bigint NOT NULL,
  refusals        bigint NOT NULL,
  -- Those whose time counts, and how many of them took no longer than so many milliseconds.
  timed           bigint NOT NULL,
  within_5        bigint NOT NULL,
  within_10       bigint NOT NULL,
  within_25       bigint NOT NULL,
  within_50       bigint NOT NULL,
  within_100      bigint NOT NULL,
  within_250      bigint NOT NULL,
  within_500      bigint NOT NULL,
  within_1000     bigint NOT NULL,
  within_5000     bigint NOT NULL,
  -- Attempts at jobs that ended, how long they took together, and how many run.
  jobs_ended      bigint NOT NULL,
  jobs_ms         bigint NOT NULL,
  jobs_running    bigint NOT NULL,
  sockets         bigint NOT NULL,
  -- In tenths of a per cent; null where the system does not tell.
  connections_use bigint,
  pool_use        bigint,
  processor_use   bigint,
  memory_use      bigint,
  disk_use        bigint,
  files_use       bigint,
  redis_lost      bigint NOT NULL,
  -- The names of services that are left alone, with commas between.
  left_alone      text NOT NULL,
  -- 1 for the last sample of a node that stops as it should.
  leaves          bigint NOT NULL,
  PRIMARY KEY (at, node)
);

GRANT SELECT, INSERT, DELETE ON node_sample TO mainstay_system;

CREATE TABLE alert (
  id          uuid NOT NULL PRIMARY KEY,
  rule        text NOT NULL,
  -- What it is about: a node, a queue, a service; empty for the installation.
  subject     text NOT NULL,
  value       double precision NOT NULL,
  threshold   double precision NOT NULL,
  began_at    timestamptz NOT NULL,
  fired_at    timestamptz,
  -- Since when it is well again, while it is waited whether it stays so.
  calm_at     timestamptz,
  told_at     timestamptz,
  ended_at    timestamptz,
  end_told_at timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON alert TO mainstay_system;
CREATE UNIQUE INDEX alert_open ON alert (rule, subject) WHERE ended_at IS NULL;

CREATE TABLE alert_receipt (
  receiver    text NOT NULL PRIMARY KEY,
  accepted_at timestamptz,
  tested_at   timestamptz,
  failed_at   timestamptz,
  failure     text NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON alert_receipt TO mainstay_system;

-- What went wrong in browsers: the last of each organisation.
CREATE TABLE client_report (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  person_id  uuid NOT NULL,
  page       text NOT NULL,
  version    text NOT NULL,
  message    text NOT NULL,
  detail     text NOT NULL,
  at         timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX client_report_of_tenant ON client_report (tenant_id, id);
ALTER TABLE client_report ENABLE ROW LEVEL SECURITY;
ALTER TABLE client_report FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON client_report TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON client_report FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON client_report FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, DELETE ON client_report TO mainstay_app;
GRANT SELECT, INSERT, DELETE ON client_report TO mainstay_system;

-- The newest sample of each node that has told of itself within five minutes.
CREATE VIEW system_health_node WITH (security_invoker = true) AS
WITH w AS (
  SELECT * FROM node_sample
  WHERE at >= now() - interval '5 minutes'
), newest AS (
  SELECT node, max(at) AS at, sum(requests)::bigint AS requests, sum(errors)::bigint AS errors, sum(refusals)::bigint AS refusals FROM w GROUP BY node
)
SELECT w.node, w.at AS last_seen, newest.requests, newest.errors, newest.refusals, w.jobs_running, w.sockets, w.connections_use,
  w.pool_use, w.processor_use, w.memory_use, w.disk_use, w.files_use, w.redis_lost, w.left_alone, w.leaves
FROM newest JOIN w ON w.node = newest.node AND w.at = newest.at;

-- The last five minutes in one row.
CREATE VIEW system_health WITH (security_invoker = true) AS
WITH w AS (
  SELECT * FROM node_sample
  WHERE at >= now() - interval '5 minutes'
), total AS (
  SELECT coalesce(sum(requests), 0)::bigint AS requests, coalesce(sum(errors), 0)::bigint AS errors, coalesce(sum(refusals), 0)::bigint AS refusals,
    coalesce(sum(timed), 0)::bigint AS timed, sum(within_5)::bigint AS within_5, sum(within_10)::bigint AS within_10, sum(within_25)::bigint AS within_25,
    sum(within_50)::bigint AS within_50, sum(within_100)::bigint AS within_100, sum(within_250)::bigint AS within_250, sum(within_500)::bigint AS within_500,
    sum(within_1000)::bigint AS within_1000, sum(within_5000)::bigint AS within_5000,
    coalesce(sum(jobs_ended), 0)::bigint AS jobs_ended, coalesce(sum(jobs_ms), 0)::bigint AS jobs_ms
  FROM w
), gauges AS (
  SELECT count(*) AS nodes, coalesce(sum(jobs_running), 0)::bigint AS active_jobs, coalesce(sum(sockets), 0)::bigint AS sockets,
    max(pool_use) AS pool_use, max(last_seen) AS last_seen
  FROM system_health_node WHERE leaves = 0
)
SELECT gauges.nodes, gauges.last_seen, total.requests, total.errors, total.refusals,
  CASE WHEN total.requests = 0 THEN 0.0::double precision ELSE total.errors * 100.0::double precision / total.requests END AS error_percent,
  CASE WHEN timed = 0 THEN NULL::bigint WHEN within_5 * 100 >= timed * 50 THEN 5 WHEN within_10 * 100 >= timed * 50 THEN 10
    WHEN within_25 * 100 >= timed * 50 THEN 25 WHEN within_50 * 100 >= timed * 50 THEN 50
    WHEN within_100 * 100 >= timed * 50 THEN 100 WHEN within_250 * 100 >= timed * 50 THEN 250
    WHEN within_500 * 100 >= timed * 50 THEN 500 WHEN within_1000 * 100 >= timed * 50 THEN 1000
    WHEN within_5000 * 100 >= timed * 50 THEN 5000 ELSE 30000 END AS p50_ms,
  CASE WHEN timed = 0 THEN NULL::bigint WHEN within_5 * 100 >= timed * 95 THEN 5 WHEN within_10 * 100 >= timed * 95 THEN 10
    WHEN within_25 * 100 >= timed * 95 THEN 25 WHEN within_50 * 100 >= timed * 95 THEN 50
    WHEN within_100 * 100 >= timed * 95 THEN 100 WHEN within_250 * 100 >= timed * 95 THEN 250
    WHEN within_500 * 100 >= timed * 95 THEN 500 WHEN within_1000 * 100 >= timed * 95 THEN 1000
    WHEN within_5000 * 100 >= timed * 95 THEN 5000 ELSE 30000 END AS p95_ms,
  CASE WHEN timed = 0 THEN NULL::bigint WHEN within_5 * 100 >= timed * 99 THEN 5 WHEN within_10 * 100 >= timed * 99 THEN 10
    WHEN within_25 * 100 >= timed * 99 THEN 25 WHEN within_50 * 100 >= timed * 99 THEN 50
    WHEN within_100 * 100 >= timed * 99 THEN 100 WHEN within_250 * 100 >= timed * 99 THEN 250
    WHEN within_500 * 100 >= timed * 99 THEN 500 WHEN within_1000 * 100 >= timed * 99 THEN 1000
    WHEN within_5000 * 100 >= timed * 99 THEN 5000 ELSE 30000 END AS p99_ms,
  gauges.active_jobs, CASE WHEN jobs_ended = 0 THEN NULL::double precision ELSE jobs_ms * 1.0::double precision / jobs_ended END AS mean_job_ms,
  gauges.sockets, gauges.pool_use / 10.0::double precision AS pool_percent
FROM total CROSS JOIN gauges;
GRANT SELECT ON system_health_node, system_health TO mainstay_system;
