-- Wide rows for the large table: about 6 KB each, a third of it in TOAST.
-- psql -v rows=1800000 (11 GB). Nothing is compressible by PostgreSQL's choice of storage.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
CREATE TABLE wide (
    id bigint NOT NULL, account uuid NOT NULL, at timestamptz NOT NULL, amount numeric(18, 4),
    state text NOT NULL, settings jsonb, line1 text, line2 text, line3 text, line4 text, body text);
ALTER TABLE wide
    ALTER COLUMN line1 SET STORAGE PLAIN, ALTER COLUMN line2 SET STORAGE PLAIN,
    ALTER COLUMN line3 SET STORAGE PLAIN, ALTER COLUMN line4 SET STORAGE PLAIN,
    ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO wide
SELECT i, h::uuid, '2024-01-01 00:00:00+00'::timestamptz + i * interval '1 s', i * 1.0625,
       (ARRAY['open', 'held', 'done'])[1 + i % 3], jsonb_build_object('n', i % 1000, 'k', h),
       repeat(h, 29), repeat(reverse(h), 29), repeat(h, 29), CASE WHEN i % 50 > 0 THEN repeat(h, 29) END,
       repeat(h, 58)
FROM generate_series(1, :rows) i, LATERAL (SELECT md5(i::text) AS h) m;
ALTER TABLE wide ADD PRIMARY KEY (id);
CREATE INDEX wide_account ON wide (account);
VACUUM ANALYZE wide;
