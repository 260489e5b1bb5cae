#include "support/workload_tables.h"

#include <stddef.h>

#define KEY WORKLOAD_KEY
#define VALUE WORKLOAD_VALUE
#define ALWAYS WORKLOAD_ALWAYS
#define BIG WORKLOAD_BIG
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL, VALUE                                                                          \
    }
#define BIG_TEXT "repeat(md5(v.n::text), 70 + v.n % 40)"

static const struct workload_column wide[] = {
    {"id", "v.k", KEY},
    {"c1", "(v.n % 30000)::int2", VALUE},
    {"c2", "v.n * 1234567890123", VALUE},
    {"c3", "round(v.n / 8.0, v.n % 7)", VALUE},
    {"c4", "(ARRAY['NaN', '-0', 'Infinity', '5e-324', '0.1', '1e15'])[1 + v.n % 6]::float8", VALUE},
    {"c5", "(v.n / 3.0)::float4", VALUE},
    {"c6", "v.n % 2 = 0", VALUE},
    {"c7",
     "(ARRAY['', ' ', E'\\\\N', E'a\\tb\\nc\\\\', md5(v.n::text), 'null', 'ä€😀'])[1 + v.n % 7]",
     VALUE},
    {"c8", "md5(v.n::text)", VALUE},
    {"c9", "left(md5(v.n::text), v.n % 9)", VALUE},
    {"c10", "decode(md5(v.n::text), 'hex')", VALUE},
    {"c11", "timestamp '2000-01-01' + v.n * interval '1.000001 hour'", VALUE},
    {"c12",
     "CASE WHEN v.n % 9 = 0 THEN '-infinity' ELSE timestamptz '1999-01-01 00:00+00' + v.n *"
     " interval '61.5 s' END",
     VALUE},
    {"c13", "date '1990-01-01' + v.n % 20000", VALUE},
    {"c14", "time '00:00' + v.n * interval '1 ms'", VALUE},
    {"c15", "('12:00:00.5+' || v.n % 15)::timetz", VALUE},
    {"c16", "make_interval(months => v.n % 50, days => v.n % 9 - 4, secs => v.n / 7.0)", VALUE},
    {"c17", "md5(v.n::text)::uuid", VALUE},
    {"c18", "json_build_object('a', v.n, 'a', NULL)", VALUE},
    {"c19", "jsonb_build_array(v.n / 10.0, jsonb_build_object('ä', v.n))", VALUE},
    {"c20", "inet '10.0.0.0/8' + v.n", VALUE},
    {"c21", "('08:00:2b:01:02:' || lpad(to_hex(v.n % 256), 2, '0'))::macaddr", VALUE},
    {"c22", "v.n::bit(17)", VALUE},
    {"c23", "v.n::bit(20)::varbit", VALUE},
    {"c24", "point(v.n, v.n / 3.0)", VALUE},
    {"c25", "box(point(v.n, 1), point(-1, v.n))", VALUE},
    {"c26", "int4range(v.n, CASE WHEN v.n % 3 > 0 THEN v.n + v.n % 10 END)", VALUE},
    {"c27", "numrange(NULL, v.n / 10.0, '(]')", VALUE},
    {"c28", "(v.n / 100.0)::numeric::money", VALUE},
    {"c29", "to_tsvector('simple', md5(v.n::text) || ' a b a')", VALUE},
    {"c30", "CASE WHEN v.n % 4 = 0 THEN '{{1,2},{3,NULL}}' ELSE ARRAY[v.n, NULL, 3] END", VALUE},
    {"c31",
     "CASE WHEN v.n % 4 = 0 THEN '[5:6]={a,NULL}' ELSE ARRAY['', 'NULL', '{', md5(v.n::text)]"
     " END",
     VALUE},
    {"c32", "ARRAY[v.n, v.n / 10.0, 'NaN']", VALUE},
    {"c33", "xmlelement(name a, v.n)", VALUE},
    {"c34", "chr(32 + v.n % 90)::\"char\"", VALUE},
    {"c35", "md5(v.n::text)::name", VALUE},
    {"big1", BIG_TEXT, BIG},
    {"big2", "decode(repeat(md5(v.n::text), 200), 'hex')", BIG},
    {"big3", "(SELECT jsonb_agg(md5((v.n + i)::text)) FROM generate_series(1, 150) i)", BIG},
    END};
static const struct workload_column kinds[] = {
    {"id", "v.k", KEY},
    {"m", "(enum_range(NULL::w.mood))[1 + v.n % 3]", VALUE},
    {"p", "v.n", VALUE},
    {"c", "ROW(v.n, CASE WHEN v.n % 3 = 0 THEN 'ok'::w.mood END, md5(v.n::text))::w.pair", VALUE},
    {"ms", "ARRAY['sad', NULL, (enum_range(NULL::w.mood))[1 + v.n % 3]]", VALUE},
    {"cs", "ARRAY[NULL, ROW(v.n, 'sad', NULL)::w.pair, ROW(NULL, NULL, '')::w.pair]", VALUE},
    {"ps", "ARRAY[v.n, 0, NULL]::w.posint[]", VALUE},
    END};
static const struct workload_column composite[] = {{"a", "v.k / 3", KEY},
                                                   {"b", "'b' || v.k % 3", KEY},
                                                   {"v", "md5(v.n::text)", VALUE},
                                                   {"big", BIG_TEXT, BIG},
                                                   END};
static const struct workload_column equal_key[] = {
    {"k", "round(v.k / 6 / 10.0, 1 + v.n % 4)", KEY},
    {"f", "CASE WHEN v.n % 2 = 0 THEN float8 '0' ELSE float8 '-0' END + v.k / 2 % 3", KEY},
    {"c", "'c' || v.k % 2", KEY},
    {"v", "v.n", VALUE},
    {"big", BIG_TEXT, BIG},
    END};
static const struct workload_column by_index[] = {{"code", "'c' || v.k", KEY},
                                                  {"id", "v.n", VALUE},
                                                  {"v", "md5(v.n::text)", VALUE},
                                                  {"big", BIG_TEXT, BIG},
                                                  END};
static const struct workload_column by_other_index[] = {{"id", "v.k", KEY},
                                                        {"grp", "v.k % 5", KEY},
                                                        {"pos", "v.k / 5", KEY},
                                                        {"v", "md5(v.n::text)", VALUE},
                                                        END};
static const struct workload_column full_with_key[] = {{"id", "v.k", KEY},
                                                       {"v", "md5(v.n::text)", VALUE},
                                                       {"n", "round(v.n / 8.0, v.n % 4)", VALUE},
                                                       {"big", BIG_TEXT, BIG},
                                                       END};
static const struct workload_column full_without[] = {
    {"a", "v.k % 40", KEY},
    {"b", "left(md5((v.n % 3)::text), 3)", VALUE},
    {"c", "round(v.n % 2 / 2.0, v.n % 3)", VALUE},
    {"d", "timestamptz '2020-02-29 12:00+00'", VALUE},
    {"big", "repeat(md5((v.n % 2)::text), 90)", BIG},
    END};
static const struct workload_column part[] = {{"id", "v.k", KEY},
                                              {"region", "'r' || v.n % 4", VALUE},
                                              {"v", "md5(v.n::text)", VALUE},
                                              {"n", "v.n", VALUE},
                                              END};
static const struct workload_column always[] = {
    {"id", "v.k", KEY}, {"v", "v.n", VALUE}, {"note", "md5(v.n::text)", VALUE}, END};
static const struct workload_column always_unnamed[] = {
    {"v", "v.n", VALUE}, {"note", "md5(v.n::text)", VALUE}, END};
static const struct workload_column by_default[] = {
    {"id", "v.k", KEY}, {"v", "md5(v.n::text)", VALUE}, END};
static const struct workload_column counted[] = {{"v", "md5(v.n::text)", VALUE}, END};
static const struct workload_column parent[] = {
    {"id", "v.k", KEY},
    {"boss", "(SELECT id FROM w.parent ORDER BY id OFFSET v.n % 50 LIMIT 1)", VALUE},
    {"v", "md5(v.n::text)", VALUE},
    END};
static const struct workload_column child[] = {
    {"id", "v.k", KEY},
    {"parent", "coalesce((SELECT id FROM w.parent ORDER BY id OFFSET v.n % 80 LIMIT 1), v.k)",
     ALWAYS},
    {"v", "md5(v.n::text)", VALUE},
    END};
static const struct workload_column grandchild[] = {
    {"a", "v.k / 10", KEY},
    {"b", "v.k % 10", KEY},
    {"child", "(SELECT id FROM w.child ORDER BY id OFFSET v.n % 80 LIMIT 1)", VALUE},
    {"v", "md5(v.n::text)", VALUE},
    END};
static const struct workload_column ring_a[] = {
    {"id", "v.k", KEY},
    {"b", "(SELECT id FROM w.ring_b ORDER BY id OFFSET v.n % 20 LIMIT 1)", VALUE},
    {"v", "md5(v.n::text)", VALUE},
    END};
static const struct workload_column ring_b[] = {
    {"id", "v.k", KEY},
    {"a", "(SELECT id FROM w.ring_a ORDER BY id OFFSET v.n % 20 LIMIT 1)", VALUE},
    END};
static const struct workload_column places[] = {
    {"name", "'n' || v.n", VALUE}, {"active", "v.n % 2 = 0", VALUE}, END};
static const struct workload_column base[] = {
    {"id", "v.k", KEY}, {"v", "md5(v.n::text)", VALUE}, END};
static const struct workload_column derived[] = {
    {"id", "v.k", KEY}, {"extra", "v.n", VALUE}, {"v", "md5(v.n::text)", VALUE}, END};
static const struct workload_column altered[] = {
    {"id", "v.k", KEY}, {"v", "md5(v.n::text)", VALUE}, {"late", "v.n", ALWAYS}, END};
static const struct workload_column only_key[] = {{"id", "v.k", KEY}, END};
static const struct workload_column odd[] = {{"\"K\"\"ey\"", "v.k", KEY},
                                             {"\"sel,ect\"", "md5(v.n::text)", VALUE},
                                             {"\"ünï\"", "'ü' || v.n", VALUE},
                                             END};

#define ID "t.id = v.k"
#define MOVE "id = v.k2"
#define FAMILY "w.parent, w.child, w.grandchild"

const struct workload_table workload_tables[] = {
    {"w.wide", wide, ID, MOVE, "(id)", NULL, "w.wide, w.only_key", false},
    {"w.kinds", kinds, ID, MOVE, "(id)", NULL, "w.kinds", false},
    {"w.composite", composite, "t.a = v.k / 3 AND t.b = 'b' || v.k % 3",
     "a = v.k2 / 3, b = 'b' || v.k2 % 3", "(a, b)", NULL, "w.composite", false},
    {"w.equal_key", equal_key,
     "t.k = v.k / 6 / 10.0 AND t.f = (v.k / 2 % 3) AND t.c = 'c' || v.k % 2",
     "k = round(v.k2 / 6 / 10.0, 1 + v.n % 4), f = -t.f", "(k, f, c)", NULL, NULL, false},
    {"w.by_index", by_index, "t.code = 'c' || v.k", "code = 'c' || v.k2", "(code)", NULL,
     "w.by_index, w.by_other_index", false},
    {"w.by_other_index", by_other_index, ID, "grp = v.k2 % 5, pos = v.k2 / 5", "(pos, grp)", NULL,
     NULL, false},
    {"w.full_with_key", full_with_key, ID, MOVE, "(id)", NULL, "w.full_with_key", false},
    {"w.full_without", full_without, "t.a = v.k % 40", "a = v.k2 % 40", NULL, NULL,
     "w.full_without", false},
    {"w.part", part, ID, MOVE, "(id)", NULL, "w.part", false},
    {"w.part_mid", part, ID, NULL, NULL, NULL, "w.part_mid_1", true},
    {"w.always", always, ID, NULL, "(id)", "OVERRIDING SYSTEM VALUE", "w.always RESTART IDENTITY",
     false},
    {"w.always", always_unnamed, ID, NULL, NULL, NULL, NULL, false},
    {"w.by_default", by_default, ID, MOVE, "(id)", NULL, "w.by_default RESTART IDENTITY", false},
    {"w.counted", counted, ID, NULL, NULL, NULL, "w.counted RESTART IDENTITY", false},
    {"w.parent", parent, ID, MOVE, "(id)", NULL, "w.parent CASCADE", false},
    {"w.child", child, ID, MOVE, "(id)", NULL, FAMILY, false},
    {"w.grandchild", grandchild, "t.a = v.k / 10 AND t.b = v.k % 10",
     "a = v.k2 / 10, b = v.k2 % 10", "(a, b)", NULL, "w.grandchild", false},
    {"w.ring_a", ring_a, ID, MOVE, "(id)", NULL, "w.ring_a, w.ring_b", false},
    {"w.ring_b", ring_b, ID, MOVE, "(id)", NULL, NULL, false},
    {"w.places", places, ID, NULL, NULL, NULL, NULL, true},
    {"w.base", base, ID, MOVE, "(id)", NULL, "ONLY w.base", false},
    {"w.derived", derived, ID, MOVE, "(id)", NULL, "w.base", false},
    {"w.altered", altered, ID, MOVE, "(id)", NULL, "w.altered", false},
    {"w.only_key", only_key, ID, MOVE, "(id)", NULL, NULL, false},
    {"\"Odd \"\"Sch\".\"Tab le\"", odd, "t.\"K\"\"ey\" = v.k", "\"K\"\"ey\" = v.k2",
     "(\"K\"\"ey\")", NULL, "\"Odd \"\"Sch\".\"Tab le\"", false},
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, false}};

const char *const workload_statements[] = {
    /* swaps: within one statement, over several, of keys, of neighbours at once */
    "UPDATE w.places a SET pos = b.pos FROM w.places b WHERE a.id IN ({k}, {j}) AND"
    " b.id IN ({k}, {j}) AND a.id <> b.id",
    "SELECT w.exchange({k}, {j})", "SELECT w.exchange_keys({k}, {j})",
    "UPDATE w.places SET pos = pos + 1 WHERE pos >= {k}", "UPDATE w.places SET pos = 299 - pos",
    "UPDATE w.places SET slot = slot - 1000 WHERE slot >= {k};"
    "UPDATE w.places SET slot = slot + 1001 WHERE slot < -600",
    "UPDATE w.places SET active = NOT active WHERE id BETWEEN {k} AND {k} + {l}",
    "WITH gone AS (DELETE FROM w.places WHERE id IN ({k}, {j}) RETURNING *)"
    " INSERT INTO w.places SELECT id + 1000, pos, NULL, name, false FROM gone",
    "UPDATE w.places SET id = id - 1000 WHERE id BETWEEN 1000 AND 1000 + {k}",
    /* a key that only looks different, and one that only looks the same */
    "UPDATE w.equal_key SET k = round(k, 1 + ({l} % 5)) WHERE v % 10 = {l}",
    "UPDATE w.equal_key SET f = -f WHERE k < {l} / 2.0",
    /* moves of many keys at once, over each other's places one after the other */
    "UPDATE w.by_default SET id = -id WHERE id BETWEEN {k} AND {k} + 20",
    "UPDATE w.wide SET id = id + 300 WHERE id BETWEEN {k} AND {k} + {l}",
    "UPDATE w.wide SET id = id - 300 WHERE id >= 300 AND id < 300 + {k}",
    "UPDATE w.wide SET id = -1 - id, c7 = 'moved' WHERE id = {k}",
    "UPDATE w.part SET id = (id + 100) % 300 + 1000 * (id / 1000 + 1) WHERE id = {k}",
    "UPDATE w.part SET id = id % 1000 WHERE id >= 1000 AND id % 7 = {l}",
    "DELETE FROM w.part_high WHERE id > 500", "UPDATE ONLY w.base SET v = 'only' WHERE id < {k}",
    "UPDATE w.base SET v = 'both {n}' WHERE id % 10 = {l}",
    /* one row again and again within a transaction */
    "DO $$ BEGIN FOR i IN 1 .. 40 LOOP UPDATE w.full_with_key SET n = i WHERE id = {k};"
    " UPDATE w.altered SET late = i WHERE id = {k}; END LOOP; END $$",
    "DO $$ BEGIN FOR i IN 1 .. 9 LOOP DELETE FROM w.only_key WHERE id = {k};"
    " INSERT INTO w.only_key VALUES ({k}); DELETE FROM w.composite WHERE b = 'again';"
    " INSERT INTO w.composite VALUES ({k}, 'again', i, repeat('y', 2500)); END LOOP; END $$",
    /* a row comes, loses its key to another, goes */
    "INSERT INTO w.by_index VALUES ({n}, 'x{n}', 'v', repeat('z', 3000)) ON CONFLICT DO NOTHING;"
    "UPDATE w.by_index SET code = 'y{n}' WHERE code = 'x{n}';"
    "UPDATE w.by_index SET v = 'w' WHERE code = 'y{n}'",
    "DELETE FROM w.by_index WHERE code LIKE 'y%' AND id % 10 = {l}",
    /* duplicates without a key */
    "INSERT INTO w.full_without SELECT {l}, 'dup', 1.50, NULL, NULL FROM generate_series(1, {l})",
    "DELETE FROM w.full_without WHERE ctid = (SELECT min(ctid) FROM w.full_without WHERE b = "
    "'dup')",
    "UPDATE w.full_without SET c = 1.5 WHERE b = 'dup' AND a = {l}",
    "UPDATE w.full_without SET b = NULL WHERE a = {k} % 40",
    /* subtransactions */
    "SELECT w.nest({k}, {l})", "SELECT w.nest({k}, 40)",
    /* rings of keys that are checked at commit */
    "INSERT INTO w.ring_b VALUES ({n}, {n}); INSERT INTO w.ring_a VALUES ({n}, {n}, 'ring')",
    "DELETE FROM w.ring_b WHERE id > 1000; DELETE FROM w.ring_a WHERE id > 1000",
    "UPDATE w.parent SET boss = id WHERE id = {k}",
    /* not followed */
    "INSERT INTO aside.other VALUES ({n}, 'v') ON CONFLICT DO NOTHING",
    "INSERT INTO aside.cache VALUES ({n}, 'v') ON CONFLICT DO NOTHING",
    "DELETE FROM aside.other WHERE id % 10 = {l}",
    "SELECT pg_logical_emit_message({l} % 2 = 0, 'workload', repeat('m', {k}))",
    "SELECT nextval('w.counted_id_seq') FROM generate_series(1, {l})", NULL};
