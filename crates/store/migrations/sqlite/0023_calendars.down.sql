DROP TABLE calendar_feed;
DROP TABLE calendar_conflict;
DROP TABLE calendar_busy;
DROP TABLE calendar_entry;
DROP TABLE calendar_sign_in;
DROP TABLE calendar_connection;
