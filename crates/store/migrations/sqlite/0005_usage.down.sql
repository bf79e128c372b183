ALTER TABLE message DROP COLUMN cost_micros;
DROP TABLE reservation;
DROP TABLE budget;
DROP TABLE usage_month;
DROP TABLE plan;
