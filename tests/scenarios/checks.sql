-- What the checks.sql of every scenario begins with. It runs on the target, in a transaction that is
-- rolled back; any line of output is something that is wrong. Variables: source (conninfo), other
-- (conninfo of a third database), job (the job file's name without .yaml); the report's path is in the
-- environment.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
\set report `cat "$SCENARIO_REPORT"`
SET client_min_messages = warning;
SET timezone = 'UTC';
SET jit = off;
SET synchronous_commit = off;
BEGIN;
CREATE EXTENSION IF NOT EXISTS dblink SCHEMA public;
CREATE TEMP TABLE scenario AS
SELECT :'job'::text AS job, :'report'::jsonb AS report, :'source'::text AS source, :'other'::text AS other;
SELECT public.dblink_connect('source', :'source' || ' options=''-c timezone=UTC -c jit=off''') \g /dev/null

-- Rows of a query on the source (or another connection), as text.
CREATE FUNCTION pg_temp.there(query text, connection text DEFAULT 'source') RETURNS SETOF text LANGUAGE sql AS
    $$SELECT line FROM public.dblink($2, 'SELECT t::text FROM (' || $1 || ') t') AS d (line text)$$;
CREATE FUNCTION pg_temp.here(query text) RETURNS SETOF text LANGUAGE plpgsql AS
    $$BEGIN RETURN QUERY EXECUTE 'SELECT t::text FROM (' || query || ') t'; END$$;
-- What rows of the target should be, as a query on the source, against what they are: up to five of each
-- kind of difference. With one query it is the same on both sides.
CREATE FUNCTION pg_temp.differ(what text, expected text, actual text DEFAULT NULL) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    CREATE TEMP TABLE scenario_expected AS SELECT pg_temp.there(expected) AS line;
    CREATE TEMP TABLE scenario_actual AS SELECT pg_temp.here(coalesce(actual, expected)) AS line;
    SELECT count(*) INTO n FROM scenario_expected;
    IF n = 0 THEN
        RETURN NEXT what || ': nothing to compare';
    END IF;
    RETURN QUERY (SELECT what || ': missing ' || line
                  FROM (TABLE scenario_expected EXCEPT ALL TABLE scenario_actual) d ORDER BY 1 LIMIT 5);
    RETURN QUERY (SELECT what || ': not expected ' || line
                  FROM (TABLE scenario_actual EXCEPT ALL TABLE scenario_expected) d ORDER BY 1 LIMIT 5);
    DROP TABLE scenario_expected, scenario_actual;
END$$;
-- The same for tables that are too large to be listed: number of rows and sum of their hashes.
CREATE FUNCTION pg_temp.differ_large(what text, expected text, actual text DEFAULT NULL) RETURNS SETOF text
LANGUAGE sql AS $$
    SELECT * FROM pg_temp.differ(what,
        'SELECT count(*), sum(hashtextextended(t::text, 0)) FROM (' || expected || ') t',
        'SELECT count(*), sum(hashtextextended(t::text, 0)) FROM (' || coalesce(actual, expected) || ') t')$$;
-- What the report says of a check, one line each; nothing of it: wrong.
CREATE FUNCTION pg_temp.finding(label text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT f->>'text' FROM scenario, jsonb_array_elements(report->'findings') f
    WHERE f->>'kind' = 'check' AND f->>'object' = label$$;
CREATE FUNCTION pg_temp.says(label text, wanted text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT format('the report says of "%s": %s; expected: %s', label,
                  coalesce((SELECT string_agg(t, ' | ') FROM pg_temp.finding(label) t), 'nothing'), wanted)
    WHERE NOT EXISTS (SELECT FROM pg_temp.finding(label) t WHERE t LIKE wanted)$$;
-- Every constraint is checked, every index usable, every trigger fires (those that a job sets aside for
-- its time among them).
SELECT 'not validated: ' || conrelid::regclass || ' ' || conname FROM pg_constraint
WHERE NOT convalidated AND connamespace::regnamespace::text NOT IN ('pghaul', 'information_schema');
SELECT 'not usable: ' || indexrelid::regclass FROM pg_index WHERE NOT indisvalid OR NOT indisready;
SELECT 'disabled: ' || tgrelid::regclass || ' ' || tgname FROM pg_trigger WHERE tgenabled <> 'O';
SELECT 'not filled: ' || oid::regclass FROM pg_class WHERE relkind = 'm' AND NOT relispopulated;
-- Every foreign key holds, whatever its triggers did during the load.
CREATE FUNCTION pg_temp.broken_keys() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    k record;
    n bigint;
BEGIN
    FOR k IN SELECT c.conrelid::regclass AS child, c.confrelid::regclass AS parent, c.conname,
                    string_agg(format('p.%I = c.%I', pa.attname, ca.attname), ' AND ') AS same,
                    string_agg(format('c.%I IS NOT NULL', ca.attname), ' AND ') AS there
             FROM pg_constraint c, unnest(c.conkey, c.confkey) u (ck, pk)
             JOIN pg_attribute ca ON ca.attnum = u.ck JOIN pg_attribute pa ON pa.attnum = u.pk
             WHERE c.contype = 'f' AND c.conparentid = 0 AND ca.attrelid = c.conrelid AND pa.attrelid = c.confrelid
             GROUP BY c.oid, c.conrelid, c.confrelid, c.conname
    LOOP
        EXECUTE format('SELECT count(*) FROM %s c WHERE %s AND NOT EXISTS (SELECT FROM %s p WHERE %s)', k.child,
                       k.there, k.parent, k.same) INTO n;
        IF n > 0 THEN
            RETURN NEXT format('%s rows of %s violate %s', n, k.child, k.conname);
        END IF;
    END LOOP;
END$$;
SELECT b FROM scenario, pg_temp.broken_keys() b WHERE job <> 'quarantine';
