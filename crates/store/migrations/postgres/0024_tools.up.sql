-- What the assistant did in a reply, the words that calls are found by, and what is masked in them.

-- Each use of a tool as JSON; nothing for most. What a reply in the making has done is kept with its text.
ALTER TABLE message ADD COLUMN tools text;
ALTER TABLE generation ADD COLUMN tools text;

-- A word of a call: of what was said, of its summary, of who called; and the ends of the caller's number.
CREATE TABLE phone_call_term (
  tenant_id  uuid NOT NULL,
  term       text NOT NULL,
  -- When the call was first heard of: calls are found the last first.
  created_at timestamptz NOT NULL,
  call_id    uuid NOT NULL,
  PRIMARY KEY (tenant_id, term, created_at, call_id)
);
CREATE INDEX phone_call_term_of ON phone_call_term (tenant_id, call_id);
ALTER TABLE phone_call_term ENABLE ROW LEVEL SECURITY;
ALTER TABLE phone_call_term FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON phone_call_term TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON phone_call_term FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON phone_call_term FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_call_term TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_call_term TO mainstay_system;

-- Whether its words are there: 0 until they are, also for calls from before this.
ALTER TABLE phone_call ADD COLUMN indexed bigint NOT NULL DEFAULT 0;
CREATE INDEX phone_call_not_indexed ON phone_call (created_at, id) WHERE indexed = 0;

-- Searches are noted, too.
ALTER TABLE access_log DROP CONSTRAINT access_log_what_check;
ALTER TABLE access_log ADD CONSTRAINT access_log_what_check CHECK (what IN ('call', 'calls', 'contact', 'contacts'));

-- What is replaced in what was said before it is kept: words of card, email and phone.
ALTER TABLE phone_agent ADD COLUMN mask text NOT NULL DEFAULT 'card';
