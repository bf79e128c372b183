DROP TABLE generation;
DROP TABLE message;
DROP TABLE conversation;
DROP TABLE idempotency;
DROP TABLE stream;
