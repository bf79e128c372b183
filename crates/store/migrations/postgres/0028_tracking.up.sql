-- What readers and machines do with emails.

-- A link whose address begins so is what the campaign is for.
ALTER TABLE campaign ADD COLUMN goal_url text;
-- The name under which links of its emails are followed; nothing for that of this server.
ALTER TABLE sending_account ADD COLUMN tracking_domain text;

-- What was done with an email: its image or one of its links, by people or by machines. There are at most two for each.
CREATE TABLE email_hit (
  email_id   uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  -- 0 for the image, then the links from 1; equal links are one.
  link       bigint NOT NULL,
  visitor    text NOT NULL CHECK (visitor IN ('human', 'machine')),
  -- Why the last one was taken for a machine.
  reason     text,
  hits       bigint NOT NULL,
  first_at   timestamptz NOT NULL,
  last_at    timestamptz NOT NULL,
  PRIMARY KEY (email_id, link, visitor, tenant_id)
);
ALTER TABLE email_hit ENABLE ROW LEVEL SECURITY;
ALTER TABLE email_hit FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON email_hit TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON email_hit FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON email_hit FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON email_hit TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON email_hit TO mainstay_system;
