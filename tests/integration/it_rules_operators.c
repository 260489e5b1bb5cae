/*
 * Operators against PostgreSQL: each is run on random values, extremes and NULLs of its argument
 * types, and its result compared byte for byte with what the server computes by the expression
 * beside it. An error of the server must be PH_RULE_BAD here, and the other way round.
 *
 * Deviations that docs/rules.md lists are kept out by the choice of values.
 */
/* labels: short */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rules/op_cast_list.h"
#include "support/op_run.h"
#include "support/pgcluster.h"
#include "support/scratch.h"
#include "support/sql.h"

static PGconn *conn;

struct comparison {
    const char *name;
    const char *signature;
    const char *params[4];
    const char *values[2]; /* tables of values for the arguments; NULL: there is one argument */
    const char *sql;       /* of v, and w */
};

/* ---- values ---- */

/* A letter or two of every kind that operators treat in their own way. */
#define LETTERS                                                                                    \
    "'{a,b,c,Z,Q,ä,Ö,ß,é,Ǆ,ǆ,Σ,ς,я,Ж,中,文,😀,’,-,_,.,@,0,1,9,\" \",\"  "          \
    "\",\"\t\",\"\n\",x,X,yy}'::text[]"

static const char *const setup[] = {
    "SELECT setseed(0.42)",
    "CREATE FUNCTION word(letters text[], most int) RETURNS text LANGUAGE sql VOLATILE AS "
    "$$ SELECT coalesce(string_agg(letters[1 + floor(random() * cardinality(letters))::int], ''), "
    "'') FROM generate_series(1, floor(random() * (most + 1))::int) $$",
    "CREATE FUNCTION digits(n int) RETURNS text LANGUAGE sql VOLATILE AS "
    "$$ SELECT word('{0,1,2,3,4,5,6,7,8,9,0,0,9,9}', n) $$",
    "CREATE TABLE n AS SELECT i FROM generate_series(1, " /* rows of each table of values */
    "300) i",

    "CREATE TABLE v_bool AS SELECT unnest('{t,f,NULL}'::bool[]) v",
    "CREATE TABLE v_int2 AS SELECT (random() * 65535 - 32768)::int2 v FROM n UNION ALL "
    "SELECT (random() * 20 - 10)::int2 FROM n UNION ALL "
    "SELECT unnest('{0,1,-1,32767,-32768,NULL,100,-100}'::int2[])",
    "CREATE TABLE v_int4 AS SELECT ((random() - 0.5) * 4294967290)::int4 v FROM n UNION ALL "
    "SELECT (random() * 2000 - 1000)::int4 FROM n UNION ALL SELECT (random() * 80000 - 40000)::int4"
    " FROM n UNION ALL SELECT unnest('{0,1,-1,2147483647,-2147483648,NULL,16777217}'::int4[])",
    "CREATE TABLE v_int8 AS SELECT ((random() - 0.5) * 1.84e19)::int8 v FROM n UNION ALL "
    "SELECT ((random() - 0.5) * power(10, random() * 18))::int8 FROM n UNION ALL SELECT unnest('{0,"
    "1,-1,9223372036854775807,-9223372036854775808,NULL,9007199254740993,-2147483648,2147483648}'"
    "::int8[])",
    "CREATE TABLE v_float8 AS SELECT (random() - 0.5) * power(10, random() * 40 - 20) v FROM n "
    "UNION ALL SELECT (random() - 0.5) * power(10, random() * 600 - 300) FROM n "
    "UNION ALL SELECT power(2, (random() * 2000 - 1000)::int) FROM n "
    "UNION ALL SELECT round((random() * 1000)::numeric, 2)::float8 FROM n "
    "UNION ALL SELECT (random() * 20)::int / 2.0 - 5 FROM n UNION ALL "
    "SELECT unnest('{0,-0,1,-1,NaN,Infinity,-Infinity,NULL,5e-324,1.7976931348623157e308,2.5,3.5,"
    "1e23,9.5e-3,1e15,1e14,123456789012345680,9007199254740993,2147483647.5,-2147483648.5,"
    "32767.4,9223372036854775807,-9223372036854775808,1e-5,1e-4,0.3}'::float8[])",
    "CREATE TABLE v_float4 AS SELECT ((random() - 0.5) * power(10, random() * 20 - 10))::float4 v "
    "FROM n UNION ALL SELECT power(2, (random() * 250 - 125)::int)::float4 FROM n UNION ALL "
    "SELECT round((random() * 1000)::numeric, 2)::float4 FROM n UNION ALL "
    "SELECT unnest('{0,-0,1,NaN,Infinity,-Infinity,NULL,1e-45,3.4028235e38,2.5,3.5,16777216,"
    "1e6,1e5,123456.7}'::float4[])",
    "CREATE TABLE v_numeric AS SELECT (CASE WHEN random() < 0.4 THEN '-' ELSE '' END || '0' || "
    "digits(12) || '.' || digits(8))::numeric v FROM n UNION ALL SELECT ('0' || digits(40) || '.' "
    "|| digits(40))::numeric FROM n UNION ALL SELECT ((random() * 100 - 50)::int / 2.0)::numeric "
    "FROM n UNION ALL SELECT ('-9e' || (random() * 60 - 30)::int)::numeric FROM n UNION ALL SELECT "
    "unnest('{0,0.00,1,-1,NaN,Infinity,-Infinity,NULL,9999,10000,99999999.99995,0.00005,0.0001,"
    "-0.5,0.5,1.5,2.5,9223372036854775807.5,9223372036854775807.4,-9223372036854775808.5,1e130,"
    "1e-130,32767.5,2147483647.5,99999999999999999999,123456789.987654321}'::numeric[])",
    "CREATE TABLE v_text AS SELECT word(" LETTERS ", 12) v FROM n UNION ALL "
    "SELECT word(" LETTERS ", 3) FROM n UNION ALL SELECT word('{a,b,\" \",x,@}', 9) FROM n "
    "UNION ALL SELECT unnest('{\"\",NULL,\" \",\"  a \",o''neil,abc,aaaa}'::text[])",
    "CREATE TABLE v_uuid AS SELECT gen_random_uuid() v FROM n UNION ALL SELECT NULL",
    "CREATE TABLE v_bytea AS SELECT decode(md5(random()::text), 'hex') v FROM n UNION ALL "
    "SELECT unnest('{NULL,\"\",\"\\\\x00\",\"\\\\xff5c27\"}'::bytea[])",
    "CREATE TABLE v_date AS SELECT '2000-01-01'::date + ((random() - 0.5) * 40000)::int v FROM n "
    "UNION ALL SELECT '2000-01-01'::date + ((random() - 0.5) * 4000000)::int FROM n UNION ALL "
    "SELECT unnest('{NULL,infinity,-infinity,2024-02-29,4714-11-24 BC,5874897-12-31,0001-01-01,"
    "0001-12-31 BC,294276-12-31,294277-01-01,1900-02-28,2000-02-29}'::date[])",
    "CREATE TABLE v_timestamp AS SELECT '2000-01-01'::timestamp + ((random() - 0.5) * 60 * 365 * "
    "86400) * '1 second'::interval v FROM n UNION ALL SELECT '2000-01-01'::timestamp + ((random() "
    "- 0.5) * 2000 * 365) * '1 day'::interval FROM n UNION ALL SELECT unnest('{NULL,infinity,"
    "-infinity,2024-02-29 23:59:59.999999,4714-11-24 00:00:00 BC,294276-12-31 23:59:59.999999,"
    "0001-12-31 23:59:59.5 BC,2000-01-01 00:00:00,1999-12-31 23:59:59.999999,2024-01-31 12:00:00,"
    "2024-03-31 02:30:00,2024-10-27 02:30:00,2024-03-10 02:30:00,2024-11-03 01:30:00}'"
    "::timestamp[])",
    "CREATE TABLE v_timestamptz AS SELECT v::timestamptz v FROM v_timestamp",
    /* the server rounds what is further */
    "CREATE TABLE v_nearer AS SELECT v FROM v_timestamptz WHERE v IS NULL OR NOT isfinite(v) OR v "
    "< "
    "'290000-01-01'",
    /* within what is known for certain of zones */
    "CREATE TABLE v_modern AS SELECT v FROM v_timestamp WHERE NOT isfinite(v) OR v BETWEEN "
    "'1971-01-01' AND '2037-01-01'",
    "CREATE TABLE v_moderntz AS SELECT v::timestamptz v FROM v_modern",
    "CREATE TABLE v_modern_date AS SELECT v::date v FROM v_modern",
    "CREATE TABLE v_modern_text AS SELECT v::text v FROM v_modern UNION ALL SELECT v::text FROM "
    "v_moderntz",

    "CREATE TABLE v_number_text AS SELECT v::text v FROM v_int8 UNION ALL SELECT v::text FROM "
    "v_numeric UNION ALL SELECT v::text FROM v_float8 UNION ALL SELECT v::text FROM v_int2 UNION "
    "ALL SELECT unnest('{\"\",\" 1 \",+1,--1,1-,1e5,1E+5,1e-5,1e,.5,5.,.,-.5,+.5e1,0x10,1_0,inf,"
    "-inf,nan,NaN ,1 1,\"\t7\n\",00012,1e400,1e-400,1e40,-1e39,1e-46,1e131072,1e-16384,1e20000,"
    "1e-20000,infinit,1.1.1,1d5}'::text[]) UNION ALL SELECT word('{1,2,.,e,-,+,0,\" \"}', 6) "
    "FROM n",
    "CREATE TABLE v_bool_text AS SELECT unnest('{t,T,tr,true,TRUE,truex,f,fa,false,y,ye,yes,yess,n,"
    "no,on,ON,o,of,off,offf,1,0,10,\"\",\" on \",2,NULL}'::text[]) v",
    "CREATE TABLE v_uuid_text AS SELECT v::text v FROM v_uuid UNION ALL SELECT upper('{' || v || "
    "'}') FROM v_uuid UNION ALL SELECT replace(v::text, '-', '') FROM v_uuid UNION ALL SELECT "
    "left(v::text, (random() * 37)::int) FROM v_uuid UNION ALL SELECT overlay(v::text PLACING "
    "word('{-,a,g,0}', 3) FROM (random() * 36)::int + 1 FOR 2) FROM v_uuid",
    "CREATE TABLE v_bytea_text AS SELECT v::text v FROM v_bytea UNION ALL SELECT encode(v, "
    "'escape') FROM v_bytea UNION ALL SELECT word('{a,\\\\,0,1,2,3,4,7,8,x}', 9) FROM n "
    "UNION ALL SELECT E'\\\\x' || word('{a,F,0,9,\" \",\"\n\",g}', 5) FROM n",
    "CREATE TABLE v_date_text AS SELECT v::text v FROM v_date UNION ALL SELECT v::text FROM "
    "v_timestamp UNION ALL SELECT replace(v::text, ' ', 'T') || 'Z' FROM v_modern WHERE isfinite(v)"
    " UNION ALL SELECT v || '+05:30' FROM v_modern WHERE isfinite(v) UNION ALL SELECT "
    "unnest('{\"\","
    "2024-02-30,2024-13-01,2024-1-1,2024-01-01 25:00,2024-01-01 24:00,2024-01-01 24:00:01,"
    "2024-01-01 12:60,2024-01-01 12:00:60,2024-01-01 12:00:61,0000-01-01,Infinity,2024-01-01 BC,"
    "\" 2024-01-01 \",2024-01-01 1:02:03.1234567,2024-01-01 1:02:03.9999995,2024-01-01 "
    "01:02+0230,2024-01-01 01:02-11,2024-01-01 01:02:03 +01}'::text[])",
    "CREATE FUNCTION json_word(depth int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ DECLARE r "
    "float8 := random(); BEGIN IF depth > 0 AND r < 0.4 THEN RETURN '{' || (SELECT coalesce("
    "string_agg(word('{\" \"}', 1) || '\"' || word('{a,b,cc,é}', 2) || '\":' || json_word(depth - "
    "1), ','), '') FROM generate_series(1, (random() * 4)::int) g) || '}'; ELSIF depth > 0 AND r < "
    "0.7 THEN RETURN '[' || (SELECT coalesce(string_agg(json_word(depth - 1), ' , '), '') FROM "
    "generate_series(1, (random() * 4)::int) g) || ']'; ELSE RETURN (ARRAY['1', '-1.50', '2e3', "
    "'0', '-0', '1E-2', 'null', 'true', 'false', '\"x\"', '\"\"', '\"\\u00e4\\n\\\\\"', "
    "'\"a/\\t\\u0007\"', '\"é中\"', '\"\\ud83d\\ude00\"', '12345678901234567890.5'])[1 + "
    "floor(random() * 16)::int]; END IF; END $$",
    "CREATE TABLE v_json_text AS SELECT json_word(3) v FROM n UNION ALL SELECT json_word(2) FROM n "
    "UNION ALL SELECT left(json_word(3), (random() * 30)::int) FROM n UNION ALL SELECT "
    "unnest(ARRAY['', ' ', NULL, '01', '1.', '.5', '-', '1e', 'nul', 'nullx', '[1,]', '{\"a\":}', "
    "'{\"a\"}', '{a:1}', '\"\\u12\"', '\"\\x\"', '\"', '1 2', '\"\\ud800\"', '\"\\udc00\"', "
    "'\"\\u0000\"', '\"\\ud800\\u0041\"', '1e1000', '1e-1000', '1e200000', E'\"\\t\"', "
    "E'\"\\x7f\"', '[[[]]]', '{\"a\":1,\"a\":2,\"\":3}'])",
    "CREATE TABLE v_json AS SELECT v::json v FROM v_json_text WHERE v IS NULL OR v ~ '^.*$' AND "
    "is_json(v)",
    "CREATE TABLE v_json_escaped AS SELECT v FROM v_json",
    "CREATE TABLE v_jsonb AS SELECT v::jsonb v FROM v_json WHERE v IS NULL OR is_jsonb(v::text)",

    "CREATE TABLE v_int2_array AS SELECT v FROM (VALUES (NULL::int2[]), ('{}'), ('{1,NULL,-3}'), "
    "('{{1,2},{3,4}}'), ('[5:6]={7,8}')) x(v)",
    "CREATE TABLE v_int4_array AS SELECT (SELECT array_agg(v) FROM (SELECT v FROM v_int4 WHERE n.i "
    "> 0 ORDER BY random() LIMIT 3) x) v FROM n UNION ALL SELECT NULL UNION ALL SELECT "
    "v::int4[] FROM v_int2_array",
    "CREATE TABLE v_int8_array AS SELECT (SELECT array_agg(v) FROM (SELECT v FROM v_int8 WHERE n.i "
    "> 0 ORDER BY random() LIMIT 1) x) v FROM n UNION ALL SELECT v::int8[] FROM v_int2_array",
    "CREATE TABLE v_float8_array AS SELECT v::float8[] v FROM v_int4_array UNION ALL SELECT "
    "ARRAY[v, 1] FROM v_float8",
    "CREATE TABLE v_float4_array AS SELECT ARRAY[v, 1] v FROM v_float4",
    "CREATE TABLE v_numeric_array AS SELECT ARRAY[v, 1] v FROM v_numeric",
    "CREATE TABLE v_uuid_array AS SELECT ARRAY[v, v] v FROM v_uuid",
    "CREATE TABLE v_date_array AS SELECT ARRAY[v, v] v FROM v_date",
    "CREATE TABLE v_timestamp_array AS SELECT ARRAY[v, v] v FROM v_timestamp",
    "CREATE TABLE v_text_array AS SELECT ARRAY[v, 'b', v] v FROM v_text UNION ALL SELECT v::text[] "
    "FROM v_int2_array",
    "CREATE TABLE v_varchar_array AS SELECT v::varchar[] v FROM v_text_array",
    "CREATE TABLE v_number_text_array AS SELECT ARRAY[v] v FROM v_number_text WHERE v ~ "
    "'^[-0-9.]*$' UNION ALL SELECT v::text[] FROM v_int2_array",
    "CREATE TABLE v_uuid_text_array AS SELECT ARRAY[v] v FROM v_uuid_text",
};

static int
start(void **state)
{
    static const char *const functions =
        "CREATE FUNCTION is_json(t text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM t::json;"
        " RETURN true; EXCEPTION WHEN OTHERS THEN RETURN false; END $$;"
        "CREATE FUNCTION is_jsonb(t text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM "
        "t::jsonb; RETURN true; EXCEPTION WHEN OTHERS THEN RETURN false; END $$";
    const struct pg_test_params params = {.conf = "timezone = UTC",
                                          .initdb = "--encoding=UTF8 --locale=C"};

    (void)state;
    conn = sql_connect(pg_test_cluster_new(&params), "postgres");
    sql_exec(conn, functions);
    for (size_t i = 0; i < sizeof setup / sizeof setup[0]; i++)
        sql_exec(conn, setup[i]);
    return 0;
}

static int
finish(void **state)
{
    (void)state;
    PQfinish(conn);
    return 0;
}

/* ---- comparing ---- */

static const char *
type_of(const char *table)
{
    return sql_valuef(conn,
                      "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
                      "'v_%s'::regclass AND attname = 'v'",
                      table);
}

/* The rows: arguments, result, whether the server had an error. */
static PGresult *
ask_server(const struct comparison *pair)
{
    const char *v = type_of(pair->values[0]);
    const char *w = pair->values[1] == NULL ? "int" : type_of(pair->values[1]);
    const char *result = sql_valuef(
        conn, "SELECT pg_typeof(%s) FROM (SELECT NULL::%s v, NULL::%s w) x", pair->sql, v, w);

    sql_execf(conn, "DROP FUNCTION IF EXISTS computed");
    sql_execf(conn,
              "CREATE FUNCTION computed(v %s, w %s, OUT r %s, OUT bad bool) LANGUAGE plpgsql AS $$ "
              "BEGIN bad := false; r := (%s); EXCEPTION WHEN OTHERS THEN bad := true; r := NULL; "
              "END $$",
              v, w, result, pair->sql);
    const char *from =
        pair->values[1] == NULL
            ? scratch_printf("(SELECT v, NULL::int w FROM v_%s) x", pair->values[0])
            : scratch_printf("(SELECT * FROM (SELECT v FROM v_%s ORDER BY random() LIMIT 60) a, "
                             "(SELECT v w FROM v_%s ORDER BY random() LIMIT 40) b) x",
                             pair->values[0], pair->values[1]);
    PGresult *rows = PQexecParams(
        conn, scratch_printf("SELECT v, w, r, bad FROM %s, LATERAL computed(v, w) c", from), 0,
        NULL, NULL, NULL, NULL, 1);
    if (PQresultStatus(rows) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", pair->sql, PQerrorMessage(conn));
    return rows;
}

static struct ph_value
field(const PGresult *rows, int row, int column)
{
    /* A block of exactly its size, so that a sanitizer sees one byte too many. */
    if (PQgetisnull(rows, row, column))
        return (struct ph_value){NULL, PH_VALUE_NULL};
    int len = PQgetlength(rows, row, column);
    uint8_t *copy = malloc(len > 0 ? (size_t)len : 1);
    memcpy(copy, PQgetvalue(rows, row, column), (size_t)len);
    return (struct ph_value){copy, len};
}

static const char *
hex(const struct ph_value *value)
{
    char *text = scratch_keep(malloc(2 * (size_t)(value->len < 0 ? 0 : value->len) + 8));

    if (value->len < 0)
        return "NULL";
    for (int i = 0; i < value->len; i++)
        snprintf(text + 2 * (size_t)i, 3, "%02x", value->data[i]);
    text[2 * (size_t)value->len] = '\0';
    return text;
}

static bool
compare_row(const struct comparison *pair, struct op_run *run, const PGresult *rows, int row)
{
    struct ph_value args[2] = {field(rows, row, 0), field(rows, row, 1)};
    bool is_bad = PQgetvalue(rows, row, 3)[0] != 0;
    struct ph_value wanted = field(rows, row, 2);
    struct ph_value out = {NULL, PH_VALUE_NULL};
    enum ph_rule_result rc = op_run_call(run, args, &out);
    bool is_same = rc == (is_bad ? PH_RULE_BAD : PH_RULE_OK);

    if (is_same && !is_bad)
        is_same = out.len == wanted.len &&
                  (out.len <= 0 || memcmp(out.data, wanted.data, (size_t)out.len) == 0);
    if (!is_same)
        print_error("%s: %s (%s) of %s, %s:\n  %s\n  server %s\n", pair->name, pair->signature,
                    pair->sql, hex(&args[0]), hex(&args[1]),
                    rc != PH_RULE_OK ? run->call.message : hex(&out),
                    is_bad ? "has an error" : hex(&wanted));
    free((void *)args[0].data);
    free((void *)args[1].data);
    free((void *)wanted.data);
    return is_same;
}

/* Returns how many rows differ; the first few are shown. */
static int
compare(const struct comparison *pair)
{
    const struct ph_rule_op *op = op_find(pair->name, pair->signature);
    struct op_run run;
    uint32_t n_params = 0;
    int wrong = 0;

    if (op == NULL)
        fail_msg("no operator %s: %s", pair->name, pair->signature);
    while (n_params < 4 && pair->params[n_params] != NULL)
        n_params++;
    if (!op_run_begin(&run, op, pair->params, n_params, pair->values[1] == NULL ? 1 : 2))
        fail_msg("%s refuses: %s", pair->name, run.call.message);
    PGresult *rows = ask_server(pair);
    for (int row = 0; row < PQntuples(rows) && wrong < 3; row++)
        wrong += !compare_row(pair, &run, rows, row);
    PQclear(rows);
    op_run_end(&run);
    return wrong;
}

#define COMPARE_ALL(pairs)                                                                         \
    do {                                                                                           \
        int wrong_ = 0;                                                                            \
        for (size_t i_ = 0; i_ < sizeof(pairs) / sizeof(pairs)[0]; i_++)                           \
            wrong_ += compare(&(pairs)[i_]);                                                       \
        assert_int_equal(wrong_, 0);                                                               \
    } while (0)

#define CAST(from, to)                                                                             \
    {                                                                                              \
        "cast", #from " -> " #to, {NULL}, {#from}, "v::" #to                                       \
    }
#define CAST_OF(values, from, to)                                                                  \
    {                                                                                              \
        "cast", from " -> " to, {NULL}, {values}, "v::" to                                         \
    }
#define CAST_IN(values, from, to, zone, sql)                                                       \
    {                                                                                              \
        "cast", from " -> " to, {to, zone}, {values}, sql                                          \
    }

static void
test_casts_of_numbers(void **state)
{
    static const struct comparison pairs[] = {
        CAST(int2, int4),      CAST(int2, int8),      CAST(int2, float4),   CAST(int2, float8),
        CAST(int2, numeric),   CAST(int4, int2),      CAST(int4, int8),     CAST(int4, float4),
        CAST(int4, float8),    CAST(int4, numeric),   CAST(int8, int2),     CAST(int8, int4),
        CAST(int8, float4),    CAST(int8, float8),    CAST(int8, numeric),  CAST(float4, int2),
        CAST(float4, int4),    CAST(float4, int8),    CAST(float4, float8), CAST(float4, numeric),
        CAST(float8, int2),    CAST(float8, int4),    CAST(float8, int8),   CAST(float8, float4),
        CAST(float8, numeric), CAST(numeric, int2),   CAST(numeric, int4),  CAST(numeric, int8),
        CAST(numeric, float4), CAST(numeric, float8), CAST(bool, int4),     CAST(int4, bool),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

static void
test_casts_of_text(void **state)
{
    static const struct comparison pairs[] = {
        CAST(int2, text),
        CAST(int4, text),
        CAST(int8, text),
        CAST(float4, text),
        CAST(float8, text),
        CAST(numeric, text),
        CAST(bool, text),
        CAST(uuid, text),
        CAST(bytea, text),
        CAST(text, text),
        CAST_OF("number_text", "text", "int2"),
        CAST_OF("number_text", "text", "int4"),
        CAST_OF("number_text", "text", "int8"),
        CAST_OF("number_text", "text", "float4"),
        CAST_OF("number_text", "text", "float8"),
        CAST_OF("number_text", "text", "numeric"),
        CAST_OF("bool_text", "text", "bool"),
        CAST_OF("uuid_text", "text", "uuid"),
        CAST_OF("bytea_text", "text", "bytea"),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

static void
test_casts_of_times(void **state)
{
    static const struct comparison pairs[] = {
        CAST(date, timestamp),
        CAST(date, timestamptz),
        CAST(timestamp, date),
        CAST(timestamptz, date),
        CAST(timestamp, timestamptz),
        CAST(timestamptz, timestamp),
        CAST(date, text),
        CAST(timestamp, text),
        CAST(timestamptz, text),
        CAST_OF("date_text", "text", "date"),
        CAST_OF("date_text", "text", "timestamp"),
        CAST_OF("date_text", "text", "timestamptz"),
        CAST_IN("modern", "timestamp", "timestamptz", "Europe/Berlin",
                "v AT TIME ZONE 'Europe/Berlin'"),
        CAST_IN("modern", "timestamp", "timestamptz", "America/New_York",
                "v AT TIME ZONE 'America/New_York'"),
        CAST_IN("modern", "timestamp", "timestamptz", "Asia/Kolkata",
                "v AT TIME ZONE 'Asia/Kolkata'"),
        CAST_IN("modern", "timestamp", "timestamptz", "Australia/Lord_Howe",
                "v AT TIME ZONE 'Australia/Lord_Howe'"),
        CAST_IN("moderntz", "timestamptz", "timestamp", "Europe/Moscow",
                "v AT TIME ZONE 'Europe/Moscow'"),
        CAST_IN("moderntz", "timestamptz", "timestamp", "Europe/Berlin",
                "v AT TIME ZONE 'Europe/Berlin'"),
        CAST_IN("moderntz", "timestamptz", "date", "Pacific/Auckland",
                "(v AT TIME ZONE 'Pacific/Auckland')::date"),
        CAST_IN("timestamptz", "timestamptz", "timestamp", "Europe/Berlin",
                "v AT TIME ZONE 'Europe/Berlin'"),
        CAST_IN("timestamp", "timestamp", "timestamptz", "Europe/Berlin",
                "v AT TIME ZONE 'Europe/Berlin'"),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

static void
test_casts_of_json(void **state)
{
    static const struct comparison pairs[] = {
        CAST(json, text),
        CAST(jsonb, text),
        CAST(jsonb, json),
        CAST(json, jsonb),
        CAST_OF("json_text", "text", "json"),
        CAST_OF("json_text", "text", "jsonb"),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

/* ---- casts of arrays ---- */

struct array_cast {
    const char *from;
    const char *to;
};

#define ARRAY_CAST(from, to, run, flags, help) {#from, #to},

static const struct array_cast array_casts[] = {PH_CASTS_WITHOUT_ZONE(ARRAY_CAST)};
static const struct array_cast array_casts_in_a_zone[] = {PH_CASTS_IN_A_ZONE(ARRAY_CAST)};

/* What elements are taken from. */
static const char *
elements_of(const struct array_cast *cast)
{
    static const char *const texts[][2] = {{"text", "text"},      {"bool", "bool_text"},
                                           {"uuid", "uuid_text"}, {"bytea", "bytea_text"},
                                           {"json", "json_text"}, {"jsonb", "json_text"}};

    if (strcmp(cast->from, "text") != 0)
        return cast->from;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i][0], cast->to) == 0)
            return texts[i][1];
    }
    return cast->to[0] == 'd' || cast->to[0] == 't' ? "date_text" : "number_text";
}

/*
 * v_arrays: every value alone; those that can be cast in two dimensions, with NULLs, with lower
 * bounds; and one that the server says has NULLs, which it had.
 */
static void
make_arrays(const char *elements, const struct array_cast *cast)
{
    const char *from = cast->from;

    sql_execf(conn, "DROP TABLE IF EXISTS v_arrays");
    sql_execf(conn, "DROP FUNCTION IF EXISTS fits");
    sql_execf(conn,
              "CREATE FUNCTION fits(v %s) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM "
              "v::%s; RETURN true; EXCEPTION WHEN OTHERS THEN RETURN false; END $$",
              from, cast->to);
    sql_execf(conn,
              "CREATE TABLE v_arrays AS SELECT ARRAY[[v, lead(v) OVER w], [NULL, lag(v) OVER w]] v "
              "FROM (SELECT v, random() r FROM v_%s WHERE fits(v)) x WINDOW w AS (ORDER BY r) LIMIT"
              " 100",
              elements);
    sql_execf(conn, "INSERT INTO v_arrays SELECT ('[5:6][-1:0]=' || v::text)::%s[] FROM v_arrays",
              from);
    sql_execf(conn, "INSERT INTO v_arrays SELECT ARRAY[v] FROM v_%s WHERE v IS NOT NULL", elements);
    sql_execf(conn, "INSERT INTO v_arrays VALUES (NULL), ('{}'), ('{NULL}')");
    if (strcmp(from, cast->to) != 0) /* else the server leaves it so; a target that reads it not */
        sql_execf(conn,
                  "UPDATE v_arrays SET v[1] = (SELECT v FROM v_%s WHERE v IS NOT NULL AND fits(v) "
                  "LIMIT 1) WHERE v::text = '{NULL}'",
                  elements);
    sql_execf(conn, "INSERT INTO v_arrays VALUES ('{NULL}')");
}

static int
compare_arrays(const char *elements, const struct array_cast *cast, const char *zone)
{
    const struct comparison pair = {
        .name = "cast",
        .signature = scratch_printf("%s[] -> %s[]", cast->from, cast->to),
        .params = {zone != NULL ? cast->to : NULL, zone},
        .values = {"arrays"},
        .sql = scratch_printf("v::%s[]", cast->to),
    };

    make_arrays(elements, cast);
    return compare(&pair);
}

static void
test_casts_of_arrays(void **state)
{
    static const struct comparison pairs[] = {
        CAST_OF("varchar_array", "text[]", "text[]"),
        {"cast", "text[] -> text[]", {"varchar[]"}, {"text_array"}, "v::varchar[]"},
        {"cast", "int4[] -> text[]", {"varchar[]"}, {"int4_array"}, "v::varchar[]"},
    };
    int wrong = 0;

    (void)state;
    COMPARE_ALL(pairs);
    for (size_t i = 0; i < sizeof array_casts / sizeof array_casts[0]; i++)
        wrong += compare_arrays(elements_of(&array_casts[i]), &array_casts[i], NULL);
    for (size_t i = 0; i < sizeof array_casts_in_a_zone / sizeof array_casts_in_a_zone[0]; i++)
        wrong +=
            compare_arrays(elements_of(&array_casts_in_a_zone[i]), &array_casts_in_a_zone[i], NULL);
    assert_int_equal(wrong, 0);
}

static void
test_casts_of_arrays_in_a_zone(void **state)
{
    static const char *const elements[][2] = {{"date", "modern_date"},
                                              {"timestamp", "modern"},
                                              {"timestamptz", "moderntz"},
                                              {"text", "modern_text"}};
    int wrong = 0;

    (void)state;
    sql_exec(conn, "SET timezone = 'Europe/Berlin'");
    for (size_t i = 0; i < sizeof array_casts_in_a_zone / sizeof array_casts_in_a_zone[0]; i++) {
        size_t k = 0;
        while (strcmp(elements[k][0], array_casts_in_a_zone[i].from) != 0)
            k++;
        wrong += compare_arrays(elements[k][1], &array_casts_in_a_zone[i], "Europe/Berlin");
    }
    sql_exec(conn, "RESET timezone");
    assert_int_equal(wrong, 0);
}

#define NULL_IF(type, value)                                                                       \
    {                                                                                              \
        "null_if", #type " -> " #type, {value}, {#type}, "nullif(v, '" value "'::" #type ")"       \
    }

static void
test_nulls(void **state)
{
    static const struct comparison pairs[] = {
        {"default", "any, any -> any", {NULL}, {"int4", "int4"}, "coalesce(v, w)"},
        {"default", "any, any -> any", {NULL}, {"text", "text"}, "coalesce(v, w)"},
        {"coalesce", "any, any... -> any", {NULL}, {"text", "text"}, "coalesce(v, w)"},
        {"coalesce", "any, any... -> any", {NULL}, {"int4", "int4"}, "coalesce(v, w)"},
        {"null_if_empty", "text -> text", {NULL}, {"text"}, "nullif(v, '')"},
        NULL_IF(text, "abc"),
        NULL_IF(int2, "1"),
        NULL_IF(int4, "-1"),
        NULL_IF(int8, "1"),
        NULL_IF(numeric, "0"),
        NULL_IF(bool, "true"),
        NULL_IF(uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        NULL_IF(date, "2024-02-29"),
        NULL_IF(timestamp, "2000-01-01 00:00:00"),
        NULL_IF(timestamptz, "2000-01-01 00:00:00+00"),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

#define TEXT(name, sql, ...)                                                                       \
    {                                                                                              \
        name, "text -> text", {__VA_ARGS__}, {"text"}, sql                                         \
    }

static void
test_texts(void **state)
{
    static const struct comparison pairs[] = {
        {"concat", "text... -> text", {NULL}, {"text", "text"}, "concat(v, w)"},
        {"concat", "text... -> text", {", "}, {"text", "text"}, "concat_ws(', ', v, w)"},
        TEXT("split", "split_part(v, 'a', 2)", "a", "2"),
        TEXT("split", "split_part(v, '@', -1)", "@", "-1"),
        TEXT("split", "split_part(v, 'aa', -2)", "aa", "-2"),
        TEXT("substring", "substring(v, 3)", "3"),
        TEXT("substring", "substring(v, 2, 3)", "2", "3"),
        TEXT("substring", "substring(v, -1, 4)", "-1", "4"),
        TEXT("substring", "substring(v, 1, 0)", "1", "0"),
        TEXT("left", "left(v, 3)", "3"),
        TEXT("left", "left(v, -3)", "-3"),
        TEXT("left", "left(v, 0)", "0"),
        TEXT("right", "right(v, 3)", "3"),
        TEXT("right", "right(v, -3)", "-3"),
        TEXT("right", "right(v, 0)", "0"),
        TEXT("lpad", "lpad(v, 7)", "7"),
        TEXT("lpad", "lpad(v, 8, 'é-')", "8", "é-"),
        TEXT("rpad", "rpad(v, 7, '')", "7", ""),
        TEXT("rpad", "rpad(v, 8, 'é-')", "8", "é-"),
        TEXT("trim", "btrim(v)", NULL),
        TEXT("trim", "btrim(v, 'aä ')", "aä "),
        TEXT("ltrim", "ltrim(v)", NULL),
        TEXT("ltrim", "ltrim(v, '中b ')", "中b "),
        TEXT("rtrim", "rtrim(v)", NULL),
        TEXT("rtrim", "rtrim(v, '😀x')", "😀x"),
        TEXT("replace", "replace(v, 'a', 'bb')", "a", "bb"),
        TEXT("replace", "replace(v, 'aa', '')", "aa", ""),
        TEXT("replace", "replace(v, '', 'x')", "", "x"),
        {"length", "text -> int4", {NULL}, {"text"}, "length(v)"},
        TEXT("lower", "lower(v COLLATE \"und-x-icu\")", NULL),
        TEXT("upper", "upper(v COLLATE \"und-x-icu\")", NULL),
        TEXT("initcap", "initcap(v COLLATE \"und-x-icu\")", NULL),
        TEXT("regexp_replace", "regexp_replace(v, '[ab]+', '<\\&>')", "[ab]+", "<\\&>"),
        TEXT("regexp_replace", "regexp_replace(v, '(.)(\\d)', '\\2\\1', 'g')", "(.)(\\d)", "\\2\\1",
             "g"),
        TEXT("regexp_replace", "regexp_replace(v, 'x*', '-', 'gi')", "x*", "-", "gi"),
        TEXT("regexp_replace", "regexp_replace(v, '^ +| +$', '', 'g')", "^ +| +$", "", "g"),
        TEXT("regexp_replace", "regexp_replace(v, '^.', '#', 'gn')", "^.", "#", "gn"),
        TEXT("regexp_replace", "regexp_replace(v, 'a$', '\\\\\\q', 'g')", "a$", "\\\\\\q", "g"),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

/* With a constant, and with another column. */
#define ARITHMETIC(name, type, sign, constant)                                                     \
    {name,                                                                                         \
     #type " -> " #type,                                                                           \
     {constant},                                                                                   \
     {#type},                                                                                      \
     "(v " sign " '" constant "'::" #type ")::" #type},                                            \
    {                                                                                              \
        name, #type ", " #type " -> " #type, {NULL}, {#type, #type}, "(v " sign " w)::" #type      \
    }
#define ARITHMETICS(type, constant)                                                                \
    ARITHMETIC("add", type, "+", constant), ARITHMETIC("subtract", type, "-", constant),           \
        ARITHMETIC("multiply", type, "*", constant), ARITHMETIC("divide", type, "/", constant)
#define SAME_TYPE(name, type, sql, ...)                                                            \
    {                                                                                              \
        name, #type " -> " #type, {__VA_ARGS__}, {#type}, sql                                      \
    }

static void
test_numbers(void **state)
{
    static const struct comparison pairs[] = {
        ARITHMETICS(int2, "-7"),
        ARITHMETICS(int4, "100000"),
        ARITHMETICS(int8, "-3000000000"),
        ARITHMETICS(float4, "1.5e7"),
        ARITHMETICS(float8, "0.1"),
        ARITHMETICS(numeric, "-12345.678900"),
        ARITHMETIC("multiply", numeric, "*", "Infinity"),
        ARITHMETIC("divide", numeric, "/", "0.0003"),
        ARITHMETIC("divide", numeric, "/", "123456789012345678901234567890.12"),
        ARITHMETIC("divide", int8, "/", "-1"),
        ARITHMETIC("modulo", int2, "%", "7"),
        ARITHMETIC("modulo", int4, "%", "-1"),
        ARITHMETIC("modulo", int8, "%", "1000"),
        ARITHMETIC("modulo", numeric, "%", "0.07"),
        SAME_TYPE("negate", int2, "-v", NULL),
        SAME_TYPE("negate", int4, "-v", NULL),
        SAME_TYPE("negate", int8, "-v", NULL),
        SAME_TYPE("negate", float4, "-v", NULL),
        SAME_TYPE("negate", float8, "-v", NULL),
        SAME_TYPE("negate", numeric, "-v", NULL),
        SAME_TYPE("abs", int2, "abs(v)", NULL),
        SAME_TYPE("abs", int4, "abs(v)", NULL),
        SAME_TYPE("abs", int8, "abs(v)", NULL),
        SAME_TYPE("abs", float4, "abs(v)", NULL),
        SAME_TYPE("abs", float8, "abs(v)", NULL),
        SAME_TYPE("abs", numeric, "abs(v)", NULL),
        SAME_TYPE("round", float8, "round(v)", NULL),
        SAME_TYPE("round", numeric, "round(v)", NULL),
        SAME_TYPE("round", numeric, "round(v, 2)", "2"),
        SAME_TYPE("round", numeric, "round(v, 5)", "5"),
        SAME_TYPE("round", numeric, "round(v, -1)", "-1"),
        SAME_TYPE("round", numeric, "round(v, -4)", "-4"),
        SAME_TYPE("round", numeric, "round(v, -9)", "-9"),
        SAME_TYPE("bucket", int2, "(v::numeric - mod(mod(v::numeric, 7) + 7, 7))::int2", "7"),
        SAME_TYPE("bucket", int4, "(v::numeric - mod(mod(v::numeric, 7) + 7, 7))::int4", "7"),
        SAME_TYPE("bucket", int8, "(v::numeric - mod(mod(v::numeric, 7) + 7, 7))::int8", "7"),
        SAME_TYPE("bucket", float8, "floor(v / 0.25::float8) * 0.25::float8", "0.25"),
        SAME_TYPE("bucket", numeric,
                  "CASE WHEN v IN ('Infinity', '-Infinity') THEN v ELSE v - mod(mod(v, 0.25) + "
                  "0.25, 0.25) END",
                  "0.25"),
        SAME_TYPE("clamp", int2,
                  "CASE WHEN v IS NOT NULL THEN least(greatest(v, -5::int2), 100::int2) END", "-5",
                  "100"),
        SAME_TYPE("clamp", int4, "CASE WHEN v IS NOT NULL THEN least(greatest(v, -5), 100) END",
                  "-5", "100"),
        SAME_TYPE("clamp", int8, "CASE WHEN v IS NOT NULL THEN least(greatest(v, -5), 100) END",
                  "-5", "100"),
        SAME_TYPE("clamp", float4,
                  "CASE WHEN v IS NOT NULL THEN least(greatest(v, -5::float4), 100::float4) END",
                  "-5", "100"),
        SAME_TYPE("clamp", float8, "CASE WHEN v IS NOT NULL THEN least(greatest(v, -5), 100) END",
                  "-5", "100"),
        SAME_TYPE("clamp", numeric,
                  "CASE WHEN v IS NOT NULL THEN least(greatest(v, -5), 100.0) END", "-5", "100.0"),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

#define TRUNC(unit)                                                                                \
    SAME_TYPE("date_trunc", timestamp, "date_trunc('" unit "', v)", unit),                         \
        SAME_TYPE("date_trunc", timestamptz, "date_trunc('" unit "', v)", unit),                   \
        {"date_trunc",                                                                             \
         "timestamptz -> timestamptz",                                                             \
         {unit, "America/New_York"},                                                               \
         {"moderntz"},                                                                             \
         "date_trunc('" unit "', v, 'America/New_York')"},                                         \
        SAME_TYPE("date_trunc", date, "date_trunc('" unit "', v::timestamp)::date", unit)

static void
test_date_trunc(void **state)
{
    static const struct comparison pairs[] = {
        TRUNC("microseconds"), TRUNC("milliseconds"), TRUNC("second"), TRUNC("minute"),
        TRUNC("hour"),         TRUNC("day"),          TRUNC("week"),   TRUNC("month"),
        TRUNC("quarter"),      TRUNC("year"),         TRUNC("decade"), TRUNC("century"),
        TRUNC("millennium"),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

#define SHIFT(interval)                                                                            \
    SAME_TYPE("shift", timestamp, "v + '" interval "'::interval", interval),                       \
        SAME_TYPE("shift", timestamptz, "v + '" interval "'::interval", interval),                 \
        SAME_TYPE("shift", date, "(v + '" interval "'::interval)::date", interval)

static void
test_shift(void **state)
{
    static const struct comparison pairs[] = {
        SHIFT("3 days"),
        SHIFT("-1 month"),
        SHIFT("1 month"),
        SHIFT("1 year 2 mons -3 days -04:05:06.789"),
        SHIFT("-400 years"),
        SHIFT("3 centuries 1 decade 2 weeks"),
        SHIFT("-36 hours 5 minutes 1.25 seconds"),
        SHIFT("250000 years"),
        SHIFT("2147483647 days"),
    };
    /* The session's zone is what an interval of days counts by. */
    static const struct comparison zoned[] = {
        {"shift",
         "timestamptz -> timestamptz",
         {"1 day", "Europe/Berlin"},
         {"moderntz"},
         "v + '1 day'::interval"},
        {"shift",
         "timestamptz -> timestamptz",
         {"-6 months 1 day 01:00", "Europe/Berlin"},
         {"moderntz"},
         "v + '-6 months 1 day 01:00'::interval"},
    };

    (void)state;
    COMPARE_ALL(pairs);
    sql_exec(conn, "SET timezone = 'Europe/Berlin'");
    COMPARE_ALL(zoned);
    sql_exec(conn, "SET timezone = 'UTC'");
}

#define FINITE "CASE WHEN isfinite(v) THEN floor(extract("
#define OF_TIME(part)                                                                              \
    {"extract",                                                                                    \
     "timestamp -> int4",                                                                          \
     {part},                                                                                       \
     {"timestamp"},                                                                                \
     FINITE part " FROM v))::int4 ELSE 1 / isfinite(v)::int END"},                                 \
    {                                                                                              \
        "extract", "timestamptz -> int4", {part}, {"timestamptz"},                                 \
            FINITE part " FROM v))::int4 ELSE 1 / isfinite(v)::int END"                            \
    }
#define OF_DATE(part)                                                                              \
    {                                                                                              \
        "extract", "date -> int4", {part}, {"date"},                                               \
            FINITE part " FROM v::timestamp))::int4 ELSE 1 / isfinite(v)::int END"                 \
    }

static void
test_extract(void **state)
{
    static const struct comparison pairs[] = {
        OF_TIME("year"),
        OF_TIME("month"),
        OF_TIME("day"),
        OF_TIME("hour"),
        OF_TIME("minute"),
        OF_TIME("second"),
        OF_TIME("milliseconds"),
        OF_TIME("microseconds"),
        OF_TIME("week"),
        OF_TIME("isoyear"),
        OF_TIME("dow"),
        OF_TIME("isodow"),
        OF_TIME("doy"),
        OF_TIME("quarter"),
        OF_TIME("decade"),
        OF_TIME("century"),
        OF_TIME("millennium"),
        OF_DATE("year"),
        OF_DATE("month"),
        OF_DATE("day"),
        OF_DATE("week"),
        OF_DATE("isoyear"),
        OF_DATE("dow"),
        OF_DATE("isodow"),
        OF_DATE("doy"),
        OF_DATE("quarter"),
        OF_DATE("decade"),
        OF_DATE("century"),
        OF_DATE("millennium"),
        {"extract",
         "timestamptz -> int4",
         {"hour", "Asia/Kolkata"},
         {"moderntz"},
         FINITE "hour FROM v AT TIME ZONE 'Asia/Kolkata'))::int4 ELSE 1 / isfinite(v)::int END"},
        {"from_epoch", "int4 -> timestamptz", {NULL}, {"int4"}, "to_timestamp(v)"},
        {"from_epoch",
         "int8 -> timestamptz",
         {"seconds"},
         {"int8"},
         "'1970-01-01Z'::timestamptz + (v / 86400)::int * '1 day'::interval + (v % 86400) * '1 "
         "second'::interval"},
        {"to_epoch",
         "timestamptz -> int8",
         {NULL},
         {"nearer"},
         "floor(extract(epoch FROM v))::int8"},
        {"to_epoch",
         "timestamptz -> int8",
         {"milliseconds"},
         {"nearer"},
         "floor(extract(epoch FROM v) * 1000)::int8"},
    };

    (void)state;
    COMPARE_ALL(pairs);
}

#define PATHS(path)                                                                                \
    {"json_get", "json -> text", {path}, {"json_escaped"}, "v #>> '" path "'"},                    \
        {"json_get", "jsonb -> text", {path}, {"jsonb"}, "v #>> '" path "'"},                      \
        {"json_set",                                                                               \
         "jsonb -> jsonb",                                                                         \
         {path, "{\"n\": [1e1, \"\\u0001\"]}"},                                                    \
         {"jsonb"},                                                                                \
         "jsonb_set(v, '" path "', '{\"n\": [1e1, \"\\u0001\"]}')"},                               \
    {                                                                                              \
        "json_delete", "jsonb -> jsonb", {path}, {"jsonb"}, "v #- '" path "'"                      \
    }

static void
test_json(void **state)
{
    static const struct comparison pairs[] = {
        PATHS("{a}"),     PATHS("{}"),        PATHS("{0}"),    PATHS("{-1}"),    PATHS("{a,b}"),
        PATHS("{a,0}"),   PATHS("{a,-2}"),    PATHS("{1,a}"),  PATHS("{7}"),     PATHS("{-7}"),
        PATHS("{b,7}"),   PATHS("{b,-7}"),    PATHS("{b,c}"),  PATHS("{\"\"}"),  PATHS("{é}"),
        PATHS("{0,0,0}"), PATHS("{a,a,a,a}"), PATHS("{cc,1}"), PATHS("{b,b,0}"), PATHS("{x}"),
        PATHS("{1}"),     PATHS("{ab,0}"),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

#define JOIN(type)                                                                                 \
    {"array_join", #type "[] -> text", {", "}, {#type "_array"}, "array_to_string(v, ', ')"},      \
    {                                                                                              \
        "array_join", #type "[] -> text", {"", "-"}, {#type "_array"},                             \
            "array_to_string(v, '', '-')"                                                          \
    }

static void
test_arrays(void **state)
{
    static const struct comparison pairs[] = {
        {"array_length", "any[] -> int4", {NULL}, {"int4_array"}, "array_length(v, 1)"},
        {"array_length", "any[] -> int4", {"2"}, {"int2_array"}, "array_length(v, 2)"},
        {"array_length", "any[] -> int4", {"0"}, {"int2_array"}, "array_length(v, 0)"},
        {"array_element", "any[] -> any", {"1"}, {"text_array"}, "v[1]"},
        {"array_element", "any[] -> any", {"3"}, {"int4_array"}, "v[3]"},
        {"array_element", "any[] -> any", {"6"}, {"int2_array"}, "v[6]"},
        {"array_element", "any[] -> any", {"-1"}, {"int2_array"}, "v[-1]"},
        JOIN(text),
        JOIN(int2),
        JOIN(int4),
        JOIN(int8),
        JOIN(float8),
        JOIN(numeric),
        JOIN(uuid),
        JOIN(date),
    };

    (void)state;
    COMPARE_ALL(pairs);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_casts_of_numbers),
        cmocka_unit_test(test_casts_of_text),
        cmocka_unit_test(test_casts_of_times),
        cmocka_unit_test(test_casts_of_json),
        cmocka_unit_test(test_casts_of_arrays),
        cmocka_unit_test(test_casts_of_arrays_in_a_zone),
        cmocka_unit_test(test_nulls),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_date_trunc),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_extract),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_arrays),
    };

    return cmocka_run_group_tests(tests, start, finish);
}
