-- What readers and machines do with emails.

-- A link whose address begins so is what the campaign is for.
ALTER TABLE campaign ADD COLUMN goal_url TEXT;
-- The name under which links of its emails are followed; nothing for that of this server.
ALTER TABLE sending_account ADD COLUMN tracking_domain TEXT;

-- What was done with an email: its image or one of its links, by people or by machines. There are at most two for each.
CREATE TABLE email_hit (
  email_id   BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  -- 0 for the image, then the links from 1; equal links are one.
  link       INTEGER NOT NULL,
  visitor    TEXT NOT NULL CHECK (visitor IN ('human', 'machine')),
  -- Why the last one was taken for a machine.
  reason     TEXT,
  hits       INTEGER NOT NULL,
  first_at   INTEGER NOT NULL,
  last_at    INTEGER NOT NULL,
  PRIMARY KEY (email_id, link, visitor, tenant_id)
) STRICT, WITHOUT ROWID;
