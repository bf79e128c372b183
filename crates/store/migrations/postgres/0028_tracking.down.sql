DROP TABLE email_hit;
ALTER TABLE sending_account DROP COLUMN tracking_domain;
ALTER TABLE campaign DROP COLUMN goal_url;
