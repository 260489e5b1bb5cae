-- One table of narrow rows: pgbench_accounts of scale 50, without its siblings.
-- psql -v rows=5000000
\set ON_ERROR_STOP on
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84));
INSERT INTO pgbench_accounts
SELECT i, (i - 1) / 100000 + 1, 0, '' FROM generate_series(1, :rows) i;
ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
VACUUM ANALYZE pgbench_accounts;
