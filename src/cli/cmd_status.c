/* What the ledger says, for people or as JSON; from any host, the target is all it needs. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/human.h"
#include "base/stop.h"
#include "cli/commands.h"
#include "cli/run_job.h"
#include "job/status.h"

#define TABLES_SHOWN 30u
#define WATCH_MS 2000u
#define FRESH_S 15.0 /* a run writes its progress every two seconds */

/*
 * The live figures a run left, or NULL when there are none that still hold. That they are of a
 * moment before workers began to apply tables apart makes nothing consistent.
 */
static json_t *
live_progress(const struct ph_job_status *job)
{
    if (!job->is_running || job->progress == NULL || job->progress_age_s > FRESH_S)
        return NULL;
    json_t *live = json_loads(job->progress, 0, NULL);
    json_t *follow = json_object_get(live, "follow");
    if (follow != NULL && job->workers > 0)
        json_object_set_new(follow, "consistent", json_false());
    return live;
}

static double
live_number(const json_t *live, const char *key)
{
    return json_number_value(json_object_get(live, key));
}

struct pace { /* of this run, on average */
    double rows;
    double bytes;
    double eta_s; /* negative: not known */
};

static struct pace
pace_of(const json_t *live)
{
    struct pace pace = {.eta_s = -1};
    double elapsed = live_number(live, "elapsed_s");
    double left = live_number(live, "bytes") - live_number(live, "bytes_done");

    if (elapsed <= 0)
        return pace;
    pace.rows = (live_number(live, "rows_done") - live_number(live, "rows_before")) / elapsed;
    pace.bytes = (live_number(live, "bytes_done") - live_number(live, "bytes_before")) / elapsed;
    if (pace.bytes > 0 && left > 0)
        pace.eta_s = left / pace.bytes;
    return pace;
}

/* ---- for people ---- */

static void
print_live(const json_t *live, double age_s)
{
    struct pace pace = pace_of(live);
    const char *waiting = json_string_value(json_object_get(live, "waiting_for"));
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];

    printf("  now      %s rows/s, %s/s", ph_human_short(pace.rows, a),
           ph_human_bytes(pace.bytes > 0 ? (uint64_t)pace.bytes : 0, b));
    if (pace.eta_s >= 0)
        printf(", ETA %s", ph_human_seconds(pace.eta_s, a));
    if (waiting != NULL && waiting[0] != '\0')
        printf(", waits for %s", waiting);
    printf(" (%.0f s ago)\n", age_s);
}

/* What is behind is known of a source that is heard only. */
static void
print_source(const json_t *follow, double age_s)
{
    const json_t *heard = json_object_get(follow, "source_heard_s");
    char a[PH_HUMAN_SIZE];

    if (json_is_true(json_object_get(follow, "source_heard")))
        return;
    if (json_is_number(heard))
        printf("  source   not heard for %s: it may be further ahead than that\n",
               ph_human_seconds(json_number_value(heard) + age_s, a));
    else
        printf("  source   not heard by this run yet: it may be further ahead than that\n");
}

static void
print_follow(const json_t *follow, double age_s)
{
    const json_t *drain = json_object_get(follow, "drain_s");
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];

    printf("  follow   at %s of %s, %s behind (",
           json_string_value(json_object_get(follow, "applied")),
           json_string_value(json_object_get(follow, "source")),
           ph_human_bytes((uint64_t)live_number(follow, "lag_bytes"), a));
    if (json_is_number(json_object_get(follow, "lag_s")))
        printf("%s, ", ph_human_seconds(live_number(follow, "lag_s"), a));
    printf("%s transactions%s), %s (%.0f s ago)\n",
           ph_human_count((uint64_t)live_number(follow, "lag_transactions"), a),
           json_is_true(json_object_get(follow, "has_older")) ? " or more" : "",
           json_is_true(json_object_get(follow, "consistent")) ? "consistent"
                                                               : "not consistent yet",
           age_s);
    print_source(follow, age_s);
    printf("  rates    %s transactions/s, WAL in %s/s",
           ph_human_short(live_number(follow, "transactions_per_second"), a),
           ph_human_bytes((uint64_t)live_number(follow, "in_bytes_per_second"), b));
    printf(", applied %s/s",
           ph_human_bytes((uint64_t)live_number(follow, "out_bytes_per_second"), a));
    if (json_is_number(drain) && json_number_value(drain) > 1)
        printf(", caught up in %s", ph_human_seconds(json_number_value(drain), a));
    putchar('\n');
}

static void
print_slot(const json_t *slot)
{
    double safe = live_number(slot, "safe_wal_bytes");
    char a[PH_HUMAN_SIZE];

    printf("  slot     WAL %s, keeps %s", json_string_value(json_object_get(slot, "wal_status")),
           ph_human_bytes((uint64_t)live_number(slot, "kept_wal_bytes"), a));
    if (safe >= 0)
        printf(", given up after %s more", ph_human_bytes((uint64_t)safe, a));
    printf(", catalog xmin %" JSON_INTEGER_FORMAT " transactions old\n",
           json_integer_value(json_object_get(slot, "catalog_xmin_age")));
}

/* Also while rows are still copied. */
static void
print_stream(const json_t *follow, const struct ph_job_status *job)
{
    const json_t *slot = json_object_get(follow, "slot");
    const json_t *warnings = json_object_get(follow, "warnings");
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];
    char c[PH_HUMAN_SIZE];

    printf("  stream   %s, spool %s, %s transactions by this run, %s conflicts by all\n",
           json_string_value(json_object_get(follow, "receiver")),
           ph_human_bytes((uint64_t)live_number(follow, "spool_bytes"), a),
           ph_human_count((uint64_t)live_number(follow, "transactions"), b),
           ph_human_count(job->conflicts, c));
    if (job->sequences_s >= 0)
        printf("  also     sequences were carried over %.0f s ago\n", job->sequences_s);
    if (slot != NULL)
        print_slot(slot);
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const json_t *warning = json_array_get(warnings, i);
        printf("  warning  %s: %s; pghaul %s\n",
               json_string_value(json_object_get(warning, "guard")),
               json_string_value(json_object_get(warning, "message")),
               json_string_value(json_object_get(warning, "action")));
    }
}

static void
print_live_parts(const struct ph_job_status *job)
{
    json_t *live = live_progress(job);
    const json_t *follow = json_object_get(live, "follow");
    char a[PH_HUMAN_SIZE];

    if (job->is_running && job->progress != NULL && job->progress_age_s > FRESH_S)
        printf("  note     the run has told nothing for %s\n",
               ph_human_seconds(job->progress_age_s, a));
    if (follow != NULL && !json_is_true(json_object_get(follow, "waiting")))
        print_follow(follow, job->progress_age_s);
    else if (live != NULL)
        print_live(live, job->progress_age_s);
    if (follow != NULL)
        print_stream(follow, job);
    json_decref(live);
}

static void
print_team(const struct ph_job_status *job)
{
    if (job->workers > 0)
        printf("  team     catching up with %u workers, not consistent until they meet at %s\n",
               job->workers, job->meet);
}

static void
print_stopped_follow(const struct ph_job_status *job)
{
    char a[PH_HUMAN_SIZE];

    if (job->position[0] != '\0')
        printf("  follow   at %s, %s conflicts by all runs\n", job->position,
               ph_human_count(job->conflicts, a));
    printf("  note     its slot makes the source keep WAL until the same command goes on or "
           "`pghaul clean` removes it\n");
}

static void
print_job(const struct ph_job_status *job)
{
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];
    char c[PH_HUMAN_SIZE];
    char d[PH_HUMAN_SIZE];

    printf("job %s: %s, phase %s%s%s\n", job->name, ph_status_state(job), job->phase,
           job->verdict[0] != '\0' ? ", verdict: " : "", job->verdict);
    printf("  from     %s\n", job->source);
    printf("  started  %s UTC%s%s%s\n", job->started, job->finished[0] != '\0' ? ", finished " : "",
           job->finished, job->finished[0] != '\0' ? " UTC" : "");
    if (job->run > 0)
        printf("  run      %u, process %d on %s, since %s UTC\n", job->run, job->pid, job->host,
               job->run_started);
    if (job->tables > 0)
        printf("  rows     %u of %u tables, %u of %u chunks, %s of about %s rows, %s of about %s\n",
               job->tables_done, job->tables, job->chunks_done, job->chunks,
               ph_human_count(job->rows_done, a), ph_human_count(job->rows, b),
               ph_human_bytes(job->bytes_done, c), ph_human_bytes(job->bytes, d));
    printf("  done     %u steps after the rows, %u tables proven\n", job->steps_done,
           job->tables_verified);
    if (job->epochs > 1)
        printf("  note     %u snapshots were taken so far\n", job->epochs);
    if (job->set_aside > 0 && !job->is_running)
        printf("  note     %u triggers, rules or constraints are set aside; the next run or "
               "`pghaul clean` "
               "restores them\n",
               job->set_aside);
    if (job->end_at[0] != '\0')
        printf("  end      told to end at %s\n", job->end_at);
    if (job->follows && !job->is_running)
        print_stopped_follow(job);
    print_team(job);
    print_live_parts(job);
}

static void
print_tables(const struct ph_status *status)
{
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];
    uint32_t shown = 0;
    uint32_t hidden = 0;

    for (uint32_t i = 0; i < status->n_tables; i++) {
        const struct ph_table_status *table = &status->tables[i];
        if (table->chunks_done == table->chunks && table->verified)
            continue;
        if (shown++ >= TABLES_SHOWN) {
            hidden++;
            continue;
        }
        printf("  %-40s %u of %u chunks, %s rows, about %s%s\n", table->table, table->chunks_done,
               table->chunks, ph_human_count(table->rows_done, a), ph_human_bytes(table->bytes, b),
               table->chunks_done == table->chunks ? ", not proven yet" : "");
    }
    if (hidden > 0)
        printf("  … and %u more tables that are not finished; --json lists all\n", hidden);
}

static void
print_text(const struct ph_options *options, const struct ph_status *status)
{
    if (status->n_jobs == 0)
        printf("the %s holds no jobs\n", status->target);
    for (uint32_t i = 0; i < status->n_jobs; i++)
        print_job(&status->jobs[i]);
    if (options->name != NULL && strcmp(status->jobs[0].phase, "done") != 0)
        print_tables(status);
}

/* ---- for machines ---- */

/* From the ledger alone. Whether the target is consistent only a run knows, but when it is not. */
static json_t *
follow_value(const struct ph_job_status *job)
{
    json_t *value = json_pack("{s:s, s:I, s:s, s:f}", "position", job->position, "conflicts",
                              (json_int_t)job->conflicts, "end_at", job->end_at, "sequences_s",
                              job->sequences_s);

    if (value != NULL && job->workers > 0)
        json_object_update_new(value, json_pack("{s:b, s:i, s:s}", "consistent", 0, "workers",
                                                (int)job->workers, "meet", job->meet));
    return value;
}

static json_t *
job_value(const struct ph_job_status *job)
{
    json_t *live = live_progress(job);
    json_t *value = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:i, s:s, s:i, s:s, s:s, s:s}", "job",
        job->name, "state", ph_status_state(job), "source", job->source, "phase", job->phase,
        "verdict", job->verdict, "started", job->started, "finished", job->finished, "running",
        (int)job->is_running, "stop_asked", (int)job->stop_asked, "run", (int)job->run, "host",
        job->host, "pid", job->pid, "run_started", job->run_started, "run_ended", job->run_ended,
        "outcome", job->outcome);
    json_t *figures = json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "tables", (int)job->tables,
        "tables_done", (int)job->tables_done, "tables_verified", (int)job->tables_verified,
        "chunks", (int)job->chunks, "chunks_done", (int)job->chunks_done, "steps_done",
        (int)job->steps_done, "set_aside", (int)job->set_aside, "snapshots", (int)job->epochs,
        "rows_done", (json_int_t)job->rows_done, "rows_estimate", (json_int_t)job->rows,
        "bytes_done", (json_int_t)job->bytes_done, "bytes_estimate", (json_int_t)job->bytes);

    if (value != NULL && figures != NULL)
        json_object_update(value, figures);
    json_decref(figures);
    if (value != NULL && job->follows)
        json_object_set_new(value, "follow", follow_value(job));
    if (value != NULL && live != NULL) {
        struct pace pace = pace_of(live);
        json_object_set_new(value, "rows_per_second", json_real(pace.rows));
        json_object_set_new(value, "bytes_per_second", json_real(pace.bytes));
        json_object_set_new(value, "eta_seconds",
                            pace.eta_s >= 0 ? json_real(pace.eta_s) : json_null());
        json_object_set(value, "progress", live);
    }
    json_decref(live);
    return value;
}

static json_t *
table_value(const struct ph_table_status *table)
{
    return json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:b, s:f}", "table", table->table,
                     "chunks", (int)table->chunks, "chunks_done", (int)table->chunks_done,
                     "rows_done", (json_int_t)table->rows_done, "rows_estimate",
                     (json_int_t)table->rows, "bytes_done", (json_int_t)table->bytes_done,
                     "bytes_estimate", (json_int_t)table->bytes, "verified", (int)table->verified,
                     "seconds", table->seconds);
}

static void
print_json(const struct ph_options *options, const struct ph_status *status)
{
    json_t *root = json_object();
    json_t *jobs = json_array();

    for (uint32_t i = 0; i < status->n_jobs; i++)
        json_array_append_new(jobs, job_value(&status->jobs[i]));
    json_object_set_new(root, "target", json_string(status->target));
    json_object_set_new(root, "jobs", jobs);
    if (options->name != NULL) {
        json_t *tables = json_array();
        for (uint32_t i = 0; i < status->n_tables; i++)
            json_array_append_new(tables, table_value(&status->tables[i]));
        json_object_set_new(root, "tables", tables);
    }
    json_dumpf(root, stdout, options->watch ? JSON_COMPACT : JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

/* ---- */

static bool
is_anything_running(const struct ph_status *status)
{
    for (uint32_t i = 0; i < status->n_jobs; i++) {
        if (status->jobs[i].is_running)
            return true;
    }
    return false;
}

int
ph_cmd_status(const struct ph_options *options)
{
    bool go_on = true;

    while (go_on) {
        struct ph_status status;
        struct ph_error err;

        ph_error_reset(&err);
        if (ph_job_status(options, &status, &err) != PH_OK)
            return ph_cli_fail(&err, PH_NOTHING_WRITTEN);
        if (options->watch && !options->json && isatty(STDOUT_FILENO))
            fputs("\x1b[H\x1b[2J", stdout);
        if (options->json)
            print_json(options, &status);
        else
            print_text(options, &status);
        fflush(stdout);
        go_on = options->watch && is_anything_running(&status);
        ph_status_free(&status);
        if (go_on && ph_stop_wait_ms(WATCH_MS))
            go_on = false;
    }
    return 0;
}
