ALTER TABLE message DROP COLUMN images;
DROP TABLE image;
