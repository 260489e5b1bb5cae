-- The platform at work: for pgbench.
\set member random(1, 200)
\set cohort random(1, 500)
\set campaign random(1, 800)
\set report random(1, 250)
\set integration random(1, 40)
\set what random(1, 100)
\set some random(1, 1000000)
\if :what <= 8
INSERT INTO users (username, password) VALUES ('new ' || gen_random_uuid(), 'pw');
\elif :what <= 16
UPDATE team SET password = 'changed ' || :some % 7, updated_at = now() WHERE id = md5('t' || :member)::uuid;
\elif :what <= 22
UPDATE team SET last_login_at = now(), permissions = ARRAY['p' || :some, NULL] WHERE id = md5('t' || :member)::uuid;
\elif :what <= 30
UPDATE integrations SET credentials = nullif('{"new": "' || :some % 10 || '"}', '{"new": "7"}'), updated_at = now() WHERE id = md5('in' || :integration)::uuid;
\elif :what <= 36
UPDATE integrations SET status = 'seen ' || :some % 9 WHERE id = md5('in' || :integration)::uuid;
\elif :what <= 50
INSERT INTO campaign_jobs (campaign_id, status, payload, attempts, duration, created_at)
VALUES (md5('ca' || :campaign)::uuid, 'queued', '{"n": "é"}', 0, '1 min', now());
\elif :what <= 60
DELETE FROM campaign_jobs WHERE id = :some % 12000;
\elif :what <= 70
BEGIN;
INSERT INTO report_executions (scheduled_report_id, status, started_at, log, created_at) VALUES (md5('sr' || :report)::uuid, 'ok', now(), repeat('line' || :some, 2000), now());
UPDATE scheduled_reports SET run_count = run_count + 1, last_run_at = now() WHERE id = md5('sr' || :report)::uuid;
COMMIT;
\elif :what <= 78
UPDATE report_executions SET finished_at = now() WHERE id = :some % 8000;
\elif :what <= 86
UPDATE cohorts SET user_count = :some, sync_error = E'again\n"' || :some || '"' WHERE id = md5('co' || :cohort)::uuid;
\elif :what <= 92
BEGIN;
INSERT INTO integrations VALUES (gen_random_uuid(), 'New', 'slack', 'staging', 'shared secret "ü"', NULL, 'new', now(), now());
INSERT INTO team (id, name, email, password, role, created_by) VALUES (gen_random_uuid(), 'Neu', gen_random_uuid() || '@example.org', '$2a$06$' || repeat('a', 53), 'viewer', 3);
COMMIT;
\elif :what <= 96
BEGIN;
UPDATE team SET password = 'never' WHERE id = md5('t' || :member)::uuid;
ROLLBACK;
\else
DELETE FROM dashboard_tile_instances WHERE id = md5('di' || :some % 2500)::uuid;
\endif
