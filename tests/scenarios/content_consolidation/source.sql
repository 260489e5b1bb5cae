-- A content database: mail in two tables that grew apart, a queue, and the analytics beside them.
\ir ../common.sql

CREATE TABLE email_messages (
    storage_key varchar(255) PRIMARY KEY,
    tenant_id uuid NOT NULL,
    email_account_id uuid,
    campaign_id uuid,
    lead_id uuid,
    parent_message_id varchar(255),
    direction varchar(20),
    message_type varchar(20),
    from_email varchar(254),
    to_email varchar(254),
    subject varchar(500),
    status varchar(50),
    processed timestamptz,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now());
-- the younger copy of it: other widths, no key, some rows twice
CREATE TABLE content_inbox_message_refs (
    storage_key varchar(400) NOT NULL,
    tenant_id uuid NOT NULL,
    email_account_id uuid,
    campaign_id uuid,
    lead_id uuid,
    parent_message_id varchar(400),
    direction varchar(20),
    message_type varchar(20),
    from_email varchar(254),
    to_email text,
    subject varchar(500),
    status varchar(50),
    processed timestamptz,
    created_at timestamptz,
    updated_at timestamptz NOT NULL);
CREATE INDEX ON content_inbox_message_refs (storage_key);

-- Message i. `who` makes the same message another one in the other table.
CREATE FUNCTION pg_temp.message(i int, who int) RETURNS email_messages LANGUAGE sql STABLE AS $$
    SELECT ('mail/' || i % 50 || '/' || md5('m' || i))::varchar, pg_temp.uid('t', i % 40),
           CASE WHEN i % 11 > 0 THEN pg_temp.uid('a', pg_temp.h(i, 2, 300)) END,
           CASE WHEN i % 4 > 0 THEN pg_temp.uid('c', pg_temp.h(i, 3, 500)) END,
           CASE WHEN i % 5 > 0 THEN pg_temp.uid('l', pg_temp.h(i, 4, 2000)) END,
           -- an answer to an earlier message, wherever that one is
           CASE WHEN i > 10 AND i % 3 > 0
                THEN ('mail/' || (i / 2) % 50 || '/' || md5('m' || (i / 2)))::varchar END,
           pg_temp.pick(i, 5, ARRAY['inbound', 'outbound', NULL]),
           pg_temp.pick(i, 6, ARRAY['email', 'email', 'bounce', 'auto_reply', NULL]),
           'person' || pg_temp.h(i, 7, 900) || '@exämple.org', 'Receiver <r' || i || '@example.net>',
           pg_temp.words(i, 8 + who),
           pg_temp.pick(i, 9, ARRAY['queued', 'sent', 'delivered', 'bounced', 'failed', 'opened', 'replied', NULL]),
           CASE i % 13 WHEN 0 THEN NULL WHEN 1 THEN 'infinity' ELSE pg_temp.at(i, 10) END,
           pg_temp.at(i, 11), pg_temp.at(i, 12 + who)$$;
INSERT INTO email_messages SELECT m.* FROM generate_series(1, pg_temp.n(12000)) i, pg_temp.message(i, 0) m WHERE i % 3 > 0;
-- a third of them in both tables, a third only here
INSERT INTO content_inbox_message_refs
SELECT m.* FROM generate_series(1, pg_temp.n(12000)) i, pg_temp.message(i, 100) m WHERE i % 3 < 2;
-- and of those that are only here, some twice: the one that was updated last is the right one
INSERT INTO content_inbox_message_refs
SELECT m.storage_key, m.tenant_id, m.email_account_id, m.campaign_id, m.lead_id, m.parent_message_id, m.direction,
       m.message_type, m.from_email, m.to_email, 'again: ' || coalesce(m.subject, ''), m.status, m.processed, m.created_at,
       m.updated_at + (pg_temp.h(i, 13, 1000) - 500) * interval '1 hour' + interval '1 s'
FROM generate_series(1, pg_temp.n(12000)) i, pg_temp.message(i, 100) m WHERE i % 30 = 0;
-- the longest key that its column takes
INSERT INTO content_inbox_message_refs
SELECT repeat('k', 400), m.tenant_id, NULL, NULL, NULL, NULL, 'inbound', 'email', NULL, NULL, repeat('ä', 500), 'sent', NULL,
       NULL, '-infinity' FROM pg_temp.message(1, 0) m;

CREATE TABLE jobs (
    id uuid PRIMARY KEY,
    tenant_id uuid,
    queue_name varchar(100) NOT NULL,
    priority int NOT NULL DEFAULT 0,
    status varchar(20) NOT NULL DEFAULT 'pending',
    payload jsonb,
    attempts smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL DEFAULT 3,
    error text,
    scheduled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT jobs_attempts CHECK (attempts >= 0));
INSERT INTO jobs
SELECT pg_temp.uid('j', i), CASE WHEN i % 9 > 0 THEN pg_temp.uid('t', i % 40) END,
       pg_temp.pick(i, 20, ARRAY['email-sending', 'email-processing', 'email-sending:high', 'email-sending:low',
           'analytics-daily', 'analytics-campaign', 'analytics-billing', 'warmup-processing', 'bounce-processing',
           'webhook-processing', 'import-legacy', 'Ünbekannt "queue"']),
       pg_temp.h(i, 21, 10) - 3, pg_temp.pick(i, 22, ARRAY['pending', 'running', 'done', 'dead']),
       CASE WHEN i % 7 > 0 THEN jsonb_build_object('n', i, 'text', pg_temp.words(i, 23), 'nothing', NULL) END,
       i % 4, 3, CASE WHEN i % 10 = 0 THEN E'line 1\nline "2" \\ ' || i END,
       CASE WHEN i % 6 > 0 THEN pg_temp.at(i, 24) END, pg_temp.at(i, 25)
FROM generate_series(1, pg_temp.n(15000)) i;

CREATE TABLE campaigns (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, name text NOT NULL, status varchar(20) NOT NULL);
INSERT INTO campaigns
SELECT pg_temp.uid('c', i), pg_temp.uid('t', i % 40), coalesce(pg_temp.words(i, 30), 'Campaign'),
       pg_temp.pick(i, 31, ARRAY['draft', 'active', 'paused', 'completed'])
FROM generate_series(0, 499) i;

CREATE TABLE campaign_analytics (
    id bigserial PRIMARY KEY,
    campaign_id uuid NOT NULL,
    company_id uuid NOT NULL,
    status varchar(20) NOT NULL,
    sent int NOT NULL,
    delivered int NOT NULL,
    opened_tracked int NOT NULL,
    clicked_tracked int NOT NULL,
    replied int NOT NULL,
    updated_at timestamptz NOT NULL);
-- some sent nothing: their rates are NULL
INSERT INTO campaign_analytics (campaign_id, company_id, status, sent, delivered, opened_tracked, clicked_tracked, replied,
                                updated_at)
SELECT pg_temp.uid('c', i), pg_temp.uid('o', i % 25), pg_temp.pick(i, 40, ARRAY['running', 'completed']),
       CASE WHEN i % 20 = 0 THEN 0 ELSE pg_temp.h(i, 41, 10000) + 100 END, CASE WHEN i % 20 = 0 THEN 0 ELSE pg_temp.h(i, 42, 100) END,
       pg_temp.h(i, 43, 80), pg_temp.h(i, 44, 60), pg_temp.h(i, 45, 20), pg_temp.at(i, 46)
FROM generate_series(0, 479) i;

CREATE TABLE billing_analytics (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id uuid NOT NULL,
    period_start date NOT NULL,
    period_end date NOT NULL,
    emails int NOT NULL,
    amount numeric(12, 4) NOT NULL,
    PRIMARY KEY (id));
INSERT INTO billing_analytics (tenant_id, period_start, period_end, emails, amount)
SELECT pg_temp.uid('t', t), '2024-07-01'::date + m * interval '1 month', '2024-07-01'::date + (m + 1) * interval '1 month' - interval '1 day',
       pg_temp.h(t * 100 + m, 50, 100000), pg_temp.h(t * 100 + m, 51, 100000000) / 10000.0
FROM generate_series(0, 39) t, generate_series(0, 23) m;
ANALYZE;
