DROP VIEW system_health;
DROP VIEW system_health_node;
DROP TABLE client_report;
DROP TABLE alert_receipt;
DROP TABLE alert;
DROP TABLE node_sample;
