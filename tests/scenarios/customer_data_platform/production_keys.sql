-- Production that has integrations in common with staging. Some stay as they are, whatever staging says.
\ir production.sql
INSERT INTO integrations
SELECT pg_temp.uid('in', i), 'kept whole ' || i, 'slack', 'production', 'production credentials ' || i, 'key_production_in_' || i, 'connected',
       pg_temp.at(i, 3), pg_temp.at(i, 4) FROM generate_series(1, 5) i;
-- The others take their names and states from there, but keep their keys.
INSERT INTO integrations
SELECT pg_temp.uid('in', i), 'old name ' || i, 'old', 'all', 'production credentials ' || i, 'key_production_in_' || i, 'broken',
       pg_temp.at(i, 5), pg_temp.at(i, 6) FROM generate_series(6, 20) i;
