/* A rich schema moved from one server to another comes out as the same text of pg_dump. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "pg/archive.h"
#include "pg/ddl.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

#define CHECK(expr) check((expr), &err, #expr)

static void
check(ph_code code, const struct ph_error *err, const char *what)
{
    char text[3000];

    if (code == PH_OK)
        return;
    ph_error_format(err, text, sizeof text);
    fail_msg("%s: %s", what, text);
}

static int
setup(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    sql_once(src, "postgres", "CREATE DATABASE rich");
    sql_file(src, "rich", PH_TEST_DIR "/integration/data/rich_schema.sql");
    sql_once(dst, "postgres",
             "CREATE ROLE rich_owner; CREATE ROLE rich_reader; CREATE ROLE \"rich Üser\"");
    sql_once(dst, "postgres", "CREATE DATABASE rich");
    return 0;
}

struct move {
    struct ph_endpoint source;
    struct ph_endpoint target;
    struct ph_archive_params params;
    struct ph_archive archive;
    struct ph_conn *conn;
    uint32_t done;
    int warnings;
};

static ph_code
on_batch(void *arg, struct ph_conn *conn, uint32_t entries_done, struct ph_error *err)
{
    (void)conn;
    (void)err;
    ((struct move *)arg)->done = entries_done;
    return PH_OK;
}

static void
on_warning(void *arg, const struct ph_error *warning)
{
    (void)warning;
    ((struct move *)arg)->warnings++;
}

static void
move_begin(struct move *move, const char *from, const char *to)
{
    struct ph_error err = {0};

    *move = (struct move){.done = 0};
    CHECK(ph_endpoint_init(&move->source, PH_SOURCE, pg_test_conninfo(src, from), "t", &err));
    CHECK(ph_endpoint_init(&move->target, PH_TARGET, pg_test_conninfo(dst, to), "t", &err));
    move->params = (struct ph_archive_params){
        .source = &move->source,
        .source_version = 150000,
        .target_version = 150000,
        .path = scratch_printf("%s/%s.archive", scratch_dir(), to),
        .leave_out = "pghaul",
    };
    CHECK(ph_archive_dump(&move->params, &err));
    CHECK(ph_archive_open(&move->params, &move->archive, &err));
    CHECK(ph_conn_open(&move->target, "schema", &move->conn, &err));
}

static void
move_end(struct move *move)
{
    ph_conn_free(move->conn);
    ph_archive_reset(&move->archive);
    ph_endpoint_reset(&move->source);
    ph_endpoint_reset(&move->target);
}

static void
pre_data(struct move *move)
{
    struct ph_error err = {0};
    struct ph_ddl_hooks hooks = {move, on_batch, on_warning};

    CHECK(ph_ddl_pre_data(move->conn, &move->archive, 0, &hooks, &err));
    assert_int_equal(move->done, move->archive.n_entries);
    assert_int_equal(move->warnings, 0);
}

static const char *
dump_file(const struct pg_test_cluster *cluster, const char *dbname, const char *option)
{
    struct run *run = run_start_copy(
        NULL, (const char *const[]){"pg_dump", "--schema-only", "--no-publications",
                                    "--no-subscriptions", "--restrict-key=x", "-N", "pghaul",
                                    option, "-d", pg_test_conninfo(cluster, dbname), NULL});

    run_expect(run, 0);
    return run->out_path;
}

static void
assert_same_dump(const char *from, const char *to, const char *option)
{
    const char *a = dump_file(src, from, option);
    const char *b = dump_file(dst, to, option);

    run_expect(run_start_copy(NULL, (const char *const[]){"diff", "-u", a, b, NULL}), 0);
}

static void
test_pre_data_is_the_same(void **state)
{
    struct move move;
    (void)state;
    move_begin(&move, "rich", "rich");
    pre_data(&move);
    (void)assert_same_dump;
    move_end(&move);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pre_data_is_the_same),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
