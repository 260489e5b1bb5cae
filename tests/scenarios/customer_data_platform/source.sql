-- Its rows: of every table some, of those that grow some thousands.
\ir ../common.sql
\ir schema.sql

CREATE FUNCTION pg_temp.team_member(i bigint, salt bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$SELECT CASE WHEN i % 9 > 0 THEN pg_temp.uid('t', 1 + pg_temp.h(i, salt, 200)) END$$;

-- numbers that a sequence gave, with gaps
INSERT INTO users (id, username, password) SELECT i * 3, 'user' || i, 'pw "' || i || '"' FROM generate_series(1, 300) i;
SELECT setval('users_id_seq', 905) \g /dev/null
INSERT INTO roles
SELECT pg_temp.uid('r', i), 'role' || i, initcap('role ' || i), pg_temp.words(i, 1), '#' || substr(md5(i::text), 1, 6), i, i < 4, i % 5 > 0,
       nullif(i, 7), CASE WHEN i > 3 THEN pg_temp.uid('r', i / 2) END, '{"a": [1, null]}', CASE WHEN i % 4 > 0 THEN i * 3 END, pg_temp.at(i, 2), pg_temp.at(i, 3)
FROM generate_series(1, 12) i;
-- some passwords are hashes already, some people have none
INSERT INTO team
SELECT pg_temp.uid('t', i), coalesce(pg_temp.words(i, 4), 'Nobody'), 'member' || i || '@example.org',
       CASE WHEN i % 10 = 0 THEN NULL
            WHEN i % 3 = 0 THEN '$2a$06$' || substr(md5('s' || i) || md5('h' || i), 1, 53)
            WHEN i % 7 = 0 THEN 'the same for all' ELSE 'pässword ' || i END,
       pg_temp.pick(i, 5, ARRAY['admin', 'editor', 'viewer']), CASE WHEN i % 6 > 0 THEN pg_temp.uid('r', 1 + i % 12) END,
       pg_temp.pick(i, 6, ARRAY['active', 'invited', 'disabled']), NULL, CASE WHEN i % 2 = 0 THEN '+49 30 ' || 100000 + i END, 'dep "' || i % 5 || '"',
       ARRAY['a' || i % 3, NULL], pg_temp.at(i, 7), NULL, CASE WHEN i % 5 > 0 THEN (1 + i % 300) * 3 END, pg_temp.at(i, 8), pg_temp.at(i, 9)
FROM generate_series(1, 200) i;
INSERT INTO permissions SELECT pg_temp.uid('p', i), 'perm.' || i, 'Perm ' || i, pg_temp.words(i, 10), 'cat' || i % 4, 'res' || i % 9,
    (ARRAY['read', 'write'])[1 + i % 2], i % 3 = 0, pg_temp.at(i, 11), pg_temp.at(i, 12) FROM generate_series(1, 60) i;
INSERT INTO role_permissions (role_id, permission_id, granted, conditions, granted_by, created_at)
SELECT pg_temp.uid('r', r), pg_temp.uid('p', p), p % 7 > 0, CASE WHEN p % 2 = 0 THEN jsonb_build_object('p', p) END, pg_temp.team_member(r * 60 + p, 13),
       pg_temp.at(p, 14) FROM generate_series(1, 12) r, generate_series(1, 60) p WHERE (r + p) % 3 > 0;

INSERT INTO segments SELECT pg_temp.uid('s', i), 'Segment ' || i, pg_temp.words(i, 20), jsonb_build_object('op', 'and', 'n', i), 'SELECT ''' || i || '''',
    pg_temp.h(i, 21, 1000000), i % 3 > 0, pg_temp.at(i, 22), pg_temp.team_member(i, 23), pg_temp.at(i, 24), pg_temp.at(i, 25)
FROM generate_series(1, 400) i;
INSERT INTO cohorts SELECT pg_temp.uid('co', i), 'Cohort ' || i, pg_temp.words(i, 26), 'dynamic', pg_temp.pick(i, 27, ARRAY['active', 'paused', 'draft']),
    '{"any": []}', pg_temp.h(i, 28, 90000), NULL, i % 2 = 0, 'amp_' || i, pg_temp.at(i, 29), 'braze_' || i, NULL, pg_temp.words(i, 30),
    ARRAY['x', 'y "z"'], pg_temp.team_member(i, 31), pg_temp.at(i, 32), pg_temp.at(i, 33) FROM generate_series(1, 500) i;
INSERT INTO campaigns SELECT pg_temp.uid('ca', i), 'Campaign ' || i, pg_temp.words(i, 34), pg_temp.pick(i, 35, ARRAY['draft', 'running', 'done']),
    CASE WHEN i % 8 > 0 THEN pg_temp.uid('co', 1 + i % 500) END, 'email', 'tpl' || i % 20, NULL, jsonb_build_object('a', i), i * 1.25, i,
    pg_temp.at(i, 36), NULL, pg_temp.team_member(i, 37), pg_temp.at(i, 38), pg_temp.at(i, 39) FROM generate_series(1, 800) i;
INSERT INTO campaign_jobs (campaign_id, status, payload, attempts, error, started_at, finished_at, duration, created_at)
SELECT pg_temp.uid('ca', 1 + i % 800), pg_temp.pick(i, 40, ARRAY['queued', 'done', 'failed']), jsonb_build_object('i', i), i % 4, pg_temp.words(i, 41),
    pg_temp.at(i, 42), NULL, (i % 5000) * interval '1 ms', pg_temp.at(i, 43) FROM generate_series(1, pg_temp.n(12000)) i;

INSERT INTO dashboard_tiles SELECT pg_temp.uid('dt', i), 'Tile ' || i, 'chart', pg_temp.words(i, 44), '{}', 'SELECT 1', i % 2 = 0, pg_temp.team_member(i, 45),
    pg_temp.at(i, 46), pg_temp.at(i, 47) FROM generate_series(1, 80) i;
INSERT INTO dashboard_tile_instances SELECT pg_temp.uid('di', i), pg_temp.uid('dt', 1 + i % 80), 'dash' || i % 30, pg_temp.words(i, 48), i % 12, i % 9, 2, 3,
    jsonb_build_object('i', i), '{ "b":1,  "b":2 }', interval '5 min' * (i % 9), i % 6 > 0, CASE WHEN i % 9 = 0 THEN 'NaN' ELSE i / 7.0 END, pg_temp.at(i, 49),
    pg_temp.at(i, 50) FROM generate_series(1, 2500) i;
INSERT INTO dashboard_configurations SELECT pg_temp.uid('dc', i), 'Config ' || i, jsonb_build_array(i), 'dark', i = 1, i % 2 = 0,
    ARRAY[pg_temp.uid('t', i), NULL], pg_temp.team_member(i, 51), pg_temp.at(i, 52), pg_temp.at(i, 53) FROM generate_series(1, 60) i;

INSERT INTO uploaded_images SELECT pg_temp.uid('im', i), 'f' || i || '.png', pg_temp.words(i, 54) || '.png', 'image/png', 16 * (i % 600),
    CASE WHEN i % 11 > 0 THEN (SELECT string_agg(decode(md5(i || '/' || g), 'hex'), '') FROM generate_series(1, i % 600) g) END, md5(i::text), pg_temp.at(i, 55)
FROM generate_series(1, 300) i WHERE pg_temp.words(i, 54) IS NOT NULL;
INSERT INTO presentations SELECT pg_temp.uid('pr', i), 'Presentation ' || i, pg_temp.words(i, 56), m.id, ARRAY[pg_temp.uid('sl', i)], i % 2 = 0, i,
    pg_temp.at(i, 57), pg_temp.at(i, 58) FROM generate_series(1, 120) i LEFT JOIN uploaded_images m ON m.id = pg_temp.uid('im', i);
INSERT INTO slides SELECT pg_temp.uid('sl', i), CASE WHEN i % 9 > 0 THEN pg_temp.uid('pr', 1 + i % 120) END, m.id, pg_temp.words(i, 59),
    jsonb_build_array(jsonb_build_object('t', pg_temp.words(i, 60))), i % 12, pg_temp.words(i, 61), pg_temp.at(i, 62), pg_temp.at(i, 63)
FROM generate_series(1, 1500) i LEFT JOIN uploaded_images m ON m.id = pg_temp.uid('im', i % 400);
INSERT INTO mailing_lists SELECT pg_temp.uid('ml', i), 'List ' || i, NULL, jsonb_build_array('a' || i || '@example.org'), 1, NULL, i % 2 = 0, NULL,
    pg_temp.team_member(i, 64), pg_temp.at(i, 65), pg_temp.at(i, 66) FROM generate_series(1, 50) i;
INSERT INTO scheduled_reports SELECT pg_temp.uid('sr', i), 'Report ' || i, pg_temp.words(i, 67), pg_temp.uid('pr', 1 + i % 120),
    CASE WHEN i % 4 > 0 THEN pg_temp.uid('ml', 1 + i % 50) END, '0 ' || i % 24 || ' * * *', 'Europe/Berlin', ARRAY['x' || i || '@example.org', 'ü@example.org'], '{}',
    NULL, pg_temp.words(i, 68), pg_temp.words(i, 69), 'pdf', 'A4', i % 3 > 0, '{"f": null}', i % 5 > 0, pg_temp.at(i, 70), pg_temp.at(i, 71), 'ok', i, 0, 3,
    pg_temp.team_member(i, 72), pg_temp.at(i, 73), pg_temp.at(i, 74) FROM generate_series(1, 250) i;
INSERT INTO report_executions (scheduled_report_id, status, started_at, finished_at, recipients_count, file_size, file_url, error, log, metadata, created_at)
SELECT pg_temp.uid('sr', 1 + i % 250), pg_temp.pick(i, 75, ARRAY['ok', 'failed']), pg_temp.at(i, 76), NULL, i % 9, i * 1000, NULL, pg_temp.words(i, 77),
    CASE WHEN i % 60 = 0 THEN (SELECT string_agg(md5(i || 'l' || g), E'\n') FROM generate_series(1, 200) g) END, '{}', pg_temp.at(i, 78)
FROM generate_series(1, pg_temp.n(8000)) i;

-- equal credentials in several rows; the first ones are known to production too
INSERT INTO integrations
SELECT pg_temp.uid('in', i), (ARRAY['Amplitude', 'Braze', 'Snowflake', 'Slack'])[1 + i % 4] || ' ' || i, (ARRAY['amplitude', 'braze', 'snowflake', 'slack'])[1 + i % 4],
       CASE WHEN i <= 20 THEN 'all' ELSE 'staging' END,
       CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN 'shared secret "ü"' ELSE '{"user": "u' || i || '", "password": "' || md5('cred' || i) || '"}' END,
       CASE WHEN i % 4 > 0 THEN 'key_staging_' || md5('k' || i) END, 'connected', pg_temp.at(i, 80), pg_temp.at(i, 81)
FROM generate_series(1, 40) i;
INSERT INTO environment_configurations SELECT pg_temp.uid('ec', i), CASE WHEN i % 6 > 0 THEN pg_temp.uid('in', 1 + i % 40) END, 'staging', jsonb_build_object('i', i),
    ARRAY['flag'], true, pg_temp.at(i, 82), pg_temp.at(i, 83) FROM generate_series(1, 90) i;
INSERT INTO migration_history (integration_id, source_environment, target_environment, status, tables, total_rows, migrated_rows, failed_rows, started_at,
    completed_at, duration, error_message, log, rollback_available, checksum, initiated_by, created_at)
SELECT CASE WHEN i % 7 > 0 THEN pg_temp.uid('in', 1 + i % 40) END, 'dev', 'staging', 'done', ARRAY['users', NULL], i, i, 0, pg_temp.at(i, 84), NULL,
    interval '1 day 2 hours' * i, pg_temp.words(i, 85), '{"l": 1}', i % 2 = 0, sha256(i::text::bytea), NULL, pg_temp.at(i, 86) FROM generate_series(1, 400) i;
ANALYZE;
