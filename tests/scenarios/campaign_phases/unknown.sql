-- Legacy values that the mapping does not have.
ALTER TYPE campaign_status ADD VALUE 'unheard-of';
UPDATE campaigns SET campaign_type = 'unheard-of' WHERE id = md5('c' || 100)::uuid;
UPDATE campaigns SET status = 'unheard-of' WHERE id = md5('c' || 101)::uuid;
