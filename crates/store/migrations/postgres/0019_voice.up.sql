-- Voice sessions: who spoke with the assistant, in which conversation, for how long and at what cost. What was said is in the
-- conversation itself.
CREATE TABLE voice_session (
  id                uuid NOT NULL,
  tenant_id         uuid NOT NULL,
  person_id         uuid NOT NULL,
  -- Nothing until something was said, unless the session began in one.
  conversation_id   uuid,
  began_at          timestamptz NOT NULL,
  ended_at          timestamptz,
  -- Why it ended.
  reason            text,
  -- Speech of the caller, in milliseconds, and characters that were spoken to them.
  heard_ms          bigint NOT NULL,
  spoken_characters bigint NOT NULL,
  turns             bigint NOT NULL,
  interruptions     bigint NOT NULL,
  -- What the speech cost, in millionths; what the replies cost is counted with the replies.
  cost_micros       bigint NOT NULL,
  -- From the end of the caller's speech to the first sound of the answer, in milliseconds: the median of the turns.
  latency_ms        bigint,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX voice_session_list ON voice_session (tenant_id, person_id, id);
CREATE INDEX voice_session_open ON voice_session (began_at) WHERE ended_at IS NULL;
ALTER TABLE voice_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE voice_session FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON voice_session TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON voice_session FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON voice_session FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE ON voice_session TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON voice_session TO mainstay_system;
