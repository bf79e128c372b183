DROP INDEX text_message_owed;
