-- The campaign platform: users run campaigns, campaigns generate domains, domains get messages, jobs do
-- the work and metrics count it. Schema and data for the demo and for tests.
--
--   psql -v scale=1 -f campaign_platform.sql      about 2.2 million rows, 500 MB
--   psql -v scale=0.01 -f campaign_platform.sql   about 22,000 rows, for tests
--
-- Every common kind of type, object and trap is in it: enums, domains, composites, ranges, arrays of
-- them, jsonb, bytea, TOASTed text, identity and serial, generated and dropped columns, quoted names,
-- a partitioned table, self-referencing and cyclic foreign keys, a table without a key, an empty one,
-- views, a materialized view, functions, triggers, comments. Values are hashes of the row number: every
-- load gives the same rows.
\set ON_ERROR_STOP on
\if :{?scale} \else \set scale 1 \endif
SET client_min_messages = warning;
SET timezone = 'UTC';
SET jit = off;
SET synchronous_commit = off;
SELECT greatest(20, (40000 * :scale)::int) AS users, greatest(10, (20000 * :scale)::int) AS campaigns,
       greatest(50, (600000 * :scale)::int) AS domains, greatest(50, (700000 * :scale)::int) AS messages,
       greatest(20, (100000 * :scale)::int) AS jobs, greatest(60, (800000 * :scale)::int) AS metrics \gset

CREATE SCHEMA platform;
CREATE SCHEMA "Reporting";
COMMENT ON SCHEMA platform IS 'campaigns and what they produce';
SET search_path = platform;

-- Helpers of the load only; they vanish with the session.
CREATE FUNCTION pg_temp.h(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
    AS 'SELECT hashint8extended($1, $2) & 9223372036854775807';
CREATE FUNCTION pg_temp.uid(text, bigint) RETURNS uuid LANGUAGE sql IMMUTABLE
    AS 'SELECT md5($1 || $2)::uuid';
CREATE FUNCTION pg_temp.at(bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE
    AS $$SELECT '2025-01-01 00:00:00+00'::timestamptz + ($1 % 31536000000000) * interval '1 us'$$;

CREATE TYPE campaign_phase AS ENUM ('draft', 'generation', 'dns_validation', 'http_validation', 'outreach', 'done');
CREATE TYPE message_direction AS ENUM ('inbound', 'outbound');
CREATE DOMAIN email_address AS text CHECK (VALUE ~ '^[^@ ]+@[^@ ]+$');
CREATE DOMAIN percentage AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE TYPE postal_address AS (street text, city text, zip varchar(12), geo point);
CREATE TYPE phase_step AS (phase campaign_phase, started timestamptz, score percentage);
CREATE TYPE money_range AS RANGE (subtype = numeric);
CREATE SEQUENCE ticket_number START 1000 INCREMENT 7;

CREATE TABLE users (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    email email_address NOT NULL,
    "Display Name" text NOT NULL,
    phone varchar(24),
    address postal_address,
    password_hash bytea,
    roles text[] NOT NULL DEFAULT '{}',
    last_login inet,
    device macaddr,
    birthday date,
    settings jsonb NOT NULL DEFAULT '{}',
    legacy_flag int,
    referred_by uuid REFERENCES users (id),
    created_at timestamptz NOT NULL);
ALTER TABLE users DROP COLUMN legacy_flag;
COMMENT ON COLUMN users."Display Name" IS 'as the user typed it, may be "quoted"';
INSERT INTO users (id, email, "Display Name", phone, address, password_hash, roles, last_login, device,
                   birthday, settings, referred_by, created_at)
SELECT pg_temp.uid('u', i), 'user' || i || '@example.org',
       (ARRAY['Zoë', 'Łukasz', 'Jürgen', '田中', 'O''Neil', 'back\slash', E'tab\there'])[1 + i % 7] || ' ' || i,
       CASE WHEN i % 6 > 0 THEN '+49 30 ' || lpad(i::text, 8, '0') END,
       CASE WHEN i % 5 > 0 THEN ROW('Main St ' || i, 'Town ' || i % 500, lpad((i % 99999)::text, 5, '0'),
            point(i % 180, -(i % 90)))::postal_address END,
       sha256(i::text::bytea), ARRAY['member', 'team' || i % 40],
       ('10.' || i % 256 || '.' || i / 256 % 256 || '.7')::inet,
       CASE WHEN i % 3 = 0 THEN ('08:00:2b:' || to_hex(16 + i % 200) || ':0a:ff')::macaddr END,
       '1960-01-01'::date + (i % 15000)::int,
       jsonb_build_object('theme', CASE i % 2 WHEN 0 THEN 'dark' ELSE 'light' END, 'limit', i % 100, 'nothing', NULL),
       CASE WHEN i > 10 AND i % 4 = 0 THEN pg_temp.uid('u', 1 + i / 2) END,
       pg_temp.at(pg_temp.h(i, 1))
FROM generate_series(1, :users) i;

CREATE TABLE campaigns (
    id uuid PRIMARY KEY,
    owner_id uuid NOT NULL REFERENCES users (id),
    name varchar(120) NOT NULL,
    phase campaign_phase NOT NULL,
    history phase_step[],
    budget money_range,
    spent numeric(14, 4) NOT NULL,
    success percentage,
    active_on daterange,
    run_at tstzrange,
    keywords text[],
    matrix int[][],
    phases campaign_phase[],
    window_length interval,
    daily_at time,
    notes xml,
    search tsvector,
    winner_id bigint,
    created_at timestamptz NOT NULL,
    -- What phases were before there were any, still written; the two below them are what they are to become.
    campaign_type text,
    status text,
    current_phase campaign_phase,
    phase_status varchar(20),
    name_upper text GENERATED ALWAYS AS (upper(name)) STORED,
    CONSTRAINT "spent is not negative" CHECK (spent >= 0));
INSERT INTO campaigns
SELECT pg_temp.uid('c', i), pg_temp.uid('u', 1 + pg_temp.h(i, 2) % :users), 'Campaign ' || i,
       (enum_range(NULL::campaign_phase))[1 + pg_temp.h(i, 3) % 6],
       ARRAY[ROW('draft', pg_temp.at(i::bigint * 1000000), i % 100), ROW('generation', NULL, 50.5)]::phase_step[],
       money_range((i % 1000)::numeric, (i % 1000 + 500)::numeric, '[)'),
       (pg_temp.h(i, 4) % 100000000)::numeric / 10000, (i % 101)::numeric,
       daterange('2025-01-01'::date + (i % 300)::int, CASE WHEN i % 6 > 0 THEN '2026-06-01'::date END),
       CASE WHEN i % 8 > 0 THEN tstzrange(pg_temp.at(i), NULL, '[]') ELSE 'empty' END,
       ARRAY['alpha' || i % 50, NULL, 'with "quotes", commas'],
       ARRAY[ARRAY[i::int, 2], ARRAY[3, 4]], ARRAY['draft', 'done']::campaign_phase[],
       (i % 90) * interval '1 day' + interval '3:04:05.678', '08:30:00'::time + (i % 600) * interval '1 min',
       CASE WHEN i % 10 = 0 THEN ('<note id="' || i || '">ok</note>')::xml END,
       to_tsvector('simple', 'campaign number ' || i || ' about ' || md5(i::text)), NULL,
       pg_temp.at(pg_temp.h(i, 5)),
       (ARRAY['domain_generation', 'dns_validation', 'http_keyword_validation', 'lead_generation', 'comprehensive'])
           [1 + pg_temp.h(i, 21) % 5],
       (ARRAY['pending', 'running', 'archived', 'paused', 'odd', NULL])[1 + pg_temp.h(i, 22) % 6]
FROM generate_series(1, :campaigns) i;

CREATE TABLE generated_domains (
    id bigserial PRIMARY KEY,
    campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    name text NOT NULL,
    tld char(6) NOT NULL,
    dns_ok boolean,
    resolved inet[],
    network cidr,
    http_status smallint,
    latency_ms real,
    score double precision,
    checked_at timestamptz,
    flags bit(8) NOT NULL,
    meta jsonb);
INSERT INTO generated_domains (campaign_id, name, tld, dns_ok, resolved, network, http_status, latency_ms,
                               score, checked_at, flags, meta)
SELECT pg_temp.uid('c', 1 + pg_temp.h(i, 6) % :campaigns), 'domain-' || substr(md5(i::text), 1, 14) || '-' || i,
       (ARRAY['com', 'org', 'net', 'dev'])[1 + i % 4], CASE i % 3 WHEN 0 THEN true WHEN 1 THEN false END,
       CASE WHEN i % 3 = 0 THEN ARRAY[('192.0.2.' || i % 250)::inet, '2001:db8::1'::inet] END,
       '198.51.100.0/24', (ARRAY[200, 301, 404, 503, NULL])[1 + i % 5], pg_temp.h(i, 7) % 100000 / 64.0,
       CASE i % 1000 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' ELSE pg_temp.h(i, 8) % 1000000 / 3.0 END,
       CASE WHEN i % 7 > 0 THEN pg_temp.at(pg_temp.h(i, 9)) ELSE 'infinity' END, (i % 256)::int::bit(8),
       jsonb_build_object('registrar', 'r' || i % 60, 'age', i % 4000, 'ns', jsonb_build_array('ns1', 'ns2'))
FROM generate_series(1, :domains) i;

-- Campaigns and domains point at each other: a cycle of foreign keys.
UPDATE campaigns SET winner_id = 1 + pg_temp.h(length(name), 10) % :domains WHERE phase = 'done';
ALTER TABLE campaigns ADD FOREIGN KEY (winner_id) REFERENCES generated_domains (id) ON DELETE SET NULL
    DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    domain_id bigint REFERENCES generated_domains (id) ON DELETE CASCADE,
    sender_id uuid REFERENCES users (id),
    sender_email text,
    parent_id uuid REFERENCES messages (id),
    direction message_direction NOT NULL,
    subject varchar(300),
    body text NOT NULL,
    attachment bytea,
    opened bool NOT NULL DEFAULT false,
    cost money,
    ticket int NOT NULL DEFAULT nextval('ticket_number'),
    sent_at timestamp,
    received_at timestamptz);
INSERT INTO messages (id, domain_id, sender_id, sender_email, parent_id, direction, subject, body, attachment, opened,
                      cost, sent_at, received_at)
SELECT pg_temp.uid('m', i), 1 + pg_temp.h(i, 11) % :domains, pg_temp.uid('u', 1 + pg_temp.h(i, 12) % :users),
       'user' || 1 + pg_temp.h(i, 12) % :users || '@example.org',
       CASE WHEN i > 100 AND i % 3 = 0 THEN pg_temp.uid('m', i / 2) END,
       (enum_range(NULL::message_direction))[1 + i % 2], 'Re: offer ' || i % 1000,
       CASE i % 100 WHEN 0 THEN (SELECT string_agg(md5((i * 100 + j)::text), E'\n') FROM generate_series(1, 110) j)
            WHEN 1 THEN '' ELSE 'Hello ' || i || E',\n\tthis is text with a \\ and a ' || md5(i::text) END,
       CASE WHEN i % 400 = 0 THEN decode(repeat(md5(i::text), 200), 'hex') END,
       i % 4 = 0, (i % 5000)::numeric::money / 100, pg_temp.at(pg_temp.h(i, 13))::timestamp,
       pg_temp.at(pg_temp.h(i, 14))
FROM generate_series(1, :messages) i;

CREATE TABLE jobs (
    id bigint GENERATED BY DEFAULT AS IDENTITY (START 1 INCREMENT 1),
    queue_name text NOT NULL,
    campaign_id uuid REFERENCES campaigns (id),
    payload json NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    run_after timetz,
    took interval,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (id, queue_name)) PARTITION BY LIST (queue_name);
CREATE TABLE jobs_email PARTITION OF jobs FOR VALUES IN ('email-sending', 'email-processing');
CREATE TABLE jobs_webhook PARTITION OF jobs FOR VALUES IN ('webhook-processing');
CREATE TABLE jobs_default PARTITION OF jobs DEFAULT;
INSERT INTO jobs (queue_name, campaign_id, payload, attempts, run_after, took, created_at)
SELECT (ARRAY['email-sending', 'email-processing', 'webhook-processing', 'analytics', 'warm:up'])[1 + i % 5],
       pg_temp.uid('c', 1 + pg_temp.h(i, 15) % :campaigns),
       format('{ "try":%s,  "try":%s, "text":"kept as typed" }', i % 3, i % 4)::json, i % 4,
       '12:00:00+02'::timetz + (i % 600) * interval '1 s', (i % 5000) * interval '1 ms', pg_temp.at(pg_temp.h(i, 16))
FROM generate_series(1, :jobs) i;

CREATE TABLE metrics (
    day date NOT NULL,
    campaign_no int NOT NULL,
    kind text NOT NULL,
    sent bigint NOT NULL,
    delivered bigint NOT NULL,
    opened bigint NOT NULL,
    spent numeric(12, 3),
    series float4[]) PARTITION BY RANGE (day);
SELECT format('CREATE TABLE metrics_y2025m%s PARTITION OF metrics FOR VALUES FROM (%L) TO (%L)',
              lpad(m::text, 2, '0'), make_date(2025, m, 1), make_date(2025, m, 1) + interval '1 month')
FROM generate_series(1, 12) m \gexec
INSERT INTO metrics
SELECT '2025-01-01'::date + (i % 365)::int, (pg_temp.h(i, 17) % :campaigns)::int, 'k' || i % 6, pg_temp.h(i, 18) % 10000,
       pg_temp.h(i, 19) % 9000, pg_temp.h(i, 20) % 5000, (i % 70000)::numeric / 1000,
       CASE WHEN i % 10 = 0 THEN ARRAY[i % 7, 1.5, NULL]::float4[] END
FROM generate_series(1, :metrics) i;

-- No key, and rows that are equal.
CREATE TABLE audit_log (at timestamptz, actor text, what text);
INSERT INTO audit_log SELECT pg_temp.at(i::bigint / 3 * 1000000), 'system', 'checked ' || i % 20
FROM generate_series(1, greatest(30, :users / 2)) i;
CREATE TABLE feature_flags (name text PRIMARY KEY, on_for text[]);
CREATE TABLE "weird ""name"" of a table; DROP TABLE x" (
    "select" int PRIMARY KEY, "ключ" text, "with space" numeric);
INSERT INTO "weird ""name"" of a table; DROP TABLE x"
SELECT i, 'значение ' || i, CASE i % 3 WHEN 0 THEN 'NaN' ELSE i / 7.0 END FROM generate_series(1, 100) i;

SET maintenance_work_mem = '256MB';
CREATE UNIQUE INDEX users_email_lower ON users (lower(email));
CREATE INDEX campaigns_owner ON campaigns (owner_id, created_at DESC);
CREATE INDEX campaigns_search ON campaigns USING gin (search);
CREATE INDEX campaigns_active ON campaigns USING gist (active_on);
CREATE INDEX campaigns_running ON campaigns (created_at) WHERE phase <> 'done';
CREATE INDEX domains_campaign ON generated_domains (campaign_id) INCLUDE (dns_ok);
CREATE INDEX domains_name ON generated_domains (name text_pattern_ops);
CREATE INDEX messages_domain ON messages (domain_id);
CREATE INDEX messages_sender ON messages USING hash (sender_id);
CREATE INDEX messages_received ON messages USING brin (received_at);
CREATE INDEX jobs_created ON jobs (created_at);
CREATE UNIQUE INDEX metrics_day ON metrics (day, campaign_no, kind, sent, delivered, opened);

CREATE VIEW active_campaigns AS SELECT id, name, phase FROM campaigns WHERE phase <> 'done';
CREATE MATERIALIZED VIEW "Reporting"."campaign totals" AS
    SELECT c.phase, count(*) AS campaigns, sum(c.spent) AS spent, max(c.created_at) AS newest
    FROM campaigns c GROUP BY c.phase;
CREATE UNIQUE INDEX ON "Reporting"."campaign totals" (phase);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.settings := NEW.settings || '{"touched": true}';
    RETURN NEW;
END $$;
CREATE TRIGGER touch_user BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE keep_flags AS ON DELETE TO feature_flags DO INSTEAD NOTHING;
GRANT USAGE ON SCHEMA platform TO PUBLIC;
GRANT SELECT ON active_campaigns TO PUBLIC;
RESET search_path;
VACUUM ANALYZE;
