-- What the source.sql of every scenario begins with: helpers of the load that vanish with the session.
--
-- Rows are hashes of their number, so every load gives the same ones. How many there are is scaled by
-- the setting scenario.scale: ALTER DATABASE … SET scenario.scale = '10'. Default: 1.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET timezone = 'UTC';
SET jit = off;
SET synchronous_commit = off;

CREATE FUNCTION pg_temp.n(rows int) RETURNS int LANGUAGE sql STABLE AS
    $$SELECT greatest(20, (rows * coalesce(nullif(current_setting('scenario.scale', true), ''), '1')::float8)::int)$$;
-- a number from 0 to below - 1, another one for every salt
CREATE FUNCTION pg_temp.h(i bigint, salt bigint, below bigint) RETURNS int LANGUAGE sql IMMUTABLE AS
    $$SELECT ((hashint8extended(i, salt) & 9223372036854775807) % below)::int$$;
CREATE FUNCTION pg_temp.uid(kind text, i bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$SELECT md5(kind || i)::uuid$$;
-- a moment of 2025, to the microsecond
CREATE FUNCTION pg_temp.at(i bigint, salt bigint DEFAULT 1) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS
    $$SELECT '2025-01-01 00:00:00+00'::timestamptz
           + ((hashint8extended(i, salt) & 9223372036854775807) % 31536000000000) * interval '1 us'$$;
CREATE FUNCTION pg_temp.pick(i bigint, salt bigint, choices text[]) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT choices[1 + (hashint8extended(i, salt) & 9223372036854775807) % cardinality(choices)]$$;
-- texts as people write them, NULL and the empty one among them
CREATE FUNCTION pg_temp.words(i bigint, salt bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$SELECT (ARRAY['Quarterly offer', 'Ça va bien ?', 'O''Neil & "Sons"', E'tab\there', 'back\slash \N',
                    '日本語の件名', '🙂 smile', '', NULL, 'naïve  double  blank ', E'two\nlines', '{"json": "like"}'])
             [1 + (hashint8extended(i, salt) & 9223372036854775807) % 12] || ' ' || i$$;
