DROP TABLE text_opt_out;
DROP TABLE text_message;
DROP TABLE text_settings;
