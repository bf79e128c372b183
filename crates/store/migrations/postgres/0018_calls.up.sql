-- Calls: what happened in them, what came of them, and what is left to do; and the board that whoever watches looks at.

-- Counts what happens at the reception. It is one small row that syncs, so that whoever watches knows when to look again.
CREATE TABLE board (
  tenant_id    uuid NOT NULL,
  -- Under which it syncs.
  id           uuid NOT NULL,
  -- Its place in the stream of the organisation; 0 before it has one.
  seq          bigint NOT NULL,
  appointments bigint NOT NULL,
  calls        bigint NOT NULL,
  PRIMARY KEY (tenant_id)
);
ALTER TABLE board ENABLE ROW LEVEL SECURITY;
ALTER TABLE board FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON board TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON board FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON board FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON board TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON board TO mainstay_system;

-- A call, of which several events tell in any order.
CREATE TABLE phone_call (
  id            uuid NOT NULL,
  tenant_id     uuid NOT NULL,
  -- The provider's id of it.
  provider_id   text COLLATE "C" NOT NULL,
  direction     text NOT NULL CHECK (direction IN ('inbound', 'outbound', 'web')),
  state         text NOT NULL CHECK (state IN ('scheduled', 'queued', 'ringing', 'in_progress', 'forwarding', 'ended', 'lost')),
  -- Who called, or was called (E.164), and who that is.
  number        text,
  contact_id    uuid,
  started_at    timestamptz,
  ended_at      timestamptz,
  -- When something of it was last told, by the clock of whoever told it.
  heard_at      timestamptz NOT NULL,
  ended_reason  text,
  -- When the report came that is made after a call. Everything below is from it.
  reported_at   timestamptz,
  summary       text,
  -- What was said, as JSON: who, what, and when after the beginning.
  transcript    text,
  recording_url text,
  -- In millionths of a dollar.
  cost_micros   bigint,
  -- The most that the agent did in it.
  outcome       text,
  created_at    timestamptz NOT NULL,
  updated_at    timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE UNIQUE INDEX phone_call_provider ON phone_call (tenant_id, provider_id);
CREATE INDEX phone_call_list ON phone_call (tenant_id, created_at, id);
CREATE INDEX phone_call_of_contact ON phone_call (tenant_id, contact_id, created_at, id);
CREATE INDEX phone_call_live ON phone_call (tenant_id, heard_at, id) WHERE state NOT IN ('ended', 'lost');
CREATE INDEX phone_call_silent ON phone_call (heard_at, id) WHERE state NOT IN ('ended', 'lost');
ALTER TABLE phone_call ENABLE ROW LEVEL SECURITY;
ALTER TABLE phone_call FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON phone_call TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON phone_call FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON phone_call FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_call TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_call TO mainstay_system;

-- Who answers the phone of an organisation, and for how long calls are kept.
CREATE TABLE phone_agent (
  tenant_id       uuid NOT NULL,
  -- The provider's id of an assistant that was made there; nothing for one that is described here.
  assistant_id    text,
  greeting        text NOT NULL,
  instructions    text NOT NULL,
  -- To whom callers are passed on (E.164).
  transfer_number text,
  keep_days       bigint NOT NULL,
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id)
);
ALTER TABLE phone_agent ENABLE ROW LEVEL SECURITY;
ALTER TABLE phone_agent FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON phone_agent TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON phone_agent FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON phone_agent FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_agent TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_agent TO mainstay_system;

-- What the agent did in a call: one row for each use of a tool.
CREATE TABLE phone_call_action (
  id             uuid NOT NULL,
  tenant_id      uuid NOT NULL,
  call_id        uuid NOT NULL,
  tool           text NOT NULL,
  -- What came of it: a word.
  outcome        text NOT NULL,
  -- What the caller was told.
  answer         text NOT NULL,
  appointment_id uuid,
  created_at     timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX phone_call_action_of_call ON phone_call_action (tenant_id, call_id, created_at, id);
ALTER TABLE phone_call_action ENABLE ROW LEVEL SECURITY;
ALTER TABLE phone_call_action FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON phone_call_action TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON phone_call_action FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON phone_call_action FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_call_action TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_call_action TO mainstay_system;

-- What a caller wants somebody to know.
CREATE TABLE phone_message (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  call_id    uuid,
  contact_id uuid,
  name       text NOT NULL,
  phone      text,
  body       text NOT NULL,
  created_at timestamptz NOT NULL,
  -- When somebody took care of it, and who.
  handled_at timestamptz,
  handled_by uuid,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX phone_message_of_contact ON phone_message (tenant_id, contact_id);
CREATE INDEX phone_message_list ON phone_message (tenant_id, created_at, id);
ALTER TABLE phone_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE phone_message FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON phone_message TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON phone_message FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON phone_message FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_message TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_message TO mainstay_system;

-- Who has read what is said in confidence: transcripts, recordings, contacts.
CREATE TABLE access_log (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  person_id  uuid NOT NULL,
  what       text NOT NULL CHECK (what IN ('call', 'contact', 'contacts')),
  -- Which one; nothing for a list.
  subject_id uuid,
  at         timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX access_log_list ON access_log (tenant_id, at, id);
ALTER TABLE access_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE access_log FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON access_log TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON access_log FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON access_log FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON access_log TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON access_log TO mainstay_system;
