-- Legacy values that the mapping does not have.
ALTER TYPE campaign_status ADD VALUE 'deleted';
UPDATE campaigns SET campaign_type = 'lead_generation' WHERE id = md5('c' || 100)::uuid;
UPDATE campaigns SET status = 'deleted' WHERE id = md5('c' || 101)::uuid;
