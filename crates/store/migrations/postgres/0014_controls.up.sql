-- What operators have set in an emergency, and the trail of it. An entry that has expired counts for nothing.

CREATE TABLE control (
  name        text NOT NULL PRIMARY KEY,
  value       text NOT NULL,
  reason      text NOT NULL,
  -- The operator who signed in; nothing from the command line.
  person_id   uuid,
  author      text NOT NULL,
  set_at      timestamptz NOT NULL,
  -- Since when it has been set without a pause, however often it was renewed.
  since       timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL
);

CREATE TABLE control_change (
  id          uuid NOT NULL PRIMARY KEY,
  at          timestamptz NOT NULL,
  name        text NOT NULL,
  old_value   text,
  -- Nothing when it was cleared.
  new_value   text,
  expires_at  timestamptz,
  reason      text NOT NULL,
  person_id   uuid,
  author      text NOT NULL
);

-- They are read and written on the connections of the system, which are there when all of the others are taken.
GRANT SELECT, INSERT, UPDATE, DELETE ON control TO mainstay_system;
GRANT SELECT, INSERT, DELETE ON control_change TO mainstay_system;
