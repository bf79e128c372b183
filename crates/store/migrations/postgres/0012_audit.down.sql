DROP INDEX person_operator;
DROP TABLE audit_run;
