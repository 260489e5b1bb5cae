/*
 * kill -9 of pghaul at every failpoint of the sources, then the same command again: the target
 * equals the source by plain SQL, nothing that was finished is done twice, nothing is left over.
 */
/* timeout: 900 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/copy_case.h"
#include "support/hold.h"
#include "support/mixed.h"
#include "support/same.h"
#include "support/scratch.h"
#include "support/sql.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64

static struct pg_test_cluster *src;
static struct pg_test_cluster *dst;
static const char *names[NAMES_MAX];
static bool reached[NAMES_MAX];
static size_t n_names;

/*
 * Passed by a repair only, by a copy that starts tables again (it_crash_snapshot kills there), or
 * by the beginning of a stream (it_follow_begin), its commits (it_traps_stream), workers that apply
 * it (it_follow_team), its end (it_follow), tables that are added to it (it_follow_join,
 * it_follow_ddl), or lookups (it_lookup). Those of the spool have tests of their own.
 */
static const char *const elsewhere[] = {"before_repair_commit",
                                        "after_table_emptied",
                                        "after_follow_noted",
                                        "after_publication",
                                        "after_slot",
                                        "before_first_epoch_commit",
                                        "before_follow_removed",
                                        "after_follow_removed",
                                        "before_apply_commit",
                                        "after_team_noted",
                                        "before_team_met",
                                        "before_team_end",
                                        "fence_stands",
                                        "fence_cut",
                                        "after_join_noted",
                                        "after_join_published",
                                        "after_join_xid",
                                        "after_epoch_barred",
                                        "after_early_part",
                                        "early_rollback_alone",
                                        "after_table_left",
                                        "before_lookup"};

static void
read_names(void)
{
    const char *const argv[] = {PH_TEST_DIR "/../scripts/failpoints", NULL};
    struct run *run = run_start(NULL, argv);

    run_expect(run, 0);
    for (const char *at = run_out(run); *at != '\0';) {
        size_t len = strcspn(at, "\n");
        assert_true(n_names < NAMES_MAX);
        names[n_names++] = scratch_printf("%.*s", (int)len, at);
        at += len + 1;
    }
    assert_true(n_names > 10);
}

static int
start(void **state)
{
    (void)state;
    pg_test_pair_new(NULL, NULL, &src, &dst);
    mixed_new(src, "mixed");
    PGconn *conn = sql_connect(dst, "postgres");
    sql_exec(conn, "CREATE ROLE mover LOGIN; GRANT CREATE ON DATABASE postgres TO mover");
    PQfinish(conn);
    read_names();
    return 0;
}

static bool
is_elsewhere(const char *name)
{
    bool found = strncmp(name, "spool_", 6) == 0;

    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        found |= strcmp(name, elsewhere[i]) == 0;
    return found;
}

static size_t
name_index(const char *name)
{
    for (size_t i = 0; i < n_names; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    fail_msg("no failpoint %s", name);
    return 0;
}

static bool
killed_at(const struct copy_case *c, size_t name, int passage)
{
    bool killed = copy_case_killed_at(c, names[name], passage);

    reached[name] |= killed;
    return killed;
}

typedef void (*prepare_case)(struct copy_case *c);
typedef void (*check_case)(const struct copy_case *c);

/* The same for one failpoint: `passages` times, each on a target of its own. */
static void
kill_and_resume(size_t name, int passages, prepare_case prepare, check_case check)
{
    for (int n = 1; n <= passages; n++) {
        struct copy_case c;
        prepare(&c);
        if (!killed_at(&c, name, n)) {
            copy_case_drop(&c);
            return;
        }
        const char *done = copy_case_done(&c);
        printf("  %s, passage %d\n", names[name], n);
        copy_case_finish(&c, 1);
        check(&c);
        copy_case_not_repeated(&c, done);
        copy_case_drop(&c);
    }
}

/* ---- a whole database ---- */

static void
prepare_whole(struct copy_case *c)
{
    copy_case_init(c, src, "mixed", dst, "whole");
}

/* At its first passage; in long runs also at later ones, and at those that should not be passed. */
static void
test_trap_29_whole_database(void **state)
{
    bool is_long = scratch_is_long();

    (void)state;
    for (size_t i = 0; i < n_names; i++) {
        if (is_long || !is_elsewhere(names[i]))
            kill_and_resume(i, is_long ? 4 : 1, prepare_whole, copy_case_check);
    }
}

/* Killed there, and its snapshot's holder too. */
static void
test_trap_29_without_holder(void **state)
{
    struct copy_case c;

    (void)state;
    if (!scratch_is_long())
        skip();
    for (size_t i = 0; i < n_names; i++) {
        prepare_whole(&c);
        if (killed_at(&c, i, 1)) {
            printf("  %s\n", names[i]);
            copy_case_kill_holder(&c);
            copy_case_finish(&c, 1);
            same_rows(src, "mixed", dst, "whole");
            same_schema(src, "mixed", dst, "whole");
        }
        copy_case_drop(&c);
    }
}

/* A job that is killed at one point after the other, as it comes to them, before it ends. */
static void
test_killed_again_and_again(void **state)
{
    static const char *const life[] = {
        "after_holder_start",  "after_schema_dump",
        "before_schema_note",  "ddl_before_batch_commit",
        "ddl_after_batch",     "before_plan_commit",
        "after_claim",         "after_import",
        "after_source_lock",   "before_source_read",
        "before_write",        "after_copy_before_receipt",
        "before_receipt",      "before_commit",
        "after_commit",        "after_commit",
        "before_step_note",    "step_before_commit",
        "step_after_commit",   "large_objects_before_commit",
        "after_large_objects", "before_restore",
        "after_verdict",
    };
    struct copy_case c;

    (void)state;
    copy_case_init(&c, src, "mixed", dst, "again");
    for (size_t i = 0; i < sizeof life / sizeof *life; i++) {
        const char *done = copy_case_done(&c);
        if (!killed_at(&c, name_index(life[i]), 1))
            fail_msg("not killed at %s", life[i]);
        copy_case_not_repeated(&c, done);
    }
    copy_case_finish(&c, 1);
    copy_case_check(&c);
    copy_case_drop(&c);
}

/* ---- into an existing schema, by a superuser and by the owner ---- */

static const char trigger_states[] =
    "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 2";

static void
check_existing(const struct copy_case *c)
{
    static const char *const tables[] = {"public.customers", "public.orders",    "public.lines",
                                         "public.big",       "public.metrics_1", "public.audit"};

    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const char *a = same_digest(src, "mixed", tables[i]);
        const char *b = same_digest(dst, c->dst_db, tables[i]);
        if (strcmp(a, b) != 0)
            fail_msg("%s: %s instead of %s", tables[i], b, a);
    }
    assert_string_equal(sql_once(dst, c->dst_db, trigger_states),
                        sql_once(src, "mixed", trigger_states));
    same_no_sessions(src);
    same_no_sessions(dst);
}

static void
prepare_existing(struct copy_case *c, const char *owner)
{
    mixed_new_empty(dst, "existing", owner);
    sql_once(dst, "existing", "INSERT INTO public.big VALUES (1, 'old') RETURNING 1");
    copy_case_init(c, src, "mixed", dst, "existing");
    copy_case_target(
        c, scratch_printf("host=%s port=%d user=%s dbname=existing", dst->dir, dst->port, owner));
    copy_case_arg(c, "--data-only");
    copy_case_arg(c, "--truncate");
    copy_case_arg(c, "--yes");
}

static void
prepare_superuser(struct copy_case *c)
{
    prepare_existing(c, "postgres");
}

static void
prepare_owner(struct copy_case *c)
{
    prepare_existing(c, "mover");
    copy_case_arg(c, "--no-owner"); /* of large objects */
}

static const char *const existing_points[] = {
    "after_set_aside",       "before_prepare_commit", "before_truncate_commit",
    "after_truncate_commit", "before_plan_commit",    "after_claim",
    "after_commit",          "before_restore",
};

static void
test_existing_schema_by_superuser(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof existing_points / sizeof *existing_points; i++)
        kill_and_resume(name_index(existing_points[i]), 1, prepare_superuser, check_existing);
}

/* For every change at three of them. */
static void
test_trap_81_existing_schema_by_owner(void **state)
{
    (void)state;
    for (size_t i = 1; i < sizeof existing_points / sizeof *existing_points;
         i += scratch_is_long() ? 1 : 3)
        kill_and_resume(name_index(existing_points[i]), 1, prepare_owner, check_existing);
}

/* A killed run leaves triggers disabled; `clean` knows their former state. */
static void
test_trap_81_clean_restores(void **state)
{
    struct copy_case c;

    (void)state;
    prepare_owner(&c);
    assert_true(killed_at(&c, name_index("after_commit"), 1));
    assert_string_not_equal(sql_once(dst, c.dst_db, trigger_states),
                            sql_once(src, "mixed", trigger_states));
    run_expect(copy_case_verb(&c, "clean", "--yes"), 0);
    assert_string_equal(sql_once(dst, c.dst_db, trigger_states),
                        sql_once(src, "mixed", trigger_states));
    same_no_sessions(src);
    copy_case_drop(&c);
}

static void
test_trap_81_stop_restores(void **state)
{
    struct copy_case c;

    (void)state;
    prepare_owner(&c);
    struct run *run = copy_case_start_env(&c, hold_at("after_claim"));
    hold_wait(run);
    assert_string_not_equal(sql_once(dst, c.dst_db, "SELECT count(*) FROM pghaul.set_aside"), "0");
    run_signal(run, SIGTERM);
    hold_release();
    run_expect(run, 5);
    assert_string_equal(sql_once(dst, c.dst_db, trigger_states),
                        sql_once(src, "mixed", trigger_states));
    copy_case_finish(&c, 1);
    check_existing(&c);
    copy_case_drop(&c);
}

/* ---- every failpoint was passed by one of the above ---- */

static void
test_all_were_reached(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_names; i++) {
        if (!reached[i] && !is_elsewhere(names[i]))
            fail_msg("no run was killed at %s", names[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_81_clean_restores),
        cmocka_unit_test(test_trap_81_stop_restores),
        cmocka_unit_test(test_existing_schema_by_superuser),
        cmocka_unit_test(test_trap_81_existing_schema_by_owner),
        cmocka_unit_test(test_trap_29_whole_database),
        cmocka_unit_test(test_trap_29_without_holder),
        cmocka_unit_test(test_killed_again_and_again),
        cmocka_unit_test(test_all_were_reached),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, start, NULL);
}
