-- The queue at work: for pgbench.
\set job random(1, 15000)
\set campaign random(0, 479)
\set tenant random(0, 39)
\set what random(1, 100)
\set some random(1, 1000000)
\if :what <= 25
UPDATE jobs SET status = 'running', attempts = attempts + 1, error = E'again\n"' || :some || '"' WHERE id = md5('j' || :job)::uuid;
\elif :what <= 40
-- into another queue, which is another partition
UPDATE jobs SET queue_name = (ARRAY['email-sending', 'analytics-daily', 'bounce-processing', 'of no partition'])[1 + :some % 4] WHERE id = md5('j' || :job)::uuid;
\elif :what <= 55
INSERT INTO jobs (id, tenant_id, queue_name, payload) SELECT gen_random_uuid(), md5('t' || :tenant)::uuid, 'warmup-processing', jsonb_build_object('n', :some);
\elif :what <= 68
DELETE FROM jobs WHERE id = md5('j' || :job)::uuid;
\elif :what <= 80
BEGIN;
UPDATE campaign_analytics SET sent = sent + 1, delivered = delivered + :some % 2, updated_at = now() WHERE campaign_id = md5('c' || :campaign)::uuid;
UPDATE campaigns SET status = 'active' WHERE id = md5('c' || :campaign)::uuid;
COMMIT;
\elif :what <= 90
INSERT INTO billing_analytics (tenant_id, period_start, period_end, emails, amount)
VALUES (md5('t' || :tenant)::uuid, '2024-12-01'::date + :some % 60, '2026-01-01', :some, :some / 7.0);
\elif :what <= 95
UPDATE billing_analytics SET period_start = period_start + 180, emails = emails + 1 WHERE id = 1 + :some % 960;
\else
BEGIN;
DELETE FROM jobs WHERE queue_name = 'webhook-processing';
ROLLBACK;
\endif
