-- The reception: services, who does them and when, contacts and their appointments.

-- How the reception of an organisation works: its zone, its hours, how times are offered.
CREATE TABLE reception (
  tenant_id    BLOB NOT NULL,
  zone         TEXT NOT NULL,
  -- What is before numbers of telephones that name no country, such as 49.
  calling_code INTEGER,
  -- The openings of each day of the week, Monday first, as JSON.
  week         TEXT NOT NULL,
  step_minutes INTEGER NOT NULL,
  -- For how long a time is kept for somebody who thinks about it; how long before at least, and how many days ahead at most,
  -- an appointment is made.
  hold_minutes INTEGER NOT NULL,
  lead_minutes INTEGER NOT NULL,
  horizon_days INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  PRIMARY KEY (tenant_id)
) STRICT, WITHOUT ROWID;

-- What is done for people at a time. Never deleted, since appointments name it.
CREATE TABLE service (
  id             BLOB NOT NULL,
  tenant_id      BLOB NOT NULL,
  name           TEXT NOT NULL,
  minutes        INTEGER NOT NULL,
  before_minutes INTEGER NOT NULL,
  after_minutes  INTEGER NOT NULL,
  -- In millionths of the currency (ISO 4217); nothing where no price is told.
  price_micros   INTEGER,
  currency       TEXT,
  archived_at    INTEGER,
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX service_list ON service (tenant_id, created_at, id);

-- Who does it. Never deleted either.
CREATE TABLE staff (
  id               BLOB NOT NULL,
  tenant_id        BLOB NOT NULL,
  name             TEXT NOT NULL,
  -- As that of the organisation, which holds where this is nothing.
  week             TEXT,
  -- Counted up whenever time of theirs is taken or freed: who knows the number knows what is taken.
  calendar_version INTEGER NOT NULL,
  archived_at      INTEGER,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_list ON staff (tenant_id, created_at, id);

-- Who offers what.
CREATE TABLE staff_service (
  staff_id   BLOB NOT NULL,
  service_id BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  PRIMARY KEY (staff_id, service_id, tenant_id),
  FOREIGN KEY (staff_id, tenant_id) REFERENCES staff (id, tenant_id),
  FOREIGN KEY (service_id, tenant_id) REFERENCES service (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staff_service_by_service ON staff_service (tenant_id, service_id, staff_id);

-- Days that are not like others.
CREATE TABLE special_day (
  -- Whose day it is; the nil UUID for the organisation's.
  owner_id  BLOB NOT NULL,
  tenant_id BLOB NOT NULL,
  -- Days since 1970.
  day       INTEGER NOT NULL,
  -- As JSON; an empty list for a day on which it is closed.
  openings  TEXT NOT NULL,
  name      TEXT NOT NULL,
  PRIMARY KEY (owner_id, day, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX special_day_list ON special_day (tenant_id, day, owner_id);

-- For whom it is done.
CREATE TABLE contact (
  id         BLOB NOT NULL,
  tenant_id  BLOB NOT NULL,
  name       TEXT NOT NULL,
  -- The name in small letters: contacts are listed and found by it.
  folded     TEXT NOT NULL,
  -- E.164.
  phone      TEXT,
  email      TEXT,
  note       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX contact_phone ON contact (tenant_id, phone);
CREATE UNIQUE INDEX contact_email ON contact (tenant_id, email);
CREATE INDEX contact_list ON contact (tenant_id, folded, id);

-- A service that is done for a contact by somebody at a time.
CREATE TABLE appointment (
  id            BLOB NOT NULL,
  tenant_id     BLOB NOT NULL,
  service_id    BLOB NOT NULL,
  staff_id      BLOB NOT NULL,
  -- Nothing while it is only held.
  contact_id    BLOB,
  state         TEXT NOT NULL CHECK (state IN ('held', 'booked', 'confirmed', 'cancelled', 'no_show', 'done')),
  -- What the contact is told.
  starts_at     INTEGER NOT NULL,
  ends_at       INTEGER NOT NULL,
  -- What it takes of somebody's time, with what is set aside before and after.
  blocked_from  INTEGER NOT NULL,
  blocked_until INTEGER NOT NULL,
  -- Until when it is held.
  expires_at    INTEGER,
  note          TEXT NOT NULL,
  created_at    INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  PRIMARY KEY (id, tenant_id),
  FOREIGN KEY (service_id, tenant_id) REFERENCES service (id, tenant_id),
  FOREIGN KEY (staff_id, tenant_id) REFERENCES staff (id, tenant_id),
  FOREIGN KEY (contact_id, tenant_id) REFERENCES contact (id, tenant_id),
  CHECK (contact_id IS NOT NULL OR state IN ('held', 'cancelled')),
  CHECK (starts_at < ends_at AND blocked_from <= starts_at AND ends_at <= blocked_until)
) STRICT, WITHOUT ROWID;
CREATE INDEX appointment_taken ON appointment (tenant_id, staff_id, blocked_from);
CREATE INDEX appointment_list ON appointment (tenant_id, starts_at, id);
CREATE INDEX appointment_of_contact ON appointment (tenant_id, contact_id, starts_at, id);
CREATE INDEX appointment_held ON appointment (tenant_id, staff_id, expires_at) WHERE state = 'held';
CREATE TRIGGER appointment_overlap_insert BEFORE INSERT ON appointment
WHEN new.state IN ('held', 'booked', 'confirmed', 'done') BEGIN
  SELECT RAISE(ABORT, 'appointment_overlap') WHERE EXISTS (
    SELECT 1 FROM appointment a WHERE a.tenant_id = new.tenant_id AND a.staff_id = new.staff_id AND a.id <> new.id
      AND a.blocked_from < new.blocked_until AND a.blocked_until > new.blocked_from AND a.state IN ('held', 'booked', 'confirmed', 'done'));
END;
CREATE TRIGGER appointment_overlap_update BEFORE UPDATE OF tenant_id, staff_id, blocked_from, blocked_until, state ON appointment
WHEN new.state IN ('held', 'booked', 'confirmed', 'done') BEGIN
  SELECT RAISE(ABORT, 'appointment_overlap') WHERE EXISTS (
    SELECT 1 FROM appointment a WHERE a.tenant_id = new.tenant_id AND a.staff_id = new.staff_id AND a.id <> new.id
      AND a.blocked_from < new.blocked_until AND a.blocked_until > new.blocked_from AND a.state IN ('held', 'booked', 'confirmed', 'done'));
END;
