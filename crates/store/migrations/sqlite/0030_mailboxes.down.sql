ALTER TABLE campaign DROP COLUMN postal_address;
DROP INDEX email_unknown_of_account;
DROP TABLE mailbox;
