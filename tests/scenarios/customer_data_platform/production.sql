-- Production: the same tables, empty but for its own integrations.
\ir ../common.sql
\ir schema.sql
INSERT INTO integrations
SELECT pg_temp.uid('prod', i), 'Production ' || i, 'braze', 'production', 'encrypted long ago ' || i, 'key_production_' || i, 'connected',
       pg_temp.at(i, 1), pg_temp.at(i, 2) FROM generate_series(1, 10) i;
