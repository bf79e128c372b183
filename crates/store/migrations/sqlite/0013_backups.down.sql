DROP TABLE restore_drill;
DROP TABLE backup;
DROP TABLE installation;
