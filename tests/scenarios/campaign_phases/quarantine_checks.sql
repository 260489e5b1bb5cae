-- Jobs of campaigns that are in quarantine have lost theirs: the report says so.
\ir ../checks.sql
SELECT 'no foreign key is violated' WHERE NOT EXISTS (SELECT FROM pg_temp.broken_keys());
SELECT 'the report does not say that a foreign key is violated' FROM scenario
WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(report->'findings') f
                  WHERE f->>'kind' = 'constraint' AND f->>'object' = 'public.campaign_jobs campaign_jobs_campaign_id_fkey');
SELECT 'the report does not name what is in quarantine' FROM scenario
WHERE NOT EXISTS (SELECT FROM jsonb_array_elements(report->'findings') f WHERE f->>'kind' = 'quarantine');
