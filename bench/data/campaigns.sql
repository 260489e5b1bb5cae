-- Campaigns with their old names of phases and states, and two columns that nobody wants any more.
-- psql -v rows=N.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET jit = off;
CREATE TABLE campaigns (
    id bigint NOT NULL, user_id uuid NOT NULL, name text NOT NULL, current_phase text NOT NULL,
    phase_status text NOT NULL, campaign_type varchar(50) NOT NULL, launch_sequence bool NOT NULL,
    progress float8, total_items bigint, processed_items bigint, error_message text,
    created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
INSERT INTO campaigns
SELECT i, md5((i % 5000)::text)::uuid, 'Campaign number ' || i,
       (ARRAY['domain_generation', 'dns_validation', 'http_keyword_validation', 'analysis', 'comprehensive',
              'automated'])[1 + h % 6],
       (ARRAY['pending', 'queued', 'running', 'paused', 'completed', 'failed', 'archived', 'cancelled'])[1 + h / 8 % 8],
       (ARRAY['domain_generation', 'dns_validation', 'comprehensive'])[1 + h / 64 % 3], i % 4 = 0,
       CASE WHEN i % 5 > 0 THEN h % 10000 / 100.0 END, h % 100000, h % 50000,
       CASE WHEN i % 7 = 0 THEN 'failed: ' || h END,
       '2024-01-01'::timestamptz + i * interval '1 s', '2024-06-01'::timestamptz + h * interval '1 ms'
FROM generate_series(1, :rows::int) i, LATERAL (SELECT hashint4(i) & 2147483647 AS h) x;
ALTER TABLE campaigns ADD PRIMARY KEY (id);
VACUUM ANALYZE;
