/*
 * `pghaul verify` whose connections end under it: what can go on under the same snapshots does,
 * what cannot begins again, and nothing is reported twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "support/hold.h"
#include "support/pgcluster.h"
#include "support/run.h"
#include "support/scratch.h"
#include "support/sql.h"

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;

/* `half` is split into parts. */
static const char ROWS[] =
    "CREATE TABLE item (id int PRIMARY KEY, v text); CREATE TABLE half (id int PRIMARY KEY, v "
    "text);"
    "INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 3000) i;"
    "INSERT INTO half SELECT i, repeat('h', i % 300) FROM generate_series(1, 20000) i;";

static int
setup(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    sql_once(src, "postgres", ROWS);
    sql_once(dst, "postgres", ROWS);
    return 0;
}

/* A comparison that is held at the failpoint. */
static struct run *
start(const char *failpoint, const char *option, const char *value)
{
    const char *const argv[] = {"pghaul",   "verify",
                                "--source", pg_test_conninfo(src, "postgres"),
                                "--target", pg_test_conninfo(dst, "postgres"),
                                "--dir",    scratch_dir(),
                                "--jobs",   "1",
                                "--split",  "1MB",
                                option,     value,
                                NULL};

    struct run *run = run_start_copy(hold_at(failpoint), argv);

    hold_wait(run);
    return run;
}

static void
end_sessions(struct pg_test_cluster *cluster, const char *purpose)
{
    sql_once(cluster, "postgres",
             scratch_printf("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE"
                            " application_name LIKE 'pghaul%%%s%%'",
                            purpose));
}

static unsigned
occurrences(const char *text, const char *part)
{
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        n++;
    return n;
}

static void
expect(struct run *run, int code, const char *said, const char *not_said)
{
    run_expect(run, code);
    if (strstr(run_err(run), said) == NULL || strstr(run_err(run), not_said) != NULL)
        fail_msg("%s\n%s", run_out(run), run_err(run));
}

static void
a_part_is_read_again(void **state)
{
    static const char *const how[] = {"digest", "count"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct run *run = start("after_source_lock", "--verify", how[i]);
        end_sessions(src, "verify");
        end_sessions(dst, "verify");
        hold_release();
        expect(run, 0, "this part is read again", "trying again");
    }
    struct run *run = start("before_source_read", NULL, NULL);
    end_sessions(src, "verify");
    hold_release();
    expect(run, 0, "this part is read again", "trying again");
}

static void
lost_snapshots_are_taken_again(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        struct run *run = start("after_source_lock", NULL, NULL);
        end_sessions(side == 0 ? src : dst, "");
        hold_release();
        expect(run, 0, "trying again", "PH-INTERNAL");
    }
    struct run *run = start("after_source_lock", NULL, NULL);
    pg_test_cluster_restart(src);
    hold_release();
    expect(run, 0, "trying again", "PH-INTERNAL");
}

static void
findings_are_reported_once(void **state)
{
    (void)state;
    sql_once(dst, "postgres",
             "UPDATE item SET v = 'other' WHERE id = 77; DELETE FROM half WHERE"
             " id = 5");
    struct run *run = start("after_source_lock", NULL, NULL);
    end_sessions(src, "");
    end_sessions(dst, "");
    hold_release();
    run_expect(run, 4);
    assert_int_equal(occurrences(run_out(run), "(id=77)"), 1);
    assert_int_equal(occurrences(run_out(run), "(id=5)"), 1);
}

/* What is mended stays mended, and is said; what was under way is mended by the next attempt. */
static void
repair_goes_on(void **state)
{
    (void)state;
    sql_once(dst, "postgres", "UPDATE item SET v = 'other' WHERE id = 78");
    struct run *run = start("before_repair_commit", "--repair", "--yes");
    end_sessions(dst, "");
    hold_release();
    expect(run, 0, "trying again", "PH-INTERNAL");
    assert_int_equal(occurrences(run_out(run), "mended: "), 2);
    assert_string_equal(sql_once(dst, "postgres",
                                 "SELECT md5(string_agg(i::text, '' ORDER BY id))"
                                 " FROM item i"),
                        sql_once(src, "postgres",
                                 "SELECT md5(string_agg(i::text, '' ORDER BY id))"
                                 " FROM item i"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_is_read_again),
        cmocka_unit_test(lost_snapshots_are_taken_again),
        cmocka_unit_test(findings_are_reported_once),
        cmocka_unit_test(repair_goes_on),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
