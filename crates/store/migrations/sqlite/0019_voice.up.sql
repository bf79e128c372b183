-- Voice sessions: who spoke with the assistant, in which conversation, for how long and at what cost. What was said is in the
-- conversation itself.
CREATE TABLE voice_session (
  id                BLOB NOT NULL,
  tenant_id         BLOB NOT NULL,
  person_id         BLOB NOT NULL,
  -- Nothing until something was said, unless the session began in one.
  conversation_id   BLOB,
  began_at          INTEGER NOT NULL,
  ended_at          INTEGER,
  -- Why it ended.
  reason            TEXT,
  -- Speech of the caller, in milliseconds, and characters that were spoken to them.
  heard_ms          INTEGER NOT NULL,
  spoken_characters INTEGER NOT NULL,
  turns             INTEGER NOT NULL,
  interruptions     INTEGER NOT NULL,
  -- What the speech cost, in millionths; what the replies cost is counted with the replies.
  cost_micros       INTEGER NOT NULL,
  -- From the end of the caller's speech to the first sound of the answer, in milliseconds: the median of the turns.
  latency_ms        INTEGER,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX voice_session_list ON voice_session (tenant_id, person_id, id);
CREATE INDEX voice_session_open ON voice_session (began_at) WHERE ended_at IS NULL;
