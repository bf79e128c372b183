DROP TABLE audit_event;
DROP TABLE audit_trail;
