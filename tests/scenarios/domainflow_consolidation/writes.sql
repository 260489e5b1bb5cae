-- The application goes on: for pgbench.
\set campaign random(0, 1499)
\set domain random(1, 40000)
\set user random(0, 499)
\set what random(1, 100)
\set state random(1, 9)
\set some random(1, 1000000)
\if :what <= 20
UPDATE campaigns SET status = (ARRAY['pending', 'queued', 'running', 'pausing', 'paused', 'completed', 'failed', 'archived', 'cancelled'])[:state],
    processed_items = nullif(:some, 7), updated_at = now() WHERE id = md5('c' || :campaign)::uuid;
\elif :what <= 30
BEGIN;
INSERT INTO campaigns (id, name, campaign_type, status, user_id, progress_percentage, metadata, started_at)
VALUES (md5('n' || :some)::uuid, ' New "' || :some || '" ', 'dns_validation', 'queued', md5('u' || :user)::uuid, :some / 10000.0,
        '{"b":1,  "a": "ß"}', localtimestamp) ON CONFLICT DO NOTHING;
INSERT INTO generated_domains (domain_generation_campaign_id, domain_name, offset_index, generated_at)
SELECT md5('n' || :some)::uuid, ' New-' || g || '.COM ', g, localtimestamp FROM generate_series(1, 10) g;
COMMIT;
\elif :what <= 45
UPDATE generated_domains SET source_keyword = 'kw "' || :some || '"' WHERE id = :domain;
\elif :what <= 52
BEGIN;
DELETE FROM dns_validation_results WHERE domain_id = :domain;
DELETE FROM generated_domains WHERE id = :domain;
COMMIT;
\elif :what <= 62
INSERT INTO auth.sessions (id, user_id, ip_address, expires_at) VALUES (md5(random()::text), md5('u' || :user)::uuid, '10.1.2.3', now() + interval '1 day');
\elif :what <= 68
DELETE FROM auth.sessions WHERE user_id = md5('u' || :user)::uuid;
\elif :what <= 74
UPDATE auth.users SET last_login_at = localtimestamp, email_verified = 1 - email_verified WHERE id = md5('u' || :user)::uuid;
\elif :what <= 80
INSERT INTO auth.auth_audit_log (user_id, event_type, event_status, details, risk_score)
VALUES (md5('u' || :user)::uuid, 'login', 'ok', '{"z": [1, 2], "z": 3}', :some / 10000.0);
\elif :what <= 86
-- the long text stays as it is
UPDATE http_keyword_results SET http_status_code = 301, found_keywords = ARRAY['changed', NULL] WHERE id = md5('hr' || :domain % 6000)::uuid;
\elif :what <= 92
INSERT INTO audit_logs VALUES (gen_random_uuid(), now(), NULL, 'Campaign Paused', 'campaign', md5('c' || :campaign)::uuid, '{"x": 1}');
\elif :what <= 96
BEGIN;
UPDATE campaigns SET name = 'never' WHERE id = md5('c' || :campaign)::uuid;
SAVEPOINT a;
DELETE FROM auth.sessions WHERE user_id = md5('u' || :user)::uuid;
ROLLBACK TO a;
UPDATE campaigns SET error_message = E'kept\n' || :some WHERE id = md5('c' || :campaign)::uuid;
COMMIT;
\else
UPDATE proxies SET country = 'nl', protocol = NULL, success_rate = :some / 1000000.0 WHERE id = md5('px' || :domain % 120)::uuid;
\endif
