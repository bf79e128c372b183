DROP TABLE control_change;
DROP TABLE control;
