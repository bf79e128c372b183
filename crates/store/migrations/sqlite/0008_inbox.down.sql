DROP TABLE inbox_subject;
DROP TABLE inbox_event;
DROP TABLE inbox_key;
DROP TABLE inbox_source;
