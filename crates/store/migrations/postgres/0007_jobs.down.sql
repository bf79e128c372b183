DROP TABLE job_probe;
DROP TABLE job_schedule;
DROP TABLE job_rate;
DROP TABLE job_queue;
DROP TABLE job_attempt;
DROP TABLE job;
