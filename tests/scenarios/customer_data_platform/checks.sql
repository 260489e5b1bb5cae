\ir ../checks.sql
CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public;

-- ---- twenty-one tables of so many columns ----
WITH wanted (t, n) AS (VALUES ('users', 3), ('team', 16), ('roles', 14), ('permissions', 10), ('role_permissions', 7), ('segments', 11),
    ('cohorts', 18), ('campaigns', 16), ('campaign_jobs', 10), ('dashboard_tile_instances', 15), ('dashboard_tiles', 10),
    ('dashboard_configurations', 10), ('presentations', 9), ('slides', 9), ('uploaded_images', 8), ('scheduled_reports', 26),
    ('report_executions', 12), ('mailing_lists', 11), ('integrations', 9), ('environment_configurations', 8), ('migration_history', 18))
SELECT coalesce(t, table_name) || ' has ' || coalesce(have, 0) || ' columns, expected ' || coalesce(n, 0)
FROM wanted FULL JOIN (SELECT table_name::text, count(*) AS have FROM information_schema.columns WHERE table_schema = 'public' GROUP BY 1) c ON t = table_name
WHERE n IS DISTINCT FROM have;

-- ---- rows as they were ----
SELECT pg_temp.differ(t, 'SELECT * FROM ' || t)
FROM unnest(ARRAY['users', 'roles', 'permissions', 'role_permissions', 'segments', 'cohorts', 'campaigns', 'campaign_jobs', 'dashboard_tile_instances',
    'dashboard_tiles', 'dashboard_configurations', 'presentations', 'slides', 'uploaded_images', 'scheduled_reports', 'report_executions',
    'mailing_lists', 'environment_configurations', 'migration_history']) t;
SELECT pg_temp.differ('team', $$
    SELECT id, name, email, role, role_id, status, avatar_url, phone, department, permissions, last_login_at, invited_at, created_by, created_at, updated_at
    FROM team$$);

-- ---- passwords: hashed, salted by person, and what was a hash stays ----
CREATE TEMP TABLE passwords AS
SELECT id, d.password AS plain, t.password AS hash FROM team t
JOIN public.dblink('source', 'SELECT id, password FROM team') d (id uuid, password text) USING (id);
SELECT 'password of ' || id || ': ' || coalesce(hash, 'NULL') FROM passwords
WHERE CASE WHEN plain IS NULL THEN hash IS NOT NULL WHEN plain LIKE '$2a$%' THEN hash IS DISTINCT FROM plain
           ELSE hash IS NULL OR hash NOT LIKE '$2_$04$%' OR crypt(plain, hash) <> hash END;
SELECT 'equal passwords have equal hashes' FROM passwords WHERE plain NOT LIKE '$2%' HAVING count(hash) <> count(DISTINCT hash);
SELECT 'nobody has the same password as another' FROM passwords WHERE plain NOT LIKE '$2%' HAVING count(plain) = count(DISTINCT plain);

-- ---- credentials: encrypted, equal ones differ, and who has the key reads them ----
\set key `echo "$SCENARIO_KEY"`
CREATE TEMP TABLE key AS SELECT decode(:'key', 'hex') AS key;
CREATE FUNCTION pg_temp.decrypted(cipher text) RETURNS text LANGUAGE sql AS $$
    SELECT convert_from(decrypt_iv(substr(b, 17), key, substr(b, 1, 16), 'aes'), 'UTF8') FROM decode(cipher, 'base64') b, key$$;
SELECT pg_temp.differ('integrations', 'SELECT id, name, type, environment, credentials, api_key, status, created_at, updated_at FROM integrations',
    'SELECT id, name, type, environment, pg_temp.decrypted(credentials), api_key, status, created_at, updated_at FROM integrations')
FROM scenario WHERE job NOT LIKE 'staging_to_production%';
SELECT 'equal credentials have equal ciphers' FROM integrations HAVING count(credentials) <> count(DISTINCT credentials);
SELECT 'no credentials are equal' FROM public.dblink('source', 'SELECT credentials FROM integrations') d (c text) HAVING count(c) = count(DISTINCT c);
SELECT 'in clear: ' || id FROM integrations WHERE credentials LIKE '%shared%' OR credentials LIKE '%password%';

-- ---- sequences ----
SELECT 'sequence ' || s || ' is behind' FROM (VALUES
    ('users_id_seq', nextval('users_id_seq'), (SELECT max(id) FROM users)),
    ('role_permissions_id_seq', nextval('role_permissions_id_seq'), (SELECT max(id) FROM role_permissions)),
    ('campaign_jobs_id_seq', nextval('campaign_jobs_id_seq'), (SELECT max(id) FROM campaign_jobs)),
    ('report_executions_id_seq', nextval('report_executions_id_seq'), (SELECT max(id) FROM report_executions)),
    ('migration_history_id_seq', nextval('migration_history_id_seq'), (SELECT max(id) FROM migration_history))) v (s, next, highest)
WHERE next <= highest;
SELECT 'users_id_seq is at ' || last_value FROM users_id_seq, scenario WHERE job <> 'production_to_production' AND last_value <> 906;

-- ---- keys, indexes, the report ----
SELECT 'foreign keys: ' || count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace HAVING count(*) <> 25;
SELECT 'index is missing: ' || i FROM unnest(ARRAY['idx_team_email', 'idx_cohorts_status', 'idx_segments_active', 'idx_campaigns_status',
    'idx_tiles_dashboard', 'idx_executions_report']) i WHERE to_regclass(i) IS NULL;
SELECT pg_temp.says('orphans public.team (created_by)', 'no orphans%');
SELECT pg_temp.says('orphans public.campaigns (cohort_id)', 'no orphans%');
SELECT 'no team member was made by a user' WHERE NOT EXISTS (SELECT FROM team t JOIN users u ON t.created_by = u.id);
