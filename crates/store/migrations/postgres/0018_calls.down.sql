DROP TABLE access_log;
DROP TABLE phone_message;
DROP TABLE phone_call_action;
DROP TABLE phone_agent;
DROP TABLE phone_call;
DROP TABLE board;
