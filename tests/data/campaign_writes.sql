-- What the campaign platform's application does all day: a script for pgbench, one transaction a call.
--
--   pgbench -n -f campaign_writes.sql -D users=40000 -D campaigns=20000 -D domains=600000 \
--           -D messages=700000 -D jobs=100000 …      numbers of rows, as campaign_platform.sql made them
--
-- Inserts, updates and deletes of ten tables, rows that move to another partition, keys that change,
-- equal rows of a table without a key, savepoints that are rolled back, long values left as they are.
\set what random(1, 100)
\set user random(1, :users)
\set campaign random(1, :campaigns)
\set domain random(1, :domains)
\set message random(1, :messages)
\set job random(1, :jobs)
\set some random(1, 100)
\if :what <= 30
-- an offer is sent, and paid for
BEGIN;
INSERT INTO platform.messages (id, domain_id, sender_id, sender_email, direction, subject, body, cost, sent_at)
VALUES (gen_random_uuid(), :domain, md5('u' || :user)::uuid, 'user' || :user || '@example.org', 'outbound', 'Re: offer ' || :some,
        repeat('Hello ' || :message || E',\n', 1 + :domain % 60), (:some / 100.0)::numeric::money, now());
UPDATE platform.campaigns SET spent = spent + :some / 100.0 WHERE id = md5('c' || :campaign)::uuid;
COMMIT;
\elif :what <= 34
-- a campaign goes on
UPDATE platform.campaigns
SET campaign_type = (ARRAY['domain_generation', 'dns_validation', 'http_keyword_validation'])[1 + :some % 3],
    status = (ARRAY['pending', 'running', 'archived', NULL])[1 + :some % 4]
WHERE id = md5('c' || :campaign)::uuid;
\elif :what <= 50
-- one is read
UPDATE platform.messages SET opened = NOT opened, received_at = now() WHERE id = md5('m' || :message)::uuid;
\elif :what <= 60
UPDATE platform.jobs SET attempts = (attempts + 1) % 100, took = '00:00:01' WHERE id = :job;
\elif :what <= 66
-- goes to another queue: its key, and its partition
UPDATE platform.jobs SET queue_name = 'webhook-processing' WHERE id = :job;
\elif :what <= 72
BEGIN;
DELETE FROM platform.jobs WHERE id = :job;
INSERT INTO platform.jobs (queue_name, campaign_id, payload, created_at)
VALUES ('email-sending', md5('c' || :campaign)::uuid, '{ "try":0,  "text":"kept as typed" }', now());
COMMIT;
\elif :what <= 80
-- logs in; what is tried meanwhile comes to nothing
BEGIN;
UPDATE platform.users SET last_login = inet '10.9.0.1' + :some WHERE id = md5('u' || :user)::uuid;
SAVEPOINT tried;
INSERT INTO platform.audit_log VALUES (now(), 'user', 'never happened');
DELETE FROM platform.jobs WHERE id = :job;
ROLLBACK TO tried;
INSERT INTO platform.audit_log VALUES (now(), 'user', 'logged in ' || :some % 20);
COMMIT;
\elif :what <= 84
-- one of several equal rows
DELETE FROM platform.audit_log
WHERE ctid = (SELECT ctid FROM platform.audit_log WHERE what = 'checked ' || :some % 20 LIMIT 1);
\elif :what <= 90
BEGIN;
DELETE FROM platform.metrics WHERE day = date '2025-01-01' + :campaign % 365 AND campaign_no = :campaign;
INSERT INTO platform.metrics VALUES (date '2025-01-01' + :campaign % 365, :campaign, 'new', :message, :domain, :job)
ON CONFLICT DO NOTHING;
COMMIT;
\elif :what <= 93
INSERT INTO platform.users (id, email, "Display Name", phone, created_at)
VALUES (gen_random_uuid(), 'new.' || gen_random_uuid() || '@example.org', 'Söner ' || :some, '+1 555 ' || :job, now());
UPDATE platform.users SET phone = '+44 20 7946 0' || 100 + :some WHERE id = md5('u' || :user)::uuid;
\elif :what <= 96
INSERT INTO platform.generated_domains (campaign_id, name, tld, flags)
VALUES (md5('c' || :campaign)::uuid, 'new-' || :domain || '-' || :some, 'net', B'10101010');
\elif :what <= 97
DELETE FROM platform.generated_domains WHERE id = (SELECT max(id) FROM platform.generated_domains WHERE id > :domains);
\elif :what <= 98
INSERT INTO platform.feature_flags VALUES ('flag ' || :some % 10, ARRAY['team' || :some])
ON CONFLICT (name) DO UPDATE SET on_for = excluded.on_for;
\else
-- a key changes
UPDATE platform."weird ""name"" of a table; DROP TABLE x" SET "select" = -"select" WHERE abs("select") = :some;
\endif
