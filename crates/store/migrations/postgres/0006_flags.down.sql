DROP TABLE outcome;
DROP TABLE exposure;
DROP TABLE experiment;
DROP TABLE flag;
