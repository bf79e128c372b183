-- Leads are found by a part of their address, their name or their company, and sorted.

-- The address, the name and the company in small letters, as far as they are looked in.
ALTER TABLE lead ADD COLUMN searched text NOT NULL DEFAULT '';
UPDATE lead SET searched = lower(substr(address || ' ' || coalesce(fields::json ->> 'first_name', '') || ' '
  || coalesce(fields::json ->> 'last_name', '') || ' ' || coalesce(fields::json ->> 'company', ''), 1, 300));
DROP INDEX lead_list;
-- Each has what is looked in, so that those which do not match cost no look at their rows.
CREATE INDEX lead_list ON lead (tenant_id, campaign_id, id, searched);
CREATE INDEX lead_by_address ON lead (tenant_id, campaign_id, address, id, searched);
CREATE INDEX lead_in_state ON lead (tenant_id, campaign_id, state, id, searched);
CREATE INDEX lead_in_state_by_address ON lead (tenant_id, campaign_id, state, address, id, searched);
