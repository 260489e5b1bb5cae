#include "job/verify.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/stop.h"
#include "job/leak_scan.h"
#include "job/retry.h"
#include "job/verify_live.h"
#include "job/verify_parts.h"
#include "pg/catalog.h"
#include "pg/snapshot.h"

#define ARENA_LIMIT ((size_t)1 << 30)

static uint32_t
choose_jobs(const struct ph_options *options)
{
    return options->jobs != 0 ? options->jobs : ph_options_processors();
}

/* ---- both servers ---- */

ph_code
ph_verify_new_snapshot(struct ph_verify *verify, enum ph_side side, struct ph_error *err)
{
    struct ph_epoch *epoch = &verify->epochs[side];

    if (epoch->number++ > 0)
        PH_TRY(ph_conn_exec(verify->conns[side], "COMMIT", err));
    return ph_snapshot_export(verify->conns[side], epoch->snapshot_id, err);
}

static ph_code
open_side(struct ph_verify *verify, enum ph_side side, struct ph_error *err)
{
    struct ph_conn *conn;

    PH_TRY(ph_conn_open(&verify->endpoints[side], "snapshot", &verify->conns[side], err));
    conn = verify->conns[side];
    PH_TRY(ph_verify_new_snapshot(verify, side, err));
    PH_TRY(ph_catalog_read(conn, &verify->catalogs[side], err));
    return ph_catalog_read_sequences(conn, &verify->catalogs[side], err);
}

static ph_code
init_endpoints(struct ph_verify *verify, struct ph_error *err)
{
    const struct ph_options *options = verify->options;

    PH_TRY(ph_endpoint_init(&verify->endpoints[PH_SOURCE], PH_SOURCE, options->source,
                            options->name, err));
    PH_TRY(ph_endpoint_init(&verify->endpoints[PH_TARGET], PH_TARGET, options->target,
                            options->name, err));
    ph_report_set_job(verify->report, options->name, verify->endpoints[PH_SOURCE].label,
                      verify->endpoints[PH_TARGET].label);
    return PH_OK;
}

/* The snapshots and all that was seen under them. */
static void
close_both(struct ph_verify *verify)
{
    ph_verify_live_end(verify);
    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++) {
        ph_conn_free(verify->conns[side]);
        verify->conns[side] = NULL;
        verify->epochs[side] = (struct ph_epoch){0};
        ph_catalog_reset(&verify->catalogs[side]);
    }
    for (uint32_t i = 0; i < verify->n_groups; i++)
        ph_bucket_mask_free(&verify->groups[i].mask);
    verify->n_groups = 0;
    ph_rules_free(&verify->rules);
    ph_arena_reset(&verify->arena);
}

static void
reset_endpoints(struct ph_verify *verify)
{
    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++) {
        if (verify->endpoints[side].conninfo != NULL)
            ph_endpoint_reset(&verify->endpoints[side]);
    }
}

static void
add_phase(struct ph_verify *verify, const char *name, uint64_t *start_ns)
{
    ph_report_add_phase(verify->report, name, ph_clock_seconds_since(*start_ns));
    *start_ns = ph_clock_ns();
}

/* ---- rows ---- */

/*
 * A transaction for each group, so that locks do not pile up. Connections of their own: a scan that
 * breaks off must not cost the snapshots.
 */
static ph_code
begin_reading(struct ph_verify *verify, struct ph_error *err)
{
    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++) {
        struct ph_conn **reader = &verify->readers[side];
        if (*reader != NULL)
            PH_TRY(ph_conn_exec(*reader, "COMMIT", err));
        else
            PH_TRY(ph_conn_open(&verify->endpoints[side], "compare", reader, err));
        PH_TRY(ph_snapshot_import(*reader, verify->epochs[side].snapshot_id, err));
    }
    return PH_OK;
}

void
ph_verify_end_reading(struct ph_verify *verify)
{
    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++) {
        ph_conn_free(verify->readers[side]);
        verify->readers[side] = NULL;
    }
}

bool
ph_verify_mends(const struct ph_options *options)
{
    return options->repair && !options->dry_run && options->verify == PH_VERIFY_DIGEST;
}

static ph_code
descend(struct ph_verify *verify, const struct ph_verify_group *group, struct ph_error *err)
{
    uint64_t n;

    PH_TRY(begin_reading(verify, err));
    struct ph_verify_descent descent = {
        .options = verify->options,
        .report = verify->report,
        .params = {.tables = group->tables,
                   .n_tables = group->n_tables,
                   .source = verify->readers[PH_SOURCE],
                   .target = verify->readers[PH_TARGET],
                   .mask = &group->mask,
                   .range = group->range.kind == PH_CHUNK_KEY ? &group->range : NULL},
        .label = group->label,
        .severity = ph_verify_mends(verify->options) ? PH_FINDING_NOTE : PH_FINDING_ERROR,
    };
    PH_TRY(ph_verify_descend(&descent, &n, err));
    if (n == 0)
        return PH_FAIL(err, PH_E_INTERNAL, "digests of %s differ, but no row does", group->label);
    return PH_OK;
}

ph_code
ph_verify_show_differences(struct ph_verify *verify, const struct ph_verify_group *group,
                           struct ph_error *err)
{
    if (verify->options->verify != PH_VERIFY_COUNT)
        return descend(verify, group, err);
    ph_report_add_finding(verify->report, PH_FINDING_ERROR, "rows", group->label,
                          "%llu rows on the source, %llu on the target",
                          (unsigned long long)group->totals[PH_SOURCE].rows,
                          (unsigned long long)group->totals[PH_TARGET].rows);
    return PH_OK;
}

static void
report_group(struct ph_verify *verify, const struct ph_verify_group *group)
{
    struct ph_report_table *row = ph_report_add_table(verify->report, group->label);
    bool is_counted = verify->options->verify == PH_VERIFY_COUNT;

    if (!group->compared)
        return;
    row->rows_source = group->totals[PH_SOURCE].rows;
    row->rows_target = group->totals[PH_TARGET].rows;
    row->bytes = group->totals[PH_SOURCE].bytes;
    row->has_source_digest = row->has_target_digest = !is_counted;
    row->source_digest = group->totals[PH_SOURCE];
    row->target_digest = group->totals[PH_TARGET];
    row->seconds = group->seconds;
    row->verdict = group->differs ? PH_TABLE_DIFFERENT
                   : is_counted   ? PH_TABLE_COUNTED
                                  : PH_TABLE_EQUAL;
}

static ph_code
show_all_differences(struct ph_verify *verify, bool *any, struct ph_error *err)
{
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        if (!verify->groups[i].differs)
            continue;
        *any = true;
        PH_TRY(ph_stop_check(err));
        PH_TRY(ph_verify_show_differences(verify, &verify->groups[i], err));
    }
    return PH_OK;
}

static ph_code
read_and_descend(struct ph_verify *verify, struct ph_error *err)
{
    bool any = false;

    PH_TRY(ph_verify_read(verify, verify->groups, verify->n_groups, err));
    ph_code rc = show_all_differences(verify, &any, err);
    ph_verify_end_reading(verify);
    if (rc == PH_OK && any && ph_verify_mends(verify->options))
        rc = ph_verify_repair(verify, err);
    return rc;
}

static ph_code
compare_rows(struct ph_verify *verify, struct ph_error *err)
{
    if (verify->options->verify == PH_VERIFY_NONE || verify->options->schema_only)
        return PH_OK;
    ph_code rc =
        verify->live != NULL ? ph_verify_live_rows(verify, err) : read_and_descend(verify, err);
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        report_group(verify, &verify->groups[i]);
        verify->different += verify->groups[i].differs;
    }
    return rc;
}

/* ---- what is not rows ---- */

/* Between fences there is no transaction; what is not rows is short to read. */
static ph_code
begin_schema(struct ph_verify *verify, struct ph_error *err)
{
    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++)
        PH_TRY(ph_conn_exec(verify->conns[side], "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                            err));
    return PH_OK;
}

static ph_code
compare_rest(struct ph_verify *verify, struct ph_error *err)
{
    uint32_t n = 0;
    struct ph_verify_rest_params params = {
        .options = verify->options,
        .source = verify->conns[PH_SOURCE],
        .target = verify->conns[PH_TARGET],
        .source_catalog = &verify->catalogs[PH_SOURCE],
        .target_catalog = &verify->catalogs[PH_TARGET],
        .selection = &verify->selection,
        .ruleset = verify->rules.set,
        .report = verify->report,
        .follows = verify->live != NULL,
    };

    PH_TRY(ph_stop_check(err));
    ph_code rc = verify->options->schema_only ? PH_OK : ph_verify_rest(&params, &n, err);
    verify->different += n;
    if (rc != PH_OK || verify->options->data_only)
        return rc;
    if (verify->live != NULL)
        PH_TRY(begin_schema(verify, err));
    rc = ph_verify_schema(&params, &n, err);
    verify->different += n;
    return rc;
}

/* ---- stopping ---- */

static void
stop_all(struct ph_verify *verify)
{
    pthread_mutex_lock(&verify->watch_lock);
    if (verify->budget != NULL)
        ph_budget_stop(verify->budget);
    pthread_mutex_unlock(&verify->watch_lock);
    ph_endpoint_cancel_all(&verify->endpoints[PH_SOURCE]);
    ph_endpoint_cancel_all(&verify->endpoints[PH_TARGET]);
}

static void *
run_watcher(void *arg)
{
    struct ph_verify *verify = arg;
    struct pollfd fds[2] = {{.fd = verify->over_fd, .events = POLLIN},
                            {.fd = ph_stop_fd(), .events = POLLIN}};

    while (poll(fds, 2, -1) < 0)
        continue;
    if (ph_stop_requested())
        stop_all(verify);
    return NULL;
}

static void
watch_begin(struct ph_verify *verify)
{
    verify->over_fd = eventfd(0, EFD_CLOEXEC);
    verify->watching =
        verify->over_fd >= 0 && pthread_create(&verify->watcher, NULL, run_watcher, verify) == 0;
}

static void
watch_end(struct ph_verify *verify)
{
    uint64_t one = 1;

    if (verify->watching && write(verify->over_fd, &one, sizeof one) == (ssize_t)sizeof one)
        pthread_join(verify->watcher, NULL);
    if (verify->over_fd >= 0)
        close(verify->over_fd);
}

/* ---- all of it ---- */

/* A new attempt has new snapshots: what was compared under the old ones does not count. */
static void
start_over(struct ph_verify *verify)
{
    close_both(verify);
    verify->selection = (struct ph_selection){0};
    verify->plan = (struct ph_plan){0};
    verify->groups = NULL;
    verify->different = 0;
    verify->leaks = 0;
    verify->past = (struct ph_verify_past){0};
    ph_report_start_over(verify->report, ph_verify_mends(verify->options) ? "repair" : NULL);
}

static ph_code
attempt(void *arg, enum ph_try which, struct ph_error *err)
{
    struct ph_verify *verify = arg;
    uint64_t start = ph_clock_ns();

    if (which == PH_TRY_AGAIN)
        start_over(verify);
    PH_TRY(open_side(verify, PH_SOURCE, err));
    PH_TRY(open_side(verify, PH_TARGET, err));
    verify->began = true;
    PH_TRY(ph_verify_live_begin(verify, err));
    PH_TRY(ph_verify_plan(verify, err));
    PH_TRY(ph_leak_check(verify, err));
    add_phase(verify, "catalog", &start);
    PH_TRY(compare_rows(verify, err));
    add_phase(verify, "rows", &start);
    PH_TRY(compare_rest(verify, err));
    add_phase(verify, "rest", &start);
    if (!verify->options->leak_scan)
        return PH_OK;
    PH_TRY(ph_leak_scan(verify, err));
    add_phase(verify, "leak scan", &start);
    return PH_OK;
}

/* Servers that were never there are not waited for. */
static bool
may_help(const void *arg, const struct ph_error *err)
{
    const struct ph_verify *verify = arg;

    return verify->began && (err->code == PH_E_SNAPSHOT_LOST || err->code == PH_E_TABLE_CHANGED ||
                             ph_error_is_retryable(err));
}

static const char *
what_differs(const struct ph_verify *verify)
{
    return verify->different == 1 ? "table or object differs" : "tables or objects differ";
}

static ph_code
conclude_leaks(struct ph_verify *verify, struct ph_error *err)
{
    char besides[80] = "";

    if (verify->different > 0)
        snprintf(besides, sizeof besides, "; besides, %u %s", verify->different,
                 what_differs(verify));
    ph_report_end(verify->report, PH_VERDICT_DIFFERENT, "different: %u leak%s, %u other finding%s",
                  verify->leaks, verify->leaks == 1 ? "" : "s", verify->different,
                  verify->different == 1 ? "" : "s");
    return PH_FAIL(err, PH_E_LEAK, "source values of masked columns are on the target: %u leak%s%s",
                   verify->leaks, verify->leaks == 1 ? "" : "s", besides);
}

static ph_code
conclude(struct ph_verify *verify, struct ph_error *err)
{
    const char *what = verify->options->verify == PH_VERIFY_DIGEST  ? "proven"
                       : verify->options->verify == PH_VERIFY_COUNT ? "rows counted"
                                                                    : "rows not compared";

    if (verify->leaks > 0)
        return conclude_leaks(verify, err);
    if (verify->different > 0) {
        ph_report_end(verify->report, PH_VERDICT_DIFFERENT, "different: %u finding%s",
                      verify->different, verify->different == 1 ? "" : "s");
        return PH_FAIL(err, PH_E_DIFFERENT, "%u %s", verify->different, what_differs(verify));
    }
    ph_report_end(
        verify->report,
        verify->options->verify == PH_VERIFY_DIGEST ? PH_VERDICT_PROVEN : PH_VERDICT_NOT_PROVEN,
        "%s: source and target agree%s%s", what,
        verify->live != NULL ? ", each part at a point of its own while the job follows" : "",
        verify->options->leak_scan ? ", and no leak was found" : "");
    return PH_OK;
}

ph_code
ph_job_verify(struct ph_run *run, struct ph_error *err)
{
    struct ph_verify verify = {
        .run = run,
        .options = run->options,
        .report = &run->report,
        .jobs = choose_jobs(run->options),
        .started_ns = ph_clock_ns(),
    };

    struct ph_retry retry = {.attempt = attempt, .may_help = may_help, .arg = &verify};

    ph_arena_init(&verify.arena, ARENA_LIMIT);
    pthread_mutex_init(&verify.watch_lock, NULL);
    ph_code rc = init_endpoints(&verify, err);
    if (rc == PH_OK) {
        watch_begin(&verify);
        rc = ph_retry_run(&retry, err);
        watch_end(&verify);
    }
    if (rc == PH_OK)
        rc = conclude(&verify, err);
    else
        ph_report_end(verify.report, rc == PH_E_STOPPED ? PH_VERDICT_STOPPED : PH_VERDICT_FAILED,
                      "%s", err->message);
    close_both(&verify);
    reset_endpoints(&verify);
    pthread_mutex_destroy(&verify.watch_lock);
    return rc;
}
