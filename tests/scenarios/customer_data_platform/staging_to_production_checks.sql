-- Production's integrations: its own as they were, the shared ones by staging but for their keys, and the others
-- of staging, encrypted.
\ir ../checks.sql
CREATE EXTENSION IF NOT EXISTS pgcrypto SCHEMA public;
\set key `echo "$SCENARIO_KEY"`
CREATE TEMP TABLE wanted AS
SELECT d.*, false AS is_kept
FROM public.dblink('source', 'SELECT * FROM integrations') d (id uuid, name text, type text, environment text, credentials text, api_key text,
    status text, created_at timestamptz, updated_at timestamptz);
-- production had those numbered 1 to 5 for its own, and in the other case 6 to 20 in common with staging
UPDATE wanted w SET credentials = 'production credentials ' || i, api_key = 'key_production_in_' || i, is_kept = true
FROM generate_series(6, 20) i, scenario WHERE w.id = md5('in' || i)::uuid AND job = 'staging_to_production_keys';
DELETE FROM wanted w USING generate_series(1, 5) i, scenario
WHERE w.id = md5('in' || i)::uuid AND job = 'staging_to_production_keys';
SELECT 'integration ' || coalesce(w.id, i.id) || ': ' || coalesce(i::text, 'missing') || ', expected ' || coalesce(w::text, 'none')
FROM wanted w FULL JOIN (SELECT * FROM integrations WHERE environment <> 'production') i USING (id)
WHERE w.id IS NULL OR i.id IS NULL OR (w.name, w.type, w.environment, w.status, w.created_at, w.updated_at)
    IS DISTINCT FROM (i.name, i.type::text, i.environment::text, i.status::text, i.created_at, i.updated_at)
    OR w.api_key IS DISTINCT FROM i.api_key
    OR w.credentials IS DISTINCT FROM CASE WHEN w.is_kept THEN i.credentials
        ELSE (SELECT convert_from(decrypt_iv(substr(b, 17), decode(:'key', 'hex'), substr(b, 1, 16), 'aes'), 'UTF8')
              FROM decode(i.credentials, 'base64') b) END;
SELECT 'production''s own: ' || count(*) FROM integrations
WHERE environment = 'production' AND ((name LIKE 'Production %' AND type = 'braze' AND credentials LIKE 'encrypted long ago %' AND api_key LIKE 'key_production_%')
   OR (name LIKE 'kept whole %' AND type = 'slack' AND credentials LIKE 'production credentials %' AND api_key LIKE 'key_production_in_%'))
HAVING count(*) <> (SELECT CASE job WHEN 'staging_to_production' THEN 10 ELSE 15 END FROM scenario);
SELECT 'not wholly production''s: ' || id FROM integrations WHERE environment = 'production'
   AND name NOT LIKE 'Production %' AND name NOT LIKE 'kept whole %';
