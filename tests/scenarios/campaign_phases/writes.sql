-- The old application, while its data moves: for pgbench.
\set campaign random(0, 1999)
\set domain random(1, 40000)
\set what random(1, 100)
\set type random(1, 6)
\set state random(1, 9)
\set some random(1, 1000000)
\if :what <= 25
UPDATE campaigns SET status = (enum_range(NULL::campaign_status))[:state], updated_at = now(), processed_items = :some
WHERE id = md5('c' || :campaign)::uuid;
\elif :what <= 35
UPDATE campaigns SET campaign_type = (ARRAY['domain_generation', 'dns_validation', 'http_keyword_validation', 'analysis',
    'comprehensive', 'automated'])[:type], metadata = jsonb_build_object('long', (SELECT string_agg(md5(:some::text || g), '') FROM generate_series(1, 200) g))
WHERE id = md5('c' || :campaign)::uuid;
\elif :what <= 45
-- the long value stays as it is
UPDATE campaigns SET progress_percentage = :some / 10000.0 WHERE id = md5('c' || :campaign)::uuid;
\elif :what <= 55
BEGIN;
INSERT INTO campaigns (id, name, user_id, campaign_type, status)
SELECT gen_random_uuid(), 'née "later" ' || :some, md5('u' || :campaign % 200)::uuid,
       (ARRAY['domain_generation', 'analysis', 'automated'])[1 + :type % 3], (enum_range(NULL::campaign_status))[:state];
INSERT INTO generated_domains (id, domain_generation_campaign_id, domain_name, offset_index, created_at)
SELECT gen_random_uuid(), md5('c' || :campaign)::uuid, 'new-' || :some || '-' || g || '.com', g, now() FROM generate_series(1, 20) g;
COMMIT;
\elif :what <= 75
UPDATE generated_domains SET dns_status = 'ok', lead_score = :some % 1000, last_validated_at = now() WHERE id = md5('d' || :domain)::uuid;
\elif :what <= 85
DELETE FROM generated_domains WHERE id = md5('d' || :domain)::uuid;
\elif :what <= 90
BEGIN;
UPDATE campaigns SET name = 'never happened' WHERE id = md5('c' || :campaign)::uuid;
ROLLBACK;
\elif :what <= 95
INSERT INTO campaign_jobs (campaign_id, job_type, payload)
SELECT id, 'probe', '{ "x":1,  "x":2 }' FROM campaigns WHERE id = md5('c' || :campaign)::uuid FOR KEY SHARE;
\else
-- a campaign gets another key, and its jobs go
BEGIN;
SELECT FROM campaigns WHERE id = md5('c' || :campaign)::uuid FOR UPDATE;
DELETE FROM campaign_jobs WHERE campaign_id = md5('c' || :campaign)::uuid;
UPDATE campaigns SET id = gen_random_uuid() WHERE id = md5('c' || :campaign)::uuid
    AND NOT EXISTS (SELECT FROM campaign_jobs WHERE campaign_id = md5('c' || :campaign)::uuid);
COMMIT;
\endif
