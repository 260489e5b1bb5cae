#include "job/verify_live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/stop.h"
#include "job/verify_fence.h"
#include "job/verify_range.h"
#include "pg/ledger.h"
#include "pg/ledger_follow.h"
#include "pg/slot.h"

#define MOST_WINDOW ((uint64_t)64 << 20) /* bytes of the source that are read at one fence */
#define FIRST_WINDOW ((uint64_t)16 << 20)
#define LEAST_WINDOW ((uint64_t)1 << 20)
#define WINDOW_S 0.5 /* that reading them is to take */
#define WINDOW_PIECES 64u
#define LEAST_ROWS 100u
#define USUAL_ROW 100u /* bytes, where nothing is known */
#define AGAIN 3u       /* fences at which a difference that moves about is looked at */

struct ph_verify_live {
    struct ph_verify_fence fence;
    bool is_open; /* the fence is */
    uint64_t window_bytes;
    uint32_t next_group; /* that is read next, or is being read in ranges */
    bool began_group;
    bool has_ranges;
    const char *lo; /* where its next range begins; NULL: at its first row */
    struct ph_verify_group pieces[WINDOW_PIECES]; /* of the window at hand */
    struct ph_verify_group *parents[WINDOW_PIECES];
    uint32_t n_pieces;
};

/* ---- whether there is something to follow ---- */

static ph_code
not_under_way(const char *job, struct ph_error *err)
{
    PH_FAIL(err, PH_E_NOT_READY,
            "the job follows its source, but no run is under way: the target is behind by what was "
            "not applied");
    ph_error_object(err, "job %s", job);
    ph_error_hint(
        err, "%s",
        "give the command of the copy again and verify while it runs, or end it first "
        "(`pghaul copy ... --follow --until now`); another --name compares as things are");
    return PH_E_NOT_READY;
}

static ph_code
still_copies(const char *job, struct ph_error *err)
{
    PH_FAIL(err, PH_E_NOT_READY, "the job is still copying");
    ph_error_object(err, "job %s", job);
    ph_error_hint(err, "%s", "verify when `pghaul status` says that it follows");
    return PH_E_NOT_READY;
}

/* Whether the job's stream comes from the database that is compared. */
static bool
is_from(const struct ph_verify *verify, const struct ph_ledger_follow *stream)
{
    struct ph_slot slot;
    bool found;

    return strcmp(stream->system_id, verify->catalogs[PH_SOURCE].system_id) == 0 &&
           ph_slot_read(verify->conns[PH_SOURCE], stream->slot, &slot, &found, NULL) == PH_OK &&
           found && strcmp(slot.database, verify->catalogs[PH_SOURCE].database) == 0;
}

static ph_code
find_stream(struct ph_verify *verify, struct ph_ledger_job *job, bool *follows,
            struct ph_error *err)
{
    struct ph_conn *conn = verify->conns[PH_TARGET];
    const char *name = verify->options->name;
    struct ph_ledger_follow stream;
    bool found;

    *follows = false;
    PH_TRY(ph_ledger_exists(conn, &found, err));
    if (!found)
        return PH_OK;
    PH_TRY(ph_ledger_load_job(conn, name, job, &found, err));
    if (!found)
        return PH_OK;
    PH_TRY(ph_ledger_load_follow(conn, name, &stream, &found, err));
    *follows = found && stream.made && is_from(verify, &stream);
    return PH_OK;
}

static ph_code
check_run(struct ph_verify *verify, const struct ph_ledger_job *job, bool *runs,
          struct ph_error *err)
{
    *runs = false;
    PH_TRY(ph_fence_job_runs(verify->conns[PH_TARGET], job->name, runs, err));
    if (job->phase == PH_PHASE_FOLLOW)
        return *runs ? PH_OK : not_under_way(job->name, err);
    return *runs ? still_copies(job->name, err) : PH_OK;
}

ph_code
ph_verify_live_begin(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_ledger_job job;
    bool follows;
    bool runs;

    PH_TRY(find_stream(verify, &job, &follows, err));
    if (!follows)
        return PH_OK;
    PH_TRY(check_run(verify, &job, &runs, err));
    if (!runs)
        return PH_OK;
    if (verify->catalogs[PH_SOURCE].version_num < 140000)
        return PH_FAIL(err, PH_E_UNSUPPORTED,
                       "a source before PostgreSQL 14 puts no messages into its stream: end the "
                       "job (`pghaul stop --at now`), then verify");
    if (ph_verify_mends(verify->options) && !verify->catalogs[PH_TARGET].can_set_replica_role)
        return PH_FAIL(
            err, PH_E_UNSUPPORTED,
            "without the right to set session_replication_role foreign keys act on "
            "what is mended, and may reach rows that apply changes: end the job (`pghaul "
            "stop --at now`), then verify --repair");
    verify->live = calloc(1, sizeof *verify->live);
    if (verify->live == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    verify->live->is_open = true;
    PH_TRY(ph_verify_fence_open(&verify->live->fence, verify, err));
    return ph_verify_fence_leave(&verify->live->fence, err);
}

void
ph_verify_live_end(struct ph_verify *verify)
{
    if (verify->live == NULL)
        return;
    if (verify->live->is_open)
        ph_verify_fence_close(&verify->live->fence);
    free(verify->live);
    verify->live = NULL;
}

/* ---- which tables ---- */

ph_code
ph_verify_live_narrow(struct ph_verify *verify, struct ph_error *err)
{
    static const char sql[] = "SELECT source_oid FROM pghaul.tbl WHERE job = $1";
    const struct ph_catalog *catalog = &verify->catalogs[PH_SOURCE];
    const char *params[] = {verify->options->name};
    bool *is_ours = PH_ARENA_ARRAY(&verify->arena, bool, (size_t)catalog->n_rels + 1);
    struct ph_result *r;

    if (is_ours == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(ph_conn_query(verify->live->fence.target, sql, 1, params, &r, err));
    for (int row = 0; row < ph_result_rows(r); row++) {
        const struct ph_rel *rel = ph_catalog_rel(catalog, ph_result_u32(r, row, 0));
        if (rel != NULL)
            is_ours[rel - catalog->rels] = true;
    }
    ph_result_free(r);
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        char label[160];
        if (!verify->selection.rels[i] || is_ours[i] || catalog->rels[i].kind != PH_REL_TABLE)
            continue;
        verify->selection.rels[i] = false;
        snprintf(label, sizeof label, "%s.%s", catalog->rels[i].schema, catalog->rels[i].name);
        ph_report_add_finding(verify->report, PH_FINDING_WARNING, "table", label,
                              "not compared: it is not a table of the job that follows");
    }
    return PH_OK;
}

/* ---- windows: what is read at one fence ---- */

static uint64_t
source_bytes(const struct ph_verify_group *group)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < group->n_tables; i++)
        bytes += group->tables[i]->source->bytes;
    return bytes;
}

static struct ph_verify_group *
add_piece(struct ph_verify_live *live, struct ph_verify_group *parent)
{
    live->pieces[live->n_pieces] = *parent;
    live->parents[live->n_pieces] = parent;
    return &live->pieces[live->n_pieces++];
}

static void
next_group(struct ph_verify *verify)
{
    struct ph_verify_live *live = verify->live;

    pthread_mutex_lock(&verify->watch_lock);
    verify->past.groups = ++live->next_group;
    pthread_mutex_unlock(&verify->watch_lock);
    live->began_group = false;
    live->lo = NULL;
}

/* With many lanes a window is made of several pieces. */
static uint32_t
pieces_wanted(const struct ph_verify *verify)
{
    return verify->jobs > 2 ? verify->jobs / 2 : 1;
}

static uint64_t
piece_bytes(const struct ph_verify *verify)
{
    uint64_t bytes = verify->live->window_bytes / pieces_wanted(verify);
    uint64_t split = verify->options->split_bytes;

    return split != 0 && split < bytes ? split : bytes;
}

static ph_code
begin_group(struct ph_verify *verify, struct ph_verify_group *group, struct ph_error *err)
{
    struct ph_verify_live *live = verify->live;

    live->began_group = true;
    live->has_ranges = false;
    group->started_ns = ph_clock_ns();
    live->lo = NULL;
    if (verify->options->verify == PH_VERIFY_COUNT || source_bytes(group) <= piece_bytes(verify))
        return PH_OK;
    return ph_verify_has_ranges(verify, group, live->fence.marker, &live->has_ranges, err);
}

static ph_code
add_range(struct ph_verify *verify, struct ph_verify_group *parent, struct ph_error *err)
{
    struct ph_verify_live *live = verify->live;
    double share = (double)piece_bytes(verify) / (double)source_bytes(parent);
    uint64_t all = parent->tables[0]->rows;
    uint64_t rows = all > 0 ? (uint64_t)((double)all * share) : piece_bytes(verify) / USUAL_ROW;
    const char *hi;

    PH_TRY(ph_verify_next_bound(verify, parent, live->fence.marker, live->lo,
                                rows < LEAST_ROWS ? LEAST_ROWS : rows, &hi, err));
    struct ph_verify_group *piece = add_piece(live, parent);
    piece->range = (struct ph_chunk){.kind = PH_CHUNK_KEY, .lo = live->lo, .hi = hi};
    piece->bytes = 2 * piece_bytes(verify);
    live->lo = hi;
    if (hi == NULL)
        next_group(verify);
    return PH_OK;
}

/* Nothing left: n_pieces is 0. */
static ph_code
fill_window(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_verify_live *live = verify->live;
    uint64_t bytes = 0;

    live->n_pieces = 0;
    while (live->next_group < verify->n_groups && live->n_pieces < WINDOW_PIECES) {
        struct ph_verify_group *parent = &verify->groups[live->next_group];
        if (parent->compared && !live->began_group) {
            live->next_group++;
            continue;
        }
        if (!live->began_group)
            PH_TRY(begin_group(verify, parent, err));
        bytes += live->has_ranges ? piece_bytes(verify) : source_bytes(parent);
        if (live->n_pieces > 0 && bytes > piece_bytes(verify) * pieces_wanted(verify))
            return PH_OK;
        if (live->has_ranges) {
            PH_TRY(add_range(verify, parent, err));
            continue;
        }
        add_piece(live, parent);
        next_group(verify);
    }
    return PH_OK;
}

/* So many bytes that the next window takes about as long as one is to take. */
static void
resize_window(struct ph_verify_live *live, double seconds)
{
    double bytes = (double)live->window_bytes * WINDOW_S / (seconds > 0.01 ? seconds : 0.01);

    if (bytes > 2 * (double)live->window_bytes)
        bytes = 2 * (double)live->window_bytes;
    live->window_bytes = bytes > (double)MOST_WINDOW    ? MOST_WINDOW
                         : bytes < (double)LEAST_WINDOW ? LEAST_WINDOW
                                                        : (uint64_t)bytes;
}

static void
add_total(struct ph_digest *total, const struct ph_digest *part)
{
    total->sum.lo += part->sum.lo;
    total->sum.hi += part->sum.hi + (total->sum.lo < part->sum.lo);
    total->rows += part->rows;
    total->bytes += part->bytes;
}

/* The verdict on a piece is out. */
static void
settle_piece(struct ph_verify_live *live, uint32_t i)
{
    struct ph_verify_group *piece = &live->pieces[i];
    struct ph_verify_group *parent = live->parents[i];

    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++)
        add_total(&parent->totals[side], &piece->totals[side]);
    parent->seconds = ph_clock_seconds_since(parent->started_ns);
    parent->compared = true;
    parent->differs |= piece->differs;
    ph_bucket_mask_free(&piece->mask);
}

/* Pieces that are equal are settled; the others are kept, at the front. */
static void
keep_differing(struct ph_verify_live *live)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < live->n_pieces; i++) {
        if (!live->pieces[i].differs) {
            settle_piece(live, i);
            continue;
        }
        live->pieces[n] = live->pieces[i];
        live->parents[n++] = live->parents[i];
    }
    live->n_pieces = n;
}

static void
free_pieces(struct ph_verify_live *live)
{
    for (uint32_t i = 0; i < live->n_pieces; i++)
        ph_bucket_mask_free(&live->pieces[i].mask);
    live->n_pieces = 0;
}

/* ---- differences ---- */

/* What differed before and does not now was not there; *left: buckets that differ still. */
static void
narrow_mask(struct ph_bucket_mask *mask, const struct ph_bucket_mask *before, uint32_t *left)
{
    *left = 0;
    for (uint32_t i = 0; i < mask->n_buckets; i++)
        *left += mask->states[i] != PH_BUCKET_EQUAL && before->states[i] != PH_BUCKET_EQUAL;
    if (*left == 0)
        return;
    for (uint32_t i = 0; i < mask->n_buckets; i++) {
        if (before->states[i] == PH_BUCKET_EQUAL)
            mask->states[i] = PH_BUCKET_EQUAL;
    }
    mask->n_unequal = *left;
}

/* Reads the pieces once more; `is_last`: what differs now is told in any case. */
static ph_code
look_again(struct ph_verify *verify, bool is_last, struct ph_error *err)
{
    struct ph_verify_live *live = verify->live;
    bool is_counted = verify->options->verify == PH_VERIFY_COUNT;
    struct ph_bucket_mask before[WINDOW_PIECES];
    ph_code rc;

    for (uint32_t i = 0; i < live->n_pieces; i++) {
        before[i] = live->pieces[i].mask;
        live->pieces[i].mask = (struct ph_bucket_mask){0};
        live->pieces[i].differs = live->pieces[i].compared = false;
    }
    rc = ph_verify_fence_take(&live->fence, NULL, NULL, err);
    if (rc == PH_OK)
        rc = ph_verify_read(verify, live->pieces, live->n_pieces, err);
    for (uint32_t i = 0; rc == PH_OK && i < live->n_pieces; i++) {
        struct ph_verify_group *piece = &live->pieces[i];
        uint32_t left = is_counted;
        if (!piece->differs)
            continue;
        if (!is_counted)
            narrow_mask(&piece->mask, &before[i], &left);
        if (left == 0 && !is_last)
            continue;
        rc = ph_verify_show_differences(verify, piece, err);
        if (rc == PH_OK) {
            settle_piece(live, i);
            piece->settled = true;
        }
    }
    for (uint32_t i = 0; i < live->n_pieces; i++)
        ph_bucket_mask_free(&before[i]);
    ph_verify_end_reading(verify);
    return rc;
}

static void
drop_settled(struct ph_verify_live *live)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < live->n_pieces; i++) {
        if (live->pieces[i].settled)
            continue;
        live->pieces[n] = live->pieces[i];
        live->parents[n++] = live->parents[i];
    }
    live->n_pieces = n;
}

/* A difference is told when another fence has it, too. */
static ph_code
confirm(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_verify_live *live = verify->live;

    for (unsigned n = 1; live->n_pieces > 0; n++) {
        PH_TRY(look_again(verify, n == AGAIN, err));
        drop_settled(live);
        keep_differing(live);
    }
    return PH_OK;
}

/* ---- all of it ---- */

static ph_code
read_window(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_verify_live *live = verify->live;

    PH_TRY(ph_stop_check(err));
    PH_TRY(ph_verify_fence_take(&live->fence, NULL, NULL, err));
    uint64_t start = ph_clock_ns();
    PH_TRY(ph_verify_read(verify, live->pieces, live->n_pieces, err));
    PH_TRY(ph_verify_fence_leave(&live->fence, err));
    resize_window(live, ph_clock_seconds_since(start));
    keep_differing(live);
    return confirm(verify, err);
}

static void
report_fences(const struct ph_verify *verify)
{
    const struct ph_verify_fence *fence = &verify->live->fence;

    ph_report_add_finding(
        verify->report, PH_FINDING_NOTE, "fences", "",
        "both sides were read at %u %s while the job follows (%u %s tried again); "
        "apply was held up for at most %.1f ms at a time",
        fence->good, fence->good == 1 ? "point" : "points", fence->number - fence->good,
        fence->number - fence->good == 1 ? "was" : "were", (double)fence->longest_us / 1e3);
}

/* All groups that are not compared yet. */
static ph_code
read_groups(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_verify_live *live = verify->live;
    ph_code rc = PH_OK;

    live->next_group = 0;
    live->began_group = false;
    live->window_bytes = FIRST_WINDOW;
    do {
        rc = fill_window(verify, err);
        if (rc == PH_OK && live->n_pieces > 0)
            rc = read_window(verify, err);
    } while (rc == PH_OK && live->next_group < verify->n_groups);
    free_pieces(live);
    ph_code left = ph_verify_fence_leave(&live->fence, rc == PH_OK ? err : NULL);
    return rc == PH_OK ? left : rc;
}

/* On the display's thread. */
static void
read_progress(void *arg, struct ph_progress *out)
{
    struct ph_verify *verify = arg;

    snprintf(out->phase, sizeof out->phase, "verify");
    out->tables = out->verify_tables = verify->n_groups;
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        const struct ph_verify_group *group = &verify->groups[i];
        out->bytes += group->bytes;
        for (uint32_t t = 0; t < group->n_tables; t++)
            out->rows += 2 * group->tables[t]->rows;
    }
    out->elapsed_s = ph_clock_seconds_since(verify->started_ns);
    pthread_mutex_lock(&verify->watch_lock);
    out->tables_done = out->verify_tables_done = verify->past.groups;
    out->rows_done = verify->past.rows;
    out->bytes_done = verify->past.bytes;
    if (verify->lanes != NULL)
        ph_verify_lanes_progress(verify->lanes, out);
    pthread_mutex_unlock(&verify->watch_lock);
}

static ph_code
mend(struct ph_verify *verify, struct ph_error *err)
{
    bool any = false;

    for (uint32_t i = 0; i < verify->n_groups; i++)
        any |= verify->groups[i].differs;
    if (!any)
        return PH_OK;
    PH_TRY(ph_verify_repair_live(verify, &verify->live->fence, err));
    PH_TRY(read_groups(verify, err));
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        if (verify->groups[i].differs)
            ph_report_add_finding(verify->report, PH_FINDING_ERROR, "rows", verify->groups[i].label,
                                  "still differs after the repair");
    }
    return PH_OK;
}

ph_code
ph_verify_live_rows(struct ph_verify *verify, struct ph_error *err)
{
    const struct ph_observer *observer = &verify->run->observer;

    if (observer->started != NULL)
        observer->started(observer->context, read_progress, verify);
    ph_code rc = read_groups(verify, err);
    if (observer->ended != NULL)
        observer->ended(observer->context);
    PH_TRY(rc);
    if (ph_verify_mends(verify->options))
        PH_TRY(mend(verify, err));
    report_fences(verify);
    return PH_OK;
}
