DROP INDEX lead_in_state_by_address;
DROP INDEX lead_in_state;
DROP INDEX lead_by_address;
DROP INDEX lead_list;
CREATE INDEX lead_list ON lead (tenant_id, campaign_id, id);
ALTER TABLE lead DROP COLUMN searched;
