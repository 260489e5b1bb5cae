/*
 * The five migrations of tests/scenarios, each as its job files say: run through; killed and given
 * again at one failpoint after the other; killed at any moment; and, where the job follows, all of
 * that while the application writes. What arrives is judged by plain SQL.
 */
/* timeout: 1800 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/scenario.h"
#include "support/scratch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The jobs called "follow" are what is left without these. */
static const char *const messages_no_stream[] = {
    "public.content_inbox_message_refs: --follow cannot be exact: `merge` looks at another table",
    NULL};
static const char *const posts_no_stream[] = {
    "ALTER TABLE public.posts REPLICA IDENTITY FULL",
    "public.instagram_scraper_profiles: --follow cannot be exact: `dedup`", NULL};

static const struct scenario scenarios[] = {
    {.folder = "content_consolidation",
     .job = "offline",
     .target = "target",
     .no_stream = messages_no_stream},
    {.folder = "content_consolidation", .job = "follow", .target = "target", .follows = true},
    {.folder = "campaign_phases", .job = "offline", .target = "target"},
    {.folder = "campaign_phases",
     .job = "offline",
     .target = "target",
     .spoil = "unknown",
     .code = 1,
     .says = "unheard-of"},
    {.folder = "campaign_phases",
     .job = "quarantine",
     .target = "target",
     .spoil = "unknown",
     .code = 4,
     .says = "quarantine"},
    {.folder = "campaign_phases", .job = "follow", .target = "target", .follows = true},
    {.folder = "domainflow_consolidation",
     .job = "offline",
     .target = "target",
     .one_database = true},
    {.folder = "domainflow_consolidation",
     .job = "offline",
     .target = "target",
     .spoil = "orphans",
     .code = 3,
     .says = "orphans",
     .one_database = true},
    {.folder = "domainflow_consolidation",
     .job = "follow",
     .target = "target",
     .follows = true,
     .one_database = true},
    {.folder = "posts_normalization",
     .job = "offline",
     .target = "target",
     .no_stream = posts_no_stream},
    {.folder = "posts_normalization",
     .job = "follow",
     .target = "target",
     .spoil = "full",
     .follows = true},
    {.folder = "customer_data_platform", .job = "dev_to_staging"},
    {.folder = "customer_data_platform", .job = "dev_to_staging", .by_owner = true},
    {.folder = "customer_data_platform",
     .job = "staging_to_production_keys",
     .target = "production_keys",
     .consents = true},
    {.folder = "customer_data_platform",
     .job = "staging_to_production_keys",
     .target = "production_keys",
     .consents = true,
     .by_owner = true},
    {.folder = "customer_data_platform", .job = "staging_to_production", .target = "production"},
    {.folder = "customer_data_platform",
     .job = "staging_to_production",
     .target = "production",
     .by_owner = true},
    {.folder = "customer_data_platform", .job = "production_to_production", .follows = true},
    {.folder = "customer_data_platform",
     .job = "production_to_production",
     .follows = true,
     .by_owner = true},
};
#define N_SCENARIOS (sizeof scenarios / sizeof *scenarios)

static struct pair pair;

static int
start(void **state)
{
    (void)state;
    pair = pair_new("autovacuum = off\n");
    return 0;
}

static void
rest(int ms)
{
    const struct timespec span = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&span, NULL);
}

static struct scenario_case
begin(void **state, const char *how)
{
    const struct scenario *scenario = *state;
    const char *name =
        scratch_printf("%.24s_%s%d", scenario->folder, how, (int)(scenario - scenarios));

    printf("  %s, job %s\n", scenario->folder, scenario->job);
    return scenario_case_begin(&pair, scenario, name);
}

/* The run that nothing happens to, to its end; one that follows ends where the writing ended. */
static void
finish(struct scenario_case *c)
{
    struct run *run = scenario_start(c, NULL);

    if (c->scenario->follows) {
        if (!scenario_wait_following(c, run))
            run_expect(run, c->scenario->code);
        rest(1500);
        scenario_end_writing(c);
        scenario_stop(c);
    }
    scenario_expect(c, run);
    if (c->scenario->code == 0 || c->scenario->code == 4)
        scenario_check(c);
}

static void
begin_writing(struct scenario_case *c)
{
    if (c->scenario->follows)
        scenario_begin_writing(c);
}

/* ---- nothing happens ---- */

static void
runs_through(void **state)
{
    struct scenario_case c = begin(state, "plain");

    if (c.scenario->code == 0)
        scenario_look(&c);
    if (c.scenario->no_stream != NULL)
        scenario_cannot_follow(&c);
    begin_writing(&c);
    finish(&c);
    scenario_case_end(&c);
}

/* ---- killed at failpoints ---- */

static const char *const points[] = {
    /* the beginning of a stream; the others are passed by every copy */
    "after_follow_noted",
    "after_publication",
    "after_slot",
    "after_holder_start",
    "before_first_epoch_commit",
    "after_schema_dump",
    "ddl_before_batch_commit",
    "ddl_after_batch",
    "before_prepare_commit",
    "before_truncate_commit",
    "after_truncate_commit",
    "before_plan_commit",
    "spool_segment_made",
    "after_claim",
    "before_source_read",
    "before_write",
    "after_copy_before_receipt",
    "before_receipt",
    "before_commit",
    "after_commit",
    "step_before_commit",
    "step_after_commit",
    "before_restore",
    "before_verdict_commit",
    "after_verdict",
    "before_apply_commit",
};

/* The most telling ones: all that there is time for at every change. */
static bool
is_of_few(const char *point)
{
    static const char *const few[] = {"before_first_epoch_commit",
                                      "ddl_before_batch_commit",
                                      "before_prepare_commit",
                                      "before_truncate_commit",
                                      "after_truncate_commit",
                                      "spool_segment_made",
                                      "after_claim",
                                      "before_commit",
                                      "step_before_commit",
                                      "before_restore",
                                      "after_verdict",
                                      "before_apply_commit"};

    for (size_t i = 0; i < sizeof few / sizeof *few; i++) {
        if (strcmp(point, few[i]) == 0)
            return true;
    }
    return false;
}

/* Whether a job of that kind comes to a point: it has to die there. */
static bool
is_passed(const struct scenario *scenario, const char *point)
{
    static const char *const of_streams[] = {"after_follow_noted", "after_publication",
                                             "after_slot",         "before_first_epoch_commit",
                                             "spool_segment_made", "before_apply_commit"};
    static const char *const of_schemas[] = {"after_schema_dump", "ddl_before_batch_commit",
                                             "ddl_after_batch", "step_before_commit",
                                             "step_after_commit"};
    static const char *const of_emptying[] = {"before_truncate_commit", "after_truncate_commit"};
    static const char *const of_rows_only[] = {"before_prepare_commit", "before_restore"};

    for (size_t i = 0; i < sizeof of_streams / sizeof *of_streams; i++) {
        if (strcmp(point, of_streams[i]) == 0)
            return scenario->follows;
    }
    for (size_t i = 0; i < sizeof of_schemas / sizeof *of_schemas; i++) {
        if (strcmp(point, of_schemas[i]) == 0)
            return scenario->target == NULL;
    }
    for (size_t i = 0; i < sizeof of_emptying / sizeof *of_emptying; i++) {
        if (strcmp(point, of_emptying[i]) == 0)
            return scenario->consents;
    }
    for (size_t i = 0; i < sizeof of_rows_only / sizeof *of_rows_only; i++) {
        if (strcmp(point, of_rows_only[i]) == 0)
            return scenario->target != NULL;
    }
    return true;
}

/* Whether the failpoint ended it. One that applies changes has passed all but the last of them. */
static bool
was_killed(const struct scenario_case *c, struct run *run, const char *point)
{
    if (c->scenario->follows && strcmp(point, "before_apply_commit") != 0 &&
        scenario_wait_following(c, run)) {
        run_kill(run);
        return false;
    }
    if (run_wait(run, RUN_DEADLINE_MS) == -SIGKILL)
        return true;
    run_expect(run, c->scenario->code);
    return false;
}

/* A job that has passed a point it should have died at is begun again for the points behind it. */
static struct scenario_case
begin_again(void **state, struct scenario_case *c, size_t i)
{
    if (c->writers != NULL)
        scenario_end_writing(c);
    scenario_case_end(c);
    struct scenario_case next = begin(state, scratch_printf("after%zu_", i));
    begin_writing(&next);
    return next;
}

/* For every change the jobs that differ by their role alone are not killed. */
static void
skip_what_is_like_others(const struct scenario *scenario)
{
    if (scenario->by_owner && !scratch_is_long())
        skip();
}

static void
killed_again_and_again(void **state)
{
    skip_what_is_like_others(*state);
    struct scenario_case c = begin(state, "killed");
    const char *passed = "";

    begin_writing(&c);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
        if (!is_passed(c.scenario, points[i]) || (!scratch_is_long() && !is_of_few(points[i])))
            continue;
        struct run *run = scenario_start(&c, scratch_printf("%s=kill@1", points[i]));
        bool killed = was_killed(&c, run, points[i]);
        printf("    %s%s\n", points[i], killed ? "" : ": not killed");
        if (killed)
            continue;
        passed = scratch_printf("%s %s", passed, points[i]);
        c = begin_again(state, &c, i);
    }
    finish(&c);
    scenario_case_end(&c);
    if (passed[0] != '\0')
        fail_msg("not killed at%s", passed);
}

/* ---- killed at any moment ---- */

static void
killed_at_any_moment(void **state)
{
    const struct scenario *scenario = *state;

    skip_what_is_like_others(scenario);
    if (!scenario->follows && !scratch_is_long())
        skip(); /* it_crash_random does that */
    struct scenario_case c = begin(state, "moment");
    int kills = scratch_is_long() ? 8 : 3;
    unsigned ms = 150;

    begin_writing(&c);
    for (int i = 0; i < kills; i++) {
        struct run *run = scenario_start(&c, NULL);
        rest((int)ms);
        if (!run_alive(run)) {
            run_expect(run, c.scenario->code);
            break;
        }
        run_kill(run);
        ms = 100 + (ms * 7919 + 104729) % 1300;
    }
    finish(&c);
    scenario_case_end(&c);
}

int
main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } ways[] = {{"runs through", runs_through},
                {"killed again and again", killed_again_and_again},
                {"killed at any moment", killed_at_any_moment}};
    struct CMUnitTest tests[N_SCENARIOS * 3];
    size_t n = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < N_SCENARIOS; i++) {
        const struct scenario *scenario = &scenarios[i];
        for (size_t k = 0; k < (scenario->code == 0 || scenario->code == 4 ? 3 : 1); k++)
            tests[n++] = (struct CMUnitTest){
                .name = scratch_printf("%s/%s%s %s", scenario->folder, scenario->job,
                                       scenario->spoil == NULL ? "" : "+spoil", ways[k].name),
                .test_func = ways[k].run,
                .initial_state = (void *)(uintptr_t)scenario,
            };
    }
    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return _cmocka_run_group_tests("scenarios", tests, n, start, NULL);
}
