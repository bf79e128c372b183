-- The reception: services, who does them and when, contacts and their appointments.

-- What says that two appointments of somebody do not overlap needs equality beside ranges. Part of PostgreSQL, and whoever
-- owns the database may add it.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- How the reception of an organisation works: its zone, its hours, how times are offered.
CREATE TABLE reception (
  tenant_id    uuid NOT NULL,
  zone         text NOT NULL,
  -- What is before numbers of telephones that name no country, such as 49.
  calling_code bigint,
  -- The openings of each day of the week, Monday first, as JSON.
  week         text NOT NULL,
  step_minutes bigint NOT NULL,
  -- For how long a time is kept for somebody who thinks about it; how long before at least, and how many days ahead at most,
  -- an appointment is made.
  hold_minutes bigint NOT NULL,
  lead_minutes bigint NOT NULL,
  horizon_days bigint NOT NULL,
  updated_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id)
);
ALTER TABLE reception ENABLE ROW LEVEL SECURITY;
ALTER TABLE reception FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON reception TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON reception FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON reception FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE ON reception TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON reception TO mainstay_system;

-- What is done for people at a time. Never deleted, since appointments name it.
CREATE TABLE service (
  id             uuid NOT NULL,
  tenant_id      uuid NOT NULL,
  name           text NOT NULL,
  minutes        bigint NOT NULL,
  before_minutes bigint NOT NULL,
  after_minutes  bigint NOT NULL,
  -- In millionths of the currency (ISO 4217); nothing where no price is told.
  price_micros   bigint,
  currency       text,
  archived_at    timestamptz,
  created_at     timestamptz NOT NULL,
  updated_at     timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX service_list ON service (tenant_id, created_at, id);
ALTER TABLE service ENABLE ROW LEVEL SECURITY;
ALTER TABLE service FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON service TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON service FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON service FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE ON service TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON service TO mainstay_system;

-- Who does it. Never deleted either.
CREATE TABLE staff (
  id               uuid NOT NULL,
  tenant_id        uuid NOT NULL,
  name             text NOT NULL,
  -- As that of the organisation, which holds where this is nothing.
  week             text,
  -- Counted up whenever time of theirs is taken or freed: who knows the number knows what is taken.
  calendar_version bigint NOT NULL,
  archived_at      timestamptz,
  created_at       timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE INDEX staff_list ON staff (tenant_id, created_at, id);
ALTER TABLE staff ENABLE ROW LEVEL SECURITY;
ALTER TABLE staff FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON staff TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON staff FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON staff FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE ON staff TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON staff TO mainstay_system;

-- Who offers what.
CREATE TABLE staff_service (
  staff_id   uuid NOT NULL,
  service_id uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  PRIMARY KEY (staff_id, service_id, tenant_id),
  FOREIGN KEY (staff_id, tenant_id) REFERENCES staff (id, tenant_id),
  FOREIGN KEY (service_id, tenant_id) REFERENCES service (id, tenant_id)
);
CREATE INDEX staff_service_by_service ON staff_service (tenant_id, service_id, staff_id);
ALTER TABLE staff_service ENABLE ROW LEVEL SECURITY;
ALTER TABLE staff_service FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON staff_service TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON staff_service FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON staff_service FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, DELETE ON staff_service TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON staff_service TO mainstay_system;

-- Days that are not like others.
CREATE TABLE special_day (
  -- Whose day it is; the nil UUID for the organisation's.
  owner_id  uuid NOT NULL,
  tenant_id uuid NOT NULL,
  -- Days since 1970.
  day       bigint NOT NULL,
  -- As JSON; an empty list for a day on which it is closed.
  openings  text NOT NULL,
  name      text NOT NULL,
  PRIMARY KEY (owner_id, day, tenant_id)
);
CREATE INDEX special_day_list ON special_day (tenant_id, day, owner_id);
ALTER TABLE special_day ENABLE ROW LEVEL SECURITY;
ALTER TABLE special_day FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON special_day TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON special_day FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON special_day FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON special_day TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON special_day TO mainstay_system;

-- For whom it is done.
CREATE TABLE contact (
  id         uuid NOT NULL,
  tenant_id  uuid NOT NULL,
  name       text NOT NULL,
  -- The name in small letters: contacts are listed and found by it.
  folded     text COLLATE "C" NOT NULL,
  -- E.164.
  phone      text,
  email      text,
  note       text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id)
);
CREATE UNIQUE INDEX contact_phone ON contact (tenant_id, phone);
CREATE UNIQUE INDEX contact_email ON contact (tenant_id, email);
CREATE INDEX contact_list ON contact (tenant_id, folded, id);
ALTER TABLE contact ENABLE ROW LEVEL SECURITY;
ALTER TABLE contact FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON contact TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON contact FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON contact FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON contact TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON contact TO mainstay_system;

-- A service that is done for a contact by somebody at a time.
CREATE TABLE appointment (
  id            uuid NOT NULL,
  tenant_id     uuid NOT NULL,
  service_id    uuid NOT NULL,
  staff_id      uuid NOT NULL,
  -- Nothing while it is only held.
  contact_id    uuid,
  state         text NOT NULL CHECK (state IN ('held', 'booked', 'confirmed', 'cancelled', 'no_show', 'done')),
  -- What the contact is told.
  starts_at     timestamptz NOT NULL,
  ends_at       timestamptz NOT NULL,
  -- What it takes of somebody's time, with what is set aside before and after.
  blocked_from  timestamptz NOT NULL,
  blocked_until timestamptz NOT NULL,
  -- Until when it is held.
  expires_at    timestamptz,
  note          text NOT NULL,
  created_at    timestamptz NOT NULL,
  updated_at    timestamptz NOT NULL,
  PRIMARY KEY (id, tenant_id),
  FOREIGN KEY (service_id, tenant_id) REFERENCES service (id, tenant_id),
  FOREIGN KEY (staff_id, tenant_id) REFERENCES staff (id, tenant_id),
  FOREIGN KEY (contact_id, tenant_id) REFERENCES contact (id, tenant_id),
  CHECK (contact_id IS NOT NULL OR state IN ('held', 'cancelled')),
  CHECK (starts_at < ends_at AND blocked_from <= starts_at AND ends_at <= blocked_until),
  CONSTRAINT appointment_overlap EXCLUDE USING gist (tenant_id WITH =, staff_id WITH =,
    tstzrange(blocked_from, blocked_until) WITH &&) WHERE (state IN ('held', 'booked', 'confirmed', 'done'))
);
CREATE INDEX appointment_taken ON appointment (tenant_id, staff_id, blocked_from);
CREATE INDEX appointment_list ON appointment (tenant_id, starts_at, id);
CREATE INDEX appointment_of_contact ON appointment (tenant_id, contact_id, starts_at, id);
CREATE INDEX appointment_held ON appointment (tenant_id, staff_id, expires_at) WHERE state = 'held';
ALTER TABLE appointment ENABLE ROW LEVEL SECURITY;
ALTER TABLE appointment FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON appointment TO mainstay_app, mainstay_system
  USING (tenant_id = ANY ((SELECT string_to_array(nullif(current_setting('app.tenants', true), ''), ',')::uuid[])::uuid[]));
CREATE POLICY system ON appointment FOR SELECT TO mainstay_system USING (true);
CREATE POLICY backup ON appointment FOR SELECT TO CURRENT_USER USING (true);
GRANT SELECT, INSERT, UPDATE ON appointment TO mainstay_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON appointment TO mainstay_system;
