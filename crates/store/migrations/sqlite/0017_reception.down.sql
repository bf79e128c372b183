DROP TABLE appointment;
DROP TABLE contact;
DROP TABLE special_day;
DROP TABLE staff_service;
DROP TABLE staff;
DROP TABLE service;
DROP TABLE reception;
