/* Differences of schemas are named; the schema goes from older to newer majors. */
/* labels: majors */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "pg/schema_compare.h"
#include "support/schema_move.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

static int
setup(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    sql_once(src, "postgres", "CREATE DATABASE rich");
    sql_file(src, "rich", PH_TEST_DIR "/integration/data/rich_schema.sql");
    sql_once(dst, "postgres",
             "CREATE ROLE rich_owner; CREATE ROLE rich_reader; CREATE ROLE \"rich Üser\"");
    return 0;
}

/* What is changed on the target, and the finding that must come of it. */
static const struct {
    const char *sql;
    const char *finding;
} changes[] = {
    {"DROP INDEX app.customers_expr", "error index app.customers_expr: missing on the target"},
    {"CREATE INDEX more ON app.base (id)", "warning index app.more: only on the target"},
    {"ALTER TABLE app.refs DROP CONSTRAINT refs_metrics",
     "error constraint app.refs.refs_metrics: missing on the target"},
    {"ALTER TABLE app.customers DROP CONSTRAINT customers_note_check, ADD CONSTRAINT"
     " customers_note_check CHECK (note <> 'x')",
     "error constraint app.customers.customers_note_check: different: `''::text))` on the source,"
     " `'x'::text))` on the target"},
    {"ALTER TABLE app.customers DISABLE TRIGGER touch",
     "error trigger app.customers.touch: different: `O` on the source, `D` on the target"},
    {"ALTER TABLE app.customers ALTER note SET NOT NULL",
     "error column app.customers.note: different: `storage e` on the source, `not null`"
     " on the target"},
    {"ALTER TABLE app.base ALTER id SET DEFAULT 1", "error column app.base.id: different: "},
    {"DROP RULE no_delete ON app.customers",
     "error rule app.customers.no_delete: missing on the target"},
    {"ALTER POLICY own_rows ON app.customers TO rich_owner",
     "error policy app.customers.own_rows: different: "},
    {"CREATE OR REPLACE FUNCTION app.atomic(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE"
     " RETURN a",
     "error function app.atomic(a integer, b integer): different"},
    {"ALTER TYPE app.mood ADD VALUE 'new'",
     "error type app.mood: different: `'sad','o''k','happy'` on the source,"
     " `'sad','o''k','happy','new'` on the target"},
    {"ALTER SEQUENCE app.numbers INCREMENT BY -3", "error sequence app.numbers: different: "},
    {"DROP STATISTICS app.customers_stat", "error statistics app.customers_stat: missing"},
    {"ALTER EVENT TRIGGER watch ENABLE",
     "error event trigger watch: different: `D` on the source, `O` on the target"},
    {"ALTER TABLE app.fast OWNER TO rich_owner",
     "error owner table app.fast: different: `postgres` on the source, `rich_owner` on the target"},
    {"ALTER TYPE app.pair OWNER TO rich_owner", "error owner type app.pair: different: "},
    {"GRANT ALL ON TYPE app.pair TO rich_reader", "error grant type app.pair: different: "},
    {"REVOKE SELECT ON app.happy FROM rich_reader", "error grant table app.happy: different: "},
    {"COMMENT ON COLUMN app.customers.note IS NULL",
     "error comment table column app.customers.note: missing on the target"},
    {"COMMENT ON TABLE app.customers IS 'x'", "error comment table app.customers: different: "},
    {"DROP EXTENSION pg_trgm CASCADE", "error extension pg_trgm: missing on the target"},
    {"ALTER TABLE app.fast SET LOGGED",
     "error table app.fast: different: `u` on the source, `p` on the target"},
    {"ALTER TABLE app.customers DISABLE ROW LEVEL SECURITY", "error table app.customers: "},
    {"CREATE OR REPLACE VIEW app.happy AS SELECT id, code FROM app.customers",
     "error table app.happy: different: "},
    {"DROP SERVER nowhere CASCADE", "error foreign server nowhere: missing on the target"},
    {"DROP CAST (app.mood AS app.pair)", "error cast (app.mood AS app.pair): missing"},
    {"DROP AGGREGATE app.total(int)", "error function app.total(integer): missing"},
    {"ALTER TEXT SEARCH CONFIGURATION app.simple_en DROP MAPPING FOR word",
     "error text search configuration app.simple_en: different: "},
};

static void
test_differences_are_named(void **state)
{
    struct ph_error err = {0};
    struct move move;

    (void)state;
    sql_once(dst, "postgres", "CREATE DATABASE rich");
    move_begin(&move, src, "rich", dst, "rich");
    move_pre_data(&move);
    move_post_data(&move, NULL, 0, 1000);
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct ph_findings findings;

        MOVE_CHECK(ph_conn_exec(move.conn, "BEGIN", &err));
        MOVE_CHECK(ph_conn_exec(move.conn, changes[i].sql, &err));
        move_compare(&move, &findings);
        if (strstr(move_findings_text(&findings), changes[i].finding) == NULL)
            fail_msg("%s: wanted `%s`, got:\n%s", changes[i].sql, changes[i].finding,
                     move_findings_text(&findings));
        assert_in_range(findings.n, 1, 12);
        ph_findings_reset(&findings);
        MOVE_CHECK(ph_conn_exec(move.conn, "ROLLBACK", &err));
    }
    move_end(&move);
}

/* The rich schema without what needs contrib modules, which other majors have not here. */
static const char *
plain_schema(bool old)
{
    const char *text = scratch_read(PH_TEST_DIR "/integration/data/rich_schema.sql");
    const char *plain = "";

    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        const char *line = scratch_printf("%.*s", (int)len, text);

        text += len + (text[len] == '\n');
        if (strstr(line, "ext.") != NULL || strstr(line, "EXTENSION") != NULL ||
            strstr(line, "_excl") != NULL)
            continue;
        if (old && strcmp(line, "BEGIN ATOMIC") == 0)
            line = "AS 'SELECT a + b' /*";
        else if (old && strcmp(line, "END;") == 0)
            line = "*/;";
        else if (old && strstr(line, " NULLS NOT DISTINCT") != NULL)
            line = scratch_printf("%.*s;", (int)(strstr(line, " NULLS NOT") - line), line);
        plain = scratch_printf("%s%s\n", plain, line);
    }
    return scratch_write(old ? "old_schema.sql" : "plain_schema.sql", plain);
}

static const char roles[] = "CREATE ROLE rich_owner; CREATE ROLE rich_reader;"
                            " CREATE ROLE \"rich Üser\"; GRANT rich_reader TO rich_owner";

/* The schema from a server of one major to one of another; false when one is not installed. */
static bool
move_majors(int from, int to)
{
    struct pg_test_cluster *a;
    struct pg_test_cluster *b;
    struct move move;
    PGconn *conn;

    if (!pg_test_major_present(from) || !pg_test_major_present(to)) {
        print_message("major %d or %d is not installed: skipped\n", from, to);
        return false;
    }
    pg_test_pair_new(&(struct pg_test_params){.major = from}, &(struct pg_test_params){.major = to},
                     &a, &b);
    sql_once(a, "postgres", "CREATE DATABASE plain");
    sql_file(a, "plain", plain_schema(from < 15));
    conn = sql_connect(b, "postgres");
    sql_exec(conn, roles);
    PQfinish(conn);
    sql_once(b, "postgres", "CREATE DATABASE plain");
    move_begin(&move, a, "plain", b, "plain");
    move_pre_data(&move);
    move_post_data(&move, NULL, 0, 1000);
    move_assert_no_difference(&move);
    move_end(&move);
    pg_test_cluster_stop(a);
    pg_test_cluster_stop(b);
    return true;
}

static void
test_older_to_newer_majors(void **state)
{
    (void)state;
    move_majors(13, 15);
    move_majors(14, 15);
    move_majors(13, 18);
    move_majors(15, 16);
    move_majors(15, 17);
    move_majors(15, 18);
}

static void
test_tool_too_old(void **state)
{
    struct ph_error err = {0};
    struct ph_tool tool;

    (void)state;
    assert_int_equal(ph_tool_find("pg_dump", 99, 99, &tool, &err), PH_E_VERSION);
    assert_non_null(strstr(err.message, "too old: the source is version 99"));
    assert_non_null(strstr(err.hint, "postgresql-client-99"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences_are_named),
        cmocka_unit_test(test_older_to_newer_majors),
        cmocka_unit_test(test_tool_too_old),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
