-- Many small tables in one schema, each with a key and ten rows.
-- psql -v tables=5000
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SELECT format('CREATE TABLE t%s (id int PRIMARY KEY, name text NOT NULL, at timestamptz DEFAULT now());'
              ' INSERT INTO t%s SELECT i, md5(i::text), ''2024-01-01''::timestamptz + i * interval ''1 h'''
              ' FROM generate_series(1, 10) i', i, i)
FROM generate_series(1, :tables) i \gexec
VACUUM ANALYZE;
