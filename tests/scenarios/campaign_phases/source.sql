-- Campaigns as they were before phases: a type, a status and a launch sequence. The columns for the phase
-- are there, and nobody has filled them. 40,000 domains; with scenario.scale 50, 2 million.
\ir ../common.sql

CREATE TYPE campaign_status AS ENUM ('pending', 'queued', 'running', 'pausing', 'paused', 'completed', 'failed', 'archived', 'cancelled');
CREATE TABLE users (id uuid PRIMARY KEY, email text NOT NULL UNIQUE, name text);
INSERT INTO users SELECT pg_temp.uid('u', i), 'user' || i || '@example.org', pg_temp.words(i, 1) FROM generate_series(0, 199) i;

CREATE TABLE campaigns (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id),
    campaign_type varchar(50) NOT NULL,
    status campaign_status NOT NULL,
    launch_sequence boolean NOT NULL DEFAULT false,
    current_phase text,
    phase_status text,
    progress_percentage double precision,
    total_items bigint,
    processed_items bigint,
    metadata jsonb,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz);
CREATE INDEX idx_campaigns_campaign_type ON campaigns (campaign_type);
CREATE INDEX idx_campaigns_status ON campaigns (status);
CREATE INDEX idx_campaigns_launch_sequence ON campaigns (launch_sequence);
-- every type meets every status
INSERT INTO campaigns (id, name, user_id, campaign_type, status, launch_sequence, progress_percentage, total_items,
                       processed_items, metadata, error_message, created_at, updated_at, started_at, completed_at)
SELECT pg_temp.uid('c', i), coalesce(pg_temp.words(i, 2), 'Campaign'), pg_temp.uid('u', pg_temp.h(i, 3, 200)),
       (ARRAY['domain_generation', 'dns_validation', 'http_keyword_validation', 'analysis', 'comprehensive', 'automated'])[1 + i % 6],
       (enum_range(NULL::campaign_status))[1 + i / 6 % 9], i % 4 = 0,
       CASE WHEN i % 5 > 0 THEN pg_temp.h(i, 4, 10000) / 100.0 END, pg_temp.h(i, 5, 100000), pg_temp.h(i, 6, 50000),
       CASE WHEN i % 3 > 0 THEN jsonb_build_object('keywords', jsonb_build_array('a', i, NULL), 'note', pg_temp.words(i, 7)) END,
       CASE WHEN i % 7 = 0 THEN 'failed: "' || pg_temp.words(i, 8) || '"' END, pg_temp.at(i, 9), pg_temp.at(i, 10),
       CASE WHEN i % 2 = 0 THEN pg_temp.at(i, 11) END, CASE WHEN i % 8 = 0 THEN 'infinity'::timestamptz END
FROM generate_series(0, pg_temp.n(2000) - 1) i;

CREATE TABLE generated_domains (
    id uuid PRIMARY KEY,
    domain_generation_campaign_id uuid NOT NULL,
    domain_name text NOT NULL,
    source_keyword text,
    offset_index bigint NOT NULL,
    dns_status varchar(20),
    http_status varchar(20),
    http_status_code smallint,
    lead_score numeric(5, 2),
    last_validated_at timestamptz,
    created_at timestamptz NOT NULL);
-- every 5000th domain is of a campaign that was deleted
INSERT INTO generated_domains
SELECT pg_temp.uid('d', i), CASE WHEN i % 5000 = 17 THEN pg_temp.uid('gone', i % 40000) ELSE pg_temp.uid('c', i % c.n) END,
       'domain-' || i || CASE i % 4 WHEN 0 THEN '.com' WHEN 1 THEN '.org' WHEN 2 THEN '.xn--p1ai' ELSE '.bücher.example' END,
       CASE WHEN i % 6 > 0 THEN 'kw' || i % 90 END, i, (ARRAY['ok', 'failed', 'pending', NULL])[1 + i % 4],
       (ARRAY['ok', NULL, 'timeout'])[1 + i % 3], (ARRAY[200, 301, 404, NULL])[1 + i % 4],
       CASE WHEN i % 9 > 0 THEN (i % 10000) / 100.0 END, CASE WHEN i % 5 > 0 THEN pg_temp.at(i, 20) END, pg_temp.at(i, 21)
FROM generate_series(1, pg_temp.n(40000)) i, (SELECT pg_temp.n(2000) AS n OFFSET 0) c;
CREATE INDEX ON generated_domains (domain_generation_campaign_id);

CREATE TABLE campaign_jobs (
    id bigserial PRIMARY KEY,
    campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    job_type text NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    payload json,
    created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO campaign_jobs (campaign_id, job_type, attempts, payload, created_at)
SELECT pg_temp.uid('c', i % c.n), pg_temp.pick(i, 30, ARRAY['generate', 'resolve', 'probe']), i % 4,
       CASE WHEN i % 3 > 0 THEN ('{ "b": 1,  "a": ' || i || ', "a": 2 }')::json END, pg_temp.at(i, 31)
FROM generate_series(1, pg_temp.n(4000)) i, (SELECT pg_temp.n(2000) AS n OFFSET 0) c;
ANALYZE;
