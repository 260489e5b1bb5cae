-- Production that has integrations in common with staging: it takes their names and states from there, but
-- keeps its keys.
\ir production.sql
INSERT INTO integrations
SELECT pg_temp.uid('in', i), 'old name ' || i, 'old', 'all', 'production credentials ' || i, 'key_production_in_' || i, 'broken',
       pg_temp.at(i, 5), pg_temp.at(i, 6) FROM generate_series(6, 20) i;
