-- One table for every type PostgreSQL has and for user types of every kind, with NULL, empty and
-- extreme values, alone and in arrays. `types.version` may be set to an older major: only what that
-- one knows is made.
SET client_min_messages = warning;
\o /dev/null
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
CREATE SCHEMA types; -- tables, by the names of their types
CREATE SCHEMA kinds; -- user types

CREATE FUNCTION pg_temp.major() RETURNS int LANGUAGE sql AS $$
    SELECT coalesce(nullif(current_setting('types.version', true), '')::int,
                    current_setting('server_version_num')::int / 10000)
$$;

-- Table types.<name>(id, v type, a type[]): no values, each value alone and twice in an array, an
-- empty array, one of two dimensions with odd lower bounds, and one that had a NULL.
CREATE FUNCTION pg_temp.put(name text, type text, vals text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE types.%I (id int PRIMARY KEY, v %s, a %s[])', name, type, type);
    EXECUTE format('INSERT INTO types.%I VALUES (0, NULL, NULL), (1, NULL, ''{}''), (2, NULL, ''{NULL}'')',
                   name);
    FOR i IN 1 .. cardinality(vals) LOOP
        EXECUTE format('INSERT INTO types.%I SELECT $1, $2::text::%s, ARRAY[$2::text, NULL, $2]::%s[]',
                       name, type, type)
            USING i * 2 + 1, vals[i];
        EXECUTE format('INSERT INTO types.%I SELECT $1, NULL,'
                       ' array_fill($2::text::%s, ARRAY[2, 1], ARRAY[5, -1])', name, type)
            USING i * 2 + 2, vals[i];
    END LOOP;
    -- a NULL that was assigned over: the server still says that there is one
    EXECUTE format('INSERT INTO types.%I SELECT -1, NULL, ARRAY[NULL, $1]::%s[]', name, type)
        USING vals[1];
    EXECUTE format('UPDATE types.%I SET a[1] = a[2] WHERE id = -1', name);
END
$$;

-- Longer than a page and not compressible: stored out of line.
CREATE FUNCTION pg_temp.long(n int) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(md5(i::text), '' ORDER BY i) FROM generate_series(1, n) i
$$;

SELECT pg_temp.put('bool', 'bool', '{t,f}');
SELECT pg_temp.put('char', '"char"', ARRAY['a', '', '~']);
SELECT pg_temp.put('int2', 'int2', '{-32768,-1,0,32767}');
SELECT pg_temp.put('int4', 'int4', '{-2147483648,-1,0,2147483647}');
SELECT pg_temp.put('int8', 'int8', '{-9223372036854775808,-1,0,9223372036854775807}');
SELECT pg_temp.put('float4', 'float4',
                   '{NaN,Infinity,-Infinity,0,-0,1e-45,3.4028235e38,0.1,1.1754944e-38}');
SELECT pg_temp.put('float8', 'float8', '{NaN,Infinity,-Infinity,0,-0,5e-324,'
                   '1.7976931348623157e308,0.1,3.141592653589793,1e15,123456789012345678}');
SELECT pg_temp.put('numeric', 'numeric', ARRAY['NaN', '0', '0.000', '-0.1', '1e1000', '1e-1000',
                   '12345678901234567890.1234567890', repeat('9', 5000)]);
SELECT pg_temp.put('numeric_10_2', 'numeric(10,2)', '{0,1,-99999999.99,NaN}');
SELECT pg_temp.put('money', 'money', '{-92233720368547758.08,0,0.01,92233720368547758.07}');
SELECT pg_temp.put('text', 'text', ARRAY['', ' ', 'ä€😀', E'tab\tnew\nline\rback\\slash\b\f\v',
                   '\.', '\N', 'null', '"', '{', E'\x01\x7f', pg_temp.long(4000)]);
SELECT pg_temp.put('varchar', 'varchar', ARRAY['', 'x ', '\N']);
SELECT pg_temp.put('varchar_3', 'varchar(3)', ARRAY['', 'ä€😀']);
SELECT pg_temp.put('bpchar', 'char(5)', ARRAY['', ' ', 'abcde', 'ä€😀']);
SELECT pg_temp.put('name', 'name', ARRAY['', repeat('n', 63), 'ä']);
SELECT pg_temp.put('bytea', 'bytea', ARRAY['', '\x00', '\x00ff5c6e0a09', '\x' || pg_temp.long(9000)]);
SELECT pg_temp.put('bit', 'bit(3)', '{000,101,111}');
SELECT pg_temp.put('varbit', 'varbit', ARRAY['', '1', '000000001', repeat('10', 5000)]);
SELECT pg_temp.put('date', 'date', '{4713-01-01 BC,2000-01-01,5874897-12-31,infinity,-infinity}');
SELECT pg_temp.put('time', 'time', '{00:00,23:59:59.999999,24:00:00}');
SELECT pg_temp.put('time_3', 'time(3)', '{00:00,23:59:59.999}');
SELECT pg_temp.put('timetz', 'timetz', '{00:00+15:59,24:00:00-15:59,12:00:00.000001+05:30}');
SELECT pg_temp.put('timestamp', 'timestamp', '{4713-01-01 00:00:00 BC,1999-12-31 23:59:59.999999,'
                   '294276-12-31 23:59:59.999999,infinity,-infinity}');
SELECT pg_temp.put('timestamptz', 'timestamptz', '{4713-01-01 00:00:00+00 BC,'
                   '294276-12-31 23:59:59.999999+00,2024-02-29 12:00:00+05:30,infinity,-infinity}');
SELECT pg_temp.put('interval', 'interval', '{0,178000000 years,-178000000 years,'
                   '1 mon -1 day 00:00:00.000001,-2147483648 days,2147483647:59:59.999999}');
SELECT pg_temp.put('json', 'json', ARRAY['null', '{}', '[ ]', '{"a": 1, "a": 2}', '"ä\u20ac\n"',
                   '[1e400, -0.0, 1.10]', to_json(pg_temp.long(1000))::text]);
SELECT pg_temp.put('jsonb', 'jsonb', ARRAY['null', '{}', '[]', '{"a": [1, {"b": null}]}', '"ä€"',
                   '[1.10, 1e100, -0]', to_json(pg_temp.long(1000))::text]);
SELECT pg_temp.put('jsonpath', 'jsonpath', ARRAY['$', 'strict $.a[*] ? (@ > 1)', '$."ä"']);
SELECT pg_temp.put('xml', 'xml', ARRAY['', '<a/>', 'text only', '<?xml version="1.0"?><a b="ä">&amp;</a>']);
SELECT pg_temp.put('uuid', 'uuid', '{00000000-0000-0000-0000-000000000000,'
                   'ffffffff-ffff-ffff-ffff-ffffffffffff}');
SELECT pg_temp.put('inet', 'inet', '{0.0.0.0/0,10.1.2.3/8,255.255.255.255,::/0,::1,fe80::1/64}');
SELECT pg_temp.put('cidr', 'cidr', '{0.0.0.0/0,10.0.0.0/8,::/0,2001:db8::/32}');
SELECT pg_temp.put('macaddr', 'macaddr', '{00:00:00:00:00:00,ff:ff:ff:ff:ff:ff}');
SELECT pg_temp.put('macaddr8', 'macaddr8', '{00:00:00:00:00:00:00:00,08:00:2b:01:02:03:04:05}');
SELECT pg_temp.put('point', 'point', ARRAY['(0,0)', '(-1.5,1e300)', '(Infinity,NaN)']);
SELECT pg_temp.put('line', 'line', ARRAY['{1,-1,0}', '{0,1,0.1}']);
SELECT pg_temp.put('lseg', 'lseg', ARRAY['[(0,0),(0,0)]', '[(1,2),(-3,1e-300)]']);
SELECT pg_temp.put('box', 'box', ARRAY['(1,1),(0,0)', '(Infinity,1),(0,-Infinity)']);
SELECT pg_temp.put('path', 'path', ARRAY['[(0,0)]', '((0,0),(1,1),(2,0))']);
SELECT pg_temp.put('polygon', 'polygon', ARRAY['((0,0))', '((0,0),(1,1),(2,0))']);
SELECT pg_temp.put('circle', 'circle', ARRAY['<(0,0),0>', '<(1,-1),1e300>']);
SELECT pg_temp.put('tsvector', 'tsvector', ARRAY['', 'a', $$'it''s':1A 'b\\':2,3C,16383$$,
                   $$'ä':5$$]);
SELECT pg_temp.put('tsquery', 'tsquery', ARRAY['', 'a', '!a & (b | c:*AB) <2> d', $$'it''s'$$]);
SELECT pg_temp.put('oid', 'oid', '{0,1,4294967295}');
SELECT pg_temp.put('xid', 'xid', '{0,3,4294967295}');
SELECT pg_temp.put('xid8', 'xid8', '{0,18446744073709551615}');
SELECT pg_temp.put('cid', 'cid', '{0,4294967295}');
SELECT pg_temp.put('tid', 'tid', ARRAY['(0,0)', '(4294967295,65535)']);
SELECT pg_temp.put('pg_lsn', 'pg_lsn', '{0/0,FFFFFFFF/FFFFFFFF}');
SELECT pg_temp.put('pg_snapshot', 'pg_snapshot', ARRAY['1:1:', '10:20:11,15']);
SELECT pg_temp.put('txid_snapshot', 'txid_snapshot', ARRAY['1:1:', '10:20:11,15']);
SELECT pg_temp.put('refcursor', 'refcursor', ARRAY['', 'cursor']);
SELECT pg_temp.put('int2vector', 'int2vector', ARRAY['', '1 -32768 32767']);
SELECT pg_temp.put('oidvector', 'oidvector', ARRAY['', '1 4294967295']);
SELECT pg_temp.put('aclitem', 'aclitem', ARRAY['=r/postgres', 'postgres=arwd*/postgres']);
SELECT pg_temp.put('int4range', 'int4range', ARRAY['empty', '(,)', '[1,10)', '(,5)', '[7,)']);
SELECT pg_temp.put('int8range', 'int8range', ARRAY['empty', '[-9223372036854775808,5)']);
SELECT pg_temp.put('numrange', 'numrange', ARRAY['empty', '(,)', '(1.10,1e50]', '[NaN,NaN]']);
SELECT pg_temp.put('tsrange', 'tsrange', ARRAY['empty', '[-infinity,2000-01-01)', '(,)']);
SELECT pg_temp.put('tstzrange', 'tstzrange', ARRAY['empty', '[2000-01-01 00:00+00,infinity]']);
SELECT pg_temp.put('daterange', 'daterange', ARRAY['empty', '[2000-01-01,2000-01-02)']);

-- What younger majors have.
DO $$
BEGIN
    IF pg_temp.major() >= 14 THEN
        PERFORM pg_temp.put('numeric_infinite', 'numeric', '{Infinity,-Infinity}');
        PERFORM pg_temp.put('int4multirange', 'int4multirange', ARRAY['{}', '{(,)}', '{[1,3),[5,9)}']);
        PERFORM pg_temp.put('int8multirange', 'int8multirange', ARRAY['{}', '{[1,3),[5,9)}']);
        PERFORM pg_temp.put('nummultirange', 'nummultirange', ARRAY['{}', '{(,1.10],[2,3)}']);
        PERFORM pg_temp.put('tsmultirange', 'tsmultirange', ARRAY['{}', '{[2000-01-01,infinity)}']);
        PERFORM pg_temp.put('tstzmultirange', 'tstzmultirange', ARRAY['{}', '{(,2000-01-01 00:00+00)}']);
        PERFORM pg_temp.put('datemultirange', 'datemultirange', ARRAY['{}', '{[2000-01-01,2001-01-01)}']);
    END IF;
    IF pg_temp.major() >= 15 THEN
        PERFORM pg_temp.put('numeric_scale', 'numeric(3,-2)', '{0,-99900,100}');
    END IF;
    IF pg_temp.major() >= 17 THEN
        PERFORM pg_temp.put('interval_infinite', 'interval', '{infinity,-infinity}');
    END IF;
END
$$;

-- User types of every kind, and of kinds within kinds.
CREATE TYPE kinds.mood AS ENUM ('sad', 'ok', 'it''s, "so" {happy}');
ALTER TYPE kinds.mood ADD VALUE 'low' BEFORE 'sad';
CREATE DOMAIN kinds.posint AS int CHECK (VALUE > 0);
CREATE DOMAIN kinds.small AS kinds.posint CHECK (VALUE < 1000);
CREATE DOMAIN kinds.moodset AS kinds.mood[];
CREATE TYPE kinds.pair AS (a kinds.posint, m kinds.mood, note text);
CREATE TYPE kinds.lost AS (a kinds.mood, gone bytea, b int[], also_gone kinds.pair, c text);
ALTER TYPE kinds.lost DROP ATTRIBUTE gone, DROP ATTRIBUTE also_gone;
CREATE DOMAIN kinds.goodpair AS kinds.pair CHECK ((VALUE).a IS DISTINCT FROM 13);
CREATE DOMAIN kinds.pairset AS kinds.pair[];
CREATE TYPE kinds.moodrange AS RANGE (subtype = kinds.mood);
CREATE TYPE kinds.textrange AS RANGE (subtype = text, collation = "C");
CREATE TYPE kinds.pairrange AS RANGE (subtype = kinds.pair);
CREATE TYPE kinds.nest AS (x int, ps kinds.pairset, r kinds.moodrange, l kinds.lost, ms kinds.mood[]);
CREATE DOMAIN kinds.nests AS kinds.nest[];
CREATE TABLE kinds.rowtype (gone int, a kinds.mood, b kinds.small, c kinds.pair[]);
ALTER TABLE kinds.rowtype DROP COLUMN gone;
INSERT INTO kinds.rowtype VALUES ('ok', 999, ARRAY[(1, 'sad', '')::kinds.pair, NULL]);
INSERT INTO kinds.rowtype VALUES ('ok', 999, ARRAY[(1, 'sad', '')::kinds.pair, NULL]), (NULL, NULL, NULL),
    ('sad', 1, '{}');

SELECT pg_temp.put('mood', 'kinds.mood', ARRAY['low', 'it''s, "so" {happy}']);
SELECT pg_temp.put('posint', 'kinds.posint', '{1,2147483647}');
SELECT pg_temp.put('small', 'kinds.small', '{1,999}');
SELECT pg_temp.put('moodset', 'kinds.moodset', ARRAY['{}', '{low,NULL,ok}', '[3:4]={sad,ok}']);
SELECT pg_temp.put('pair', 'kinds.pair', ARRAY['(,,)', '(1,ok,"")', '(7,"it''s, ""so"" {happy}","a,b")']);
SELECT pg_temp.put('goodpair', 'kinds.goodpair', ARRAY['(,,)', '(1,low,ä)']);
SELECT pg_temp.put('lost', 'kinds.lost', ARRAY['(,,)', '(ok,"{1,NULL,3}",c)']);
SELECT pg_temp.put('pairset', 'kinds.pairset', ARRAY['{}', '{"(1,ok,x)",NULL,"(,,)"}']);
SELECT pg_temp.put('moodrange', 'kinds.moodrange', ARRAY['empty', '(,)', '[low,ok)', '(,sad]']);
SELECT pg_temp.put('textrange', 'kinds.textrange', ARRAY['empty', '["",a)', '(B,b]']);
SELECT pg_temp.put('pairrange', 'kinds.pairrange', ARRAY['empty', '["(1,ok,x)","(2,ok,y)")', '(,"(3,,)"]']);
SELECT pg_temp.put('rowtype_of', 'kinds.rowtype', ARRAY['(,,)', '(ok,5,"{""(1,low,)"",NULL}")']);
SELECT pg_temp.put('nest', 'kinds.nest', ARRAY['(,,,,)', (ROW(-1,
    ARRAY[(1, 'ok', 'x'), NULL, (2, NULL, NULL)]::kinds.pair[], '[low,ok)', '(sad,"{1,2}",c)',
    '{low,NULL}')::kinds.nest)::text]);
SELECT pg_temp.put('nests', 'kinds.nests', ARRAY['{}', (ARRAY[ROW(1, '{"(1,ok,x)"}', '(,)', '(,,)',
    '{}')::kinds.nest, NULL])::text]);

DO $$
BEGIN
    IF pg_temp.major() >= 14 THEN
        PERFORM pg_temp.put('moodmultirange', 'kinds.moodmultirange', ARRAY['{}', '{[low,sad),[ok,ok]}']);
        PERFORM pg_temp.put('pairmultirange', 'kinds.pairmultirange',
                            ARRAY['{}', '{["(1,ok,x)","(2,ok,y)"),("(3,,)",)}']);
    END IF;
END
$$;

-- Types that name objects: of the system, and of this schema, whose OIDs differ elsewhere.
CREATE FUNCTION kinds.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE OPERATOR kinds.<=> (leftarg = int, rightarg = int, function = int4pl);
CREATE TEXT SEARCH CONFIGURATION kinds.conf (COPY = english);
CREATE TEXT SEARCH DICTIONARY kinds.dict (TEMPLATE = simple);
CREATE COLLATION kinds.coll FROM "C";
SELECT pg_temp.put('regclass', 'regclass', ARRAY['pg_class', 'types.int4', 'kinds.rowtype']);
SELECT pg_temp.put('regtype', 'regtype', ARRAY['-', 'integer', 'kinds.mood', 'kinds.pair[]']);
SELECT pg_temp.put('regproc', 'regproc', ARRAY['-', 'now', 'kinds.f']);
SELECT pg_temp.put('regprocedure', 'regprocedure', ARRAY['-', 'lower(text)', 'kinds.f(integer)']);
SELECT pg_temp.put('regoper', 'regoper', ARRAY['0', '||/', 'kinds.<=>']);
SELECT pg_temp.put('regoperator', 'regoperator', ARRAY['0', '+(integer,integer)',
                   'kinds.<=>(integer,integer)']);
SELECT pg_temp.put('regrole', 'regrole', ARRAY['-', 'postgres']);
SELECT pg_temp.put('regnamespace', 'regnamespace', ARRAY['-', 'pg_catalog', 'kinds']);
SELECT pg_temp.put('regconfig', 'regconfig', ARRAY['-', 'english', 'kinds.conf']);
SELECT pg_temp.put('regdictionary', 'regdictionary', ARRAY['-', 'simple', 'kinds.dict']);
SELECT pg_temp.put('regcollation', 'regcollation', ARRAY['-', '"C"', 'kinds.coll']);
CREATE TYPE kinds.regpair AS (c regclass, t regtype);
SELECT pg_temp.put('regpair', 'kinds.regpair', ARRAY['(,)', '(types.int4,kinds.mood)']);
