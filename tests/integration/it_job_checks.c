/*
 * The job file's checks of the target: what is counted under which snapshot, and what of it is
 * asked again at the end of a stream.
 */
/* timeout: 300 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/copy_case.h"
#include "support/pair.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new(NULL);
    return 0;
}

/* ---- as many rows ---- */

/* Rows that a rule leaves out are missed, whatever the proof says of those that went. */
static void
test_other_count_is_a_difference(void **state)
{
    struct pair_db db = pair_db_new(&pair, "other_count");
    const char *job = pair_job_file(&db, "tables:\n"
                                         "  t: {where: \"id > 1\", into: [t, u]}\n"
                                         "checks:\n"
                                         "  - same_count: {table: t, as: [t, u]}\n"
                                         "  - same_count: {table: other, as: [other]}\n");

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                   "CREATE TABLE other (id int PRIMARY KEY)");
    sql_exec(db.source, "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g;"
                        "INSERT INTO other VALUES (1)");
    sql_exec(db.target, "CREATE TABLE u (LIKE t INCLUDING ALL)");
    struct run *run = pair_copy(&db, job, "--data-only");
    pair_expect(run, 4, "error: check same_count public.t: 10 rows on the source, 9 in public.t");
    pair_expect(run, 4, "error: check same_count public.t: 10 rows on the source, 9 in public.u");
    pair_expect(run, 4,
                "note: check same_count public.other: 1 rows on the source, 1 in public.other");
    pair_expect(pair_copy(&db, job, "--data-only"), 4, "10 rows on the source, 9 in public.u");
    pair_db_end(&db);
}

/* Under the snapshot that the copy took, whatever is written meanwhile. */
static void
test_count_is_of_the_snapshot(void **state)
{
    struct pair_db db = pair_db_new(&pair, "same_snapshot");
    const char *job = pair_job_file(&db, "tables: {t: {columns: {v: {do: [upper]}}}}\n"
                                         "checks: [{same_count: {table: t, as: [t]}}]\n");
    static const char *const killed[] = {"PGHAUL_FAILPOINT=before_restore=kill@1", NULL};

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text)");
    sql_exec(db.source, "INSERT INTO t SELECT g, 'v' FROM generate_series(1, 10) g");
    db.env = killed;
    assert_int_equal(pair_copy(&db, job, "--data-only")->code, -SIGKILL);
    sql_exec(db.source, "DELETE FROM t WHERE id < 5");
    db.env = NULL;
    pair_expect(pair_copy(&db, job, "--data-only"), 0, "10 rows on the source, 10 in public.t\n");
    pair_db_end(&db);
}

/* Its snapshot is gone: tables that were finished are not measured by what the source has now. */
static void
test_count_of_several_snapshots(void **state)
{
    struct pair_db db = pair_db_new(&pair, "snapshots");
    const char *job = pair_job_file(&db, "tables: {t: {columns: {v: {do: [upper]}}}}\n"
                                         "checks:\n"
                                         "  - same_count: {table: t, as: [t]}\n"
                                         "  - same_count: {table: later, as: [later]}\n");
    static const char *const killed[] = {"PGHAUL_FAILPOINT=after_commit=kill@1", NULL};

    (void)state;
    pair_both(&db, "CREATE TABLE t (id int PRIMARY KEY, v text);"
                   "CREATE TABLE later (id int PRIMARY KEY, v text)");
    sql_exec(db.source, "INSERT INTO t SELECT g, repeat('v', 300) FROM generate_series(1, 40000) g;"
                        "INSERT INTO later VALUES (1, 'a'); ANALYZE");
    db.env = killed;
    assert_int_equal(pair_copy(&db, job, "--data-only", "--jobs", "1")->code, -SIGKILL);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM t"), 40000);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM later"), 0);
    copy_case_kill_holder(&(struct copy_case){
        .src = pair.src, .src_db = db.name, .dst = pair.dst, .dst_db = db.name, .dir = db.dir});
    sql_exec(db.source, "DELETE FROM t WHERE id < 5; INSERT INTO later VALUES (2, 'b')");
    db.env = NULL;
    struct run *run = pair_copy(&db, job, "--data-only", "--jobs", "1");
    pair_expect(run, 0, "warning: check same_count public.t: not counted");
    pair_expect(run, 0, "check same_count public.later: 2 rows on the source, 2 in public.later");
    pair_db_end(&db);
}

/* ---- with a stream ---- */

#define STREAM_CHECKS                                                                              \
    "tables: {posts: {columns: {state: {do: [upper]}}}}\n"                                         \
    "checks:\n"                                                                                    \
    "  - matrix: {table: posts, columns: [state]}\n"                                               \
    "  - orphans: {table: posts, columns: [author], references: authors, key: [id], fail: true}\n" \
    "  - unique: {table: posts, columns: [slug]}\n"                                                \
    "  - same_count: {table: posts, as: [posts]}\n"

static const char stream_schema[] =
    "CREATE TABLE authors (id int PRIMARY KEY);"
    "CREATE TABLE posts (id int PRIMARY KEY, author int, slug text, state text)";

static void
lacks(const struct run *run, const char *part)
{
    if (strstr(run_out(run), part) != NULL)
        fail_msg("has \"%s\":\n%s", part, run_out(run));
}

/* What the copy found wrong may be right by then. */
static void
test_stream_mends(void **state)
{
    struct pair_db db = pair_db_new(&pair, "mends");
    const char *job = pair_job_file(&db, STREAM_CHECKS);

    (void)state;
    pair_both(&db, stream_schema);
    sql_exec(db.source, "INSERT INTO authors VALUES (1);"
                        "INSERT INTO posts VALUES (1, 1, 'a', 'new'), (2, 7, 'a', 'new')");
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    assert_int_equal(sql_int(db.target, "SELECT count(*) FROM pghaul.finding WHERE finding LIKE"
                                        " '%(author=7) 1 times' AND severity = 'warning'"),
                     1);
    sql_exec(db.source, "INSERT INTO authors VALUES (7); UPDATE posts SET slug = 'b' WHERE id = 2;"
                        "INSERT INTO posts VALUES (3, NULL, 'c', 'old')");
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    pair_expect(run, 0, "no orphans");
    for (int again = 0; again < 2; again++) {
        pair_expect(run, 0, "no value occurs twice");
        pair_expect(run, 0, "state=NEW: 2 rows");
        pair_expect(run, 0, "state=OLD: 1 rows");
        pair_expect(run, 0,
                    "2 rows on the source, 2 in public.posts, in the copy's snapshot, before the "
                    "stream");
        lacks(run, "author=7");
        run = pair_follow(&db, job, "--data-only"); /* told once more, from the ledger */
        run_wait(run, RUN_DEADLINE_MS);
    }
    pair_db_end(&db);
}

/* And what was right may be wrong; a run that was killed at its end says it too. */
static void
test_stream_breaks(void **state)
{
    struct pair_db db = pair_db_new(&pair, "breaks");
    const char *job = pair_job_file(&db, STREAM_CHECKS);
    static const char *const killed[] = {"PGHAUL_FAILPOINT=before_follow_removed=kill@1", NULL};

    (void)state;
    pair_both(&db, stream_schema);
    sql_exec(db.source, "INSERT INTO authors VALUES (1);"
                        "INSERT INTO posts VALUES (1, 1, 'a', 'new')");
    db.env = killed;
    struct run *run = pair_follow(&db, job, "--data-only");
    pair_wait_following(&db, run);
    sql_exec(db.source, "INSERT INTO posts VALUES (2, 8, 'b', 'new'), (3, 8, 'c', 'old')");
    pair_expect(pair_stop(&db, "now"), 0, "told to end");
    assert_int_equal(run_wait(run, RUN_DEADLINE_MS), -SIGKILL);
    db.env = NULL;
    run = pair_follow(&db, job, "--data-only");
    run_wait(run, RUN_DEADLINE_MS);
    pair_expect(run, 4, "1 values are orphans in 2 rows: (author=8) 2 times");
    pair_expect(run, 4, "state=NEW: 2 rows");
    lacks(run, "state=NEW: 1 rows");
    pair_db_end(&db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_count_is_a_difference),
        cmocka_unit_test(test_count_is_of_the_snapshot),
        cmocka_unit_test(test_count_of_several_snapshots),
        cmocka_unit_test(test_stream_mends),
        cmocka_unit_test(test_stream_breaks),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
