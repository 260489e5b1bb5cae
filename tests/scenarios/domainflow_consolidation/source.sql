-- The application's database after seventeen migrations: twenty-five tables in two schemas.
\ir ../common.sql

-- ---- who may do what ----
CREATE SCHEMA auth;
CREATE TABLE auth.users (
    id uuid PRIMARY KEY,
    email varchar(255) NOT NULL UNIQUE,
    email_verified int NOT NULL DEFAULT 0,
    password_hash varchar(255) NOT NULL,
    first_name varchar(100),
    last_name varchar(100),
    is_active boolean NOT NULL DEFAULT true,
    mfa_secret bytea,
    last_login_at timestamp,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO auth.users
SELECT pg_temp.uid('u', i), 'User.' || i || '@Example.ORG', i % 2, '$2a$12$' || substr(md5('p' || i) || md5('q' || i), 1, 53),
       '  ' || coalesce(pg_temp.words(i, 1), 'First') || ' ', pg_temp.words(i, 2), i % 10 > 0,
       CASE WHEN i % 3 = 0 THEN sha256(i::text::bytea) END,
       CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN '-infinity' ELSE pg_temp.at(i, 3) AT TIME ZONE 'UTC' END, pg_temp.at(i, 4), pg_temp.at(i, 5)
FROM generate_series(0, 499) i;
CREATE TABLE auth.sessions (
    id varchar(128) PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
    ip_address inet,
    user_agent text,
    is_active boolean NOT NULL DEFAULT true,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO auth.sessions
SELECT md5('s' || i), pg_temp.uid('u', pg_temp.h(i, 6, 500)), ('10.' || i % 250 || '.0.1')::inet, pg_temp.words(i, 7), i % 4 > 0,
       pg_temp.at(i, 8), pg_temp.at(i, 9)
FROM generate_series(1, pg_temp.n(3000)) i;
CREATE TABLE auth.roles (id uuid PRIMARY KEY, name varchar(50) NOT NULL UNIQUE, description text);
INSERT INTO auth.roles SELECT pg_temp.uid('r', i), (ARRAY['super_admin', 'admin', 'campaign_manager', 'analyst', 'user'])[i], pg_temp.words(i, 10)
FROM generate_series(1, 5) i;
CREATE TABLE auth.permissions (id uuid PRIMARY KEY, name varchar(100) NOT NULL UNIQUE, resource varchar(50) NOT NULL, action varchar(50) NOT NULL);
INSERT INTO auth.permissions SELECT pg_temp.uid('p', i), 'perm.' || i, 'res' || i % 6, (ARRAY['read', 'write', 'delete'])[1 + i % 3]
FROM generate_series(1, 30) i;
CREATE TABLE auth.user_roles (
    user_id uuid REFERENCES auth.users (id) ON DELETE CASCADE,
    role_id uuid REFERENCES auth.roles (id),
    assigned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, role_id));
INSERT INTO auth.user_roles SELECT pg_temp.uid('u', i), pg_temp.uid('r', 1 + i % 5), pg_temp.at(i, 11) FROM generate_series(0, 499) i;
CREATE TABLE auth.role_permissions (role_id uuid REFERENCES auth.roles (id), permission_id uuid REFERENCES auth.permissions (id),
                                    PRIMARY KEY (role_id, permission_id));
INSERT INTO auth.role_permissions SELECT pg_temp.uid('r', r), pg_temp.uid('p', p) FROM generate_series(1, 5) r, generate_series(1, 30) p
WHERE (r * p) % 3 > 0;
CREATE TABLE auth.password_reset_tokens (
    id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE, token_hash text NOT NULL, used_at timestamptz);
INSERT INTO auth.password_reset_tokens SELECT pg_temp.uid('t', i), pg_temp.uid('u', i * 3), md5(i::text), NULL FROM generate_series(1, 90) i;
CREATE TABLE auth.auth_audit_log (
    id bigserial PRIMARY KEY, user_id uuid REFERENCES auth.users (id) ON DELETE SET NULL, event_type varchar(50) NOT NULL,
    event_status varchar(20) NOT NULL, details text, risk_score real NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO auth.auth_audit_log (user_id, event_type, event_status, details, risk_score, created_at)
SELECT CASE WHEN i % 8 > 0 THEN pg_temp.uid('u', pg_temp.h(i, 12, 500)) END, pg_temp.pick(i, 13, ARRAY['login', 'logout', 'reset']),
       pg_temp.pick(i, 14, ARRAY['ok', 'success', 'fail', 'failure']),
       CASE WHEN i % 5 > 0 THEN '{"n": ' || i || ', "what": "é"}' END, pg_temp.h(i, 15, 400) / 4.0, pg_temp.at(i, 16)
FROM generate_series(1, pg_temp.n(4000)) i;

-- ---- campaigns and what they work with ----
CREATE TABLE personas (
    id uuid PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, persona_type varchar(10) NOT NULL, config_details text NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true);
INSERT INTO personas SELECT pg_temp.uid('pe', i), 'Persona ' || i, (ARRAY['dns', 'http'])[1 + i % 2],
    '{"agent": "Mozilla/5.0 \"' || i || '\"", "headers": {"Accept": null}}', i % 5 > 0 FROM generate_series(1, 60) i;
CREATE TABLE proxies (
    id uuid PRIMARY KEY, address text NOT NULL UNIQUE, protocol varchar(10), country char(2), latency_ms int, success_rate float8,
    is_healthy boolean);
INSERT INTO proxies SELECT pg_temp.uid('px', i), '192.0.2.' || i || ':8080', CASE WHEN i % 4 > 0 THEN 'http' END,
    pg_temp.pick(i, 20, ARRAY['de', 'FR', 'us', NULL]), pg_temp.h(i, 21, 900), pg_temp.h(i, 22, 1000) / 1000.0, i % 3 > 0
FROM generate_series(1, 120) i;
CREATE TABLE proxy_pools (id uuid PRIMARY KEY, name text NOT NULL, strategy text NOT NULL DEFAULT 'round_robin');
INSERT INTO proxy_pools SELECT pg_temp.uid('pp', i), 'Pool ' || i FROM generate_series(1, 8) i;
CREATE TABLE proxy_pool_memberships (
    pool_id uuid REFERENCES proxy_pools (id) ON DELETE CASCADE, proxy_id uuid REFERENCES proxies (id) ON DELETE CASCADE,
    weight int NOT NULL DEFAULT 1, PRIMARY KEY (pool_id, proxy_id));
INSERT INTO proxy_pool_memberships SELECT pg_temp.uid('pp', 1 + i % 8), pg_temp.uid('px', i), i % 5 FROM generate_series(1, 120) i;
CREATE TABLE keyword_sets (id uuid PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, description text, is_enabled boolean NOT NULL);
INSERT INTO keyword_sets SELECT pg_temp.uid('k', i), 'Set ' || i, pg_temp.words(i, 23), i % 6 > 0 FROM generate_series(1, 50) i;
CREATE TABLE keyword_rules (
    id uuid PRIMARY KEY, keyword_set_id uuid NOT NULL REFERENCES keyword_sets (id) ON DELETE CASCADE, pattern text NOT NULL,
    rule_type varchar(20) NOT NULL, is_case_sensitive boolean NOT NULL, context_chars int);
INSERT INTO keyword_rules SELECT pg_temp.uid('kr', i), pg_temp.uid('k', 1 + i % 50), '^(foo|"bär")\s+' || i, (ARRAY['string', 'regex'])[1 + i % 2],
    i % 2 = 0, nullif(i % 40, 7) FROM generate_series(1, 600) i;

CREATE TABLE campaigns (
    id uuid PRIMARY KEY,
    name varchar(255) NOT NULL,
    campaign_type varchar(50) NOT NULL,
    status varchar(50) NOT NULL,
    user_id uuid NOT NULL REFERENCES auth.users (id),
    progress_percentage float8,
    total_items int,
    processed_items int,
    error_message text,
    launch_sequence boolean NOT NULL DEFAULT false,
    metadata json,
    started_at timestamp,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO campaigns
SELECT pg_temp.uid('c', i), '  ' || coalesce(pg_temp.words(i, 30), 'Campaign') || '  ', pg_temp.pick(i, 31, ARRAY['domain_generation',
           'dns_validation', 'http_keyword_validation']),
       pg_temp.pick(i, 32, ARRAY['pending', 'queued', 'running', 'pausing', 'paused', 'completed', 'failed', 'archived', 'cancelled']),
       pg_temp.uid('u', pg_temp.h(i, 33, 500)), CASE WHEN i % 4 > 0 THEN pg_temp.h(i, 34, 1000000) / 10000.0 END, pg_temp.h(i, 35, 100000),
       nullif(pg_temp.h(i, 36, 50000), 3), CASE WHEN i % 9 = 0 THEN E'failed:\n' || i END, i % 2 = 0,
       CASE WHEN i % 3 > 0 THEN ('{ "a" : ' || i || ',  "t": "ü" }')::json END,
       CASE WHEN i % 5 > 0 THEN pg_temp.at(i, 37) AT TIME ZONE 'UTC' END, pg_temp.at(i, 38), pg_temp.at(i, 39)
FROM generate_series(0, pg_temp.n(1500) - 1) i;
CREATE TABLE domain_generation_campaign_params (
    campaign_id uuid PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE, pattern_type varchar(20) NOT NULL, variable_length int,
    character_set text, constant_string text, tld varchar(20) NOT NULL, total_possible bigint NOT NULL, current_offset bigint NOT NULL);
INSERT INTO domain_generation_campaign_params
SELECT pg_temp.uid('c', i), pg_temp.pick(i, 40, ARRAY['prefix', 'suffix', 'both']), i % 12, 'abcdefghijklmnopqrstuvwxyz0123456789', 'shop' || i,
       pg_temp.pick(i, 41, ARRAY['.com', '.org', '.de']), 36::bigint ^ (i % 10), i * 100 FROM generate_series(0, pg_temp.n(1500) / 3) i;
CREATE TABLE dns_validation_campaign_params (
    campaign_id uuid PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE, persona_ids uuid[] NOT NULL, retries smallint);
INSERT INTO dns_validation_campaign_params SELECT pg_temp.uid('c', i), ARRAY[pg_temp.uid('pe', 1 + i % 60), NULL], i % 4
FROM generate_series(0, pg_temp.n(1500) / 3) i;
CREATE TABLE http_keyword_campaign_params (
    campaign_id uuid PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE, keyword_set_ids uuid[], ports int[], ad_hoc text[]);
INSERT INTO http_keyword_campaign_params SELECT pg_temp.uid('c', i), ARRAY[pg_temp.uid('k', 1 + i % 50)], ARRAY[80, 443, 8000 + i % 80],
    ARRAY['a "b"', NULL, ''] FROM generate_series(0, pg_temp.n(1500) / 3) i;
CREATE TABLE generated_domains (
    id bigserial PRIMARY KEY,
    domain_generation_campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    domain_name varchar(255) NOT NULL,
    offset_index int NOT NULL,
    source_keyword text,
    generated_at timestamp NOT NULL,
    legacy_hash text);
INSERT INTO generated_domains (domain_generation_campaign_id, domain_name, offset_index, source_keyword, generated_at, legacy_hash)
SELECT pg_temp.uid('c', i % c.n), ' Domain-' || i || '.COM', i, pg_temp.words(i, 45), pg_temp.at(i, 46) AT TIME ZONE 'UTC', md5(i::text)
FROM generate_series(1, pg_temp.n(40000)) i, (SELECT pg_temp.n(1500) AS n OFFSET 0) c;
CREATE TABLE dns_validation_results (
    id uuid PRIMARY KEY, campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE, domain_id bigint REFERENCES generated_domains (id)
    ON DELETE CASCADE, status varchar(20) NOT NULL, dns_records jsonb, attempts int, checked_at timestamptz);
INSERT INTO dns_validation_results
SELECT pg_temp.uid('dr', i), pg_temp.uid('c', i % c.n), CASE WHEN i % 7 > 0 THEN i END,
       pg_temp.pick(i, 50, ARRAY['resolved', 'unresolved', 'timeout', 'error']), jsonb_build_object('A', jsonb_build_array('192.0.2.' || i % 250)), i % 5,
       pg_temp.at(i, 51)
FROM generate_series(1, pg_temp.n(10000)) i, (SELECT pg_temp.n(1500) AS n OFFSET 0) c;
CREATE TABLE http_keyword_results (
    id uuid PRIMARY KEY, campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE, domain_id bigint, http_status_code smallint,
    page_title text, content_snippet text, found_keywords text[], checked_at timestamptz);
INSERT INTO http_keyword_results
SELECT pg_temp.uid('hr', i), pg_temp.uid('c', i % c.n), i, (ARRAY[200, 404, NULL])[1 + i % 3], pg_temp.words(i, 55),
       CASE WHEN i % 50 = 0 THEN (SELECT string_agg(md5(i || 'x' || g), '') FROM generate_series(1, 300) g) ELSE 'short' END,
       ARRAY['k' || i % 20], pg_temp.at(i, 56)
FROM generate_series(1, pg_temp.n(6000)) i, (SELECT pg_temp.n(1500) AS n OFFSET 0) c;
CREATE TABLE campaign_jobs (
    id uuid PRIMARY KEY, campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE, job_type varchar(50) NOT NULL,
    status varchar(50) NOT NULL, attempts int NOT NULL DEFAULT 0, payload json, next_execution_at timestamp);
INSERT INTO campaign_jobs SELECT pg_temp.uid('j', i), pg_temp.uid('c', i % c.n), 'generate', pg_temp.pick(i, 60, ARRAY['queued', 'running', 'completed']),
    i % 3, '{"k":1}', pg_temp.at(i, 61) AT TIME ZONE 'UTC' FROM generate_series(1, pg_temp.n(3000)) i, (SELECT pg_temp.n(1500) AS n OFFSET 0) c;
CREATE TABLE audit_logs (
    id uuid PRIMARY KEY, occurred_at timestamptz NOT NULL, user_id uuid, action varchar(255) NOT NULL, entity_type varchar(100), entity_id uuid,
    details json);
INSERT INTO audit_logs SELECT pg_temp.uid('al', i), pg_temp.at(i, 62), CASE WHEN i % 4 > 0 THEN pg_temp.uid('u', pg_temp.h(i, 63, 500)) END,
    pg_temp.pick(i, 64, ARRAY['Campaign Created', 'Campaign Updated', 'Login']), 'campaign', pg_temp.uid('c', i), '{"x":1,"x":2}'
FROM generate_series(1, pg_temp.n(5000)) i;
CREATE TABLE domain_generation_config_states (config_hash text PRIMARY KEY, last_offset bigint NOT NULL, config_details json, updated_at timestamptz);
INSERT INTO domain_generation_config_states SELECT md5('cfg' || i), i * 1000, '{"a":  1}', pg_temp.at(i, 65) FROM generate_series(1, 40) i;
CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
INSERT INTO schema_migrations SELECT i, false FROM generate_series(1, 17) i;
ANALYZE;
