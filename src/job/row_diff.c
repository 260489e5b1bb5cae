#include "job/row_diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/stop.h"
#include "pg/snapshot.h"

#define MOST_PASSES (1u << 20)
#define PASS_SHIFT 44 /* bits that choose neither bucket nor chain */
#define STOP_CHECK_ROWS 1024u

bool
ph_bucket_mask_init(struct ph_bucket_mask *mask, const struct ph_digest_set *source,
                    const struct ph_digest_set *target)
{
    uint64_t source_rows = 0;
    uint64_t target_rows = 0;

    *mask = (struct ph_bucket_mask){.n_buckets = source->n_buckets};
    mask->states = malloc(mask->n_buckets);
    if (mask->states == NULL)
        return false;
    for (uint32_t i = 0; i < mask->n_buckets; i++) {
        const struct ph_digest_bucket *a = &source->buckets[i];
        const struct ph_digest_bucket *b = &target->buckets[i];
        enum ph_bucket_state state = ph_digest_bucket_equal(a, b) ? PH_BUCKET_EQUAL
                                     : b->rows == 0               ? PH_BUCKET_SOURCE_ONLY
                                     : a->rows == 0               ? PH_BUCKET_TARGET_ONLY
                                                                  : PH_BUCKET_DIFFERS;
        mask->states[i] = (uint8_t)state;
        mask->n_unequal += state != PH_BUCKET_EQUAL;
        source_rows += state == PH_BUCKET_DIFFERS ? a->rows : 0;
        target_rows += state == PH_BUCKET_DIFFERS ? b->rows : 0;
    }
    mask->rows = source_rows > target_rows ? source_rows : target_rows;
    return true;
}

void
ph_bucket_mask_free(struct ph_bucket_mask *mask)
{
    free(mask->states);
    *mask = (struct ph_bucket_mask){0};
}

static ph_code
add_to_set(void *arg, const struct ph_scanned_row *row, struct ph_error *err)
{
    (void)err;
    ph_digest_set_put(arg, row->key_hash, row->hash, 0);
    return PH_OK;
}

static ph_code
hash_side(const struct ph_row_diff_params *params, enum ph_side side,
          const struct ph_table_plan *table, struct ph_digest_set *set, struct ph_error *err)
{
    struct ph_row_scan_params scan = {
        .conn = side == PH_SOURCE ? params->source : params->target,
        .table = table,
        .side = side,
        .range = params->range,
        .max_row_bytes = params->max_row_bytes,
    };

    PH_TRY(ph_stop_check(err));
    return ph_row_scan(&scan, add_to_set, set, err);
}

ph_code
ph_bucket_mask_read(const struct ph_row_diff_params *params, struct ph_bucket_mask *mask,
                    struct ph_error *err)
{
    struct ph_digest_set sets[2] = {{0}, {0}};
    uint32_t n_buckets = params->tables[0]->n_buckets;
    ph_code rc = PH_OK;

    *mask = (struct ph_bucket_mask){0};
    if (!ph_digest_set_init(&sets[PH_SOURCE], n_buckets) ||
        !ph_digest_set_init(&sets[PH_TARGET], n_buckets))
        rc = PH_FAIL(err, PH_E_MEMORY, "no memory for the digests of a table");
    for (uint32_t i = 0; rc == PH_OK && i < params->n_tables; i++)
        rc = hash_side(params, PH_SOURCE, params->tables[i], &sets[PH_SOURCE], err);
    if (rc == PH_OK)
        rc = hash_side(params, PH_TARGET, params->tables[0], &sets[PH_TARGET], err);
    if (rc == PH_OK && !ph_bucket_mask_init(mask, &sets[PH_SOURCE], &sets[PH_TARGET]))
        rc = PH_FAIL(err, PH_E_MEMORY, "no memory for the digests of a table");
    ph_digest_set_free(&sets[PH_SOURCE]);
    ph_digest_set_free(&sets[PH_TARGET]);
    return rc;
}

struct pass {
    const struct ph_row_diff_params *params;
    struct ph_row_diff *out;
    struct ph_diff_table table;
    enum ph_side side; /* being read */
    uint32_t number;
    uint32_t n_passes;
    uint32_t visited;
    bool overflowed;
};

static ph_code
take(void *arg, const struct ph_row_difference *difference, struct ph_error *err)
{
    struct pass *pass = arg;
    struct ph_row_diff *out = pass->out;

    (void)err;
    switch (difference->kind) {
    case PH_DIFF_MISSING:
        out->missing += difference->count;
        break;
    case PH_DIFF_EXTRA:
        out->extra += difference->count;
        break;
    case PH_DIFF_CHANGED:
        out->changed += difference->count;
        break;
    }
    if (out->n_listed < pass->params->max_listed)
        out->list[out->n_listed++] = *difference;
    return PH_OK;
}

/* Of a bucket that the other side has no rows in: a difference without a comparison. */
static ph_code
take_alone(struct pass *pass, const struct ph_scanned_row *row, struct ph_error *err)
{
    struct ph_row_difference difference = {
        .kind = pass->side == PH_SOURCE ? PH_DIFF_MISSING : PH_DIFF_EXTRA,
        .count = 1,
        .key_hash = row->key_hash,
        .hash = row->hash,
    };

    if (pass->side == PH_SOURCE)
        difference.source = row->place;
    else
        difference.target = row->place;
    return take(pass, &difference, err);
}

static ph_code
visit(void *arg, const struct ph_scanned_row *row, struct ph_error *err)
{
    struct pass *pass = arg;
    const struct ph_bucket_mask *mask = pass->params->mask;
    enum ph_bucket_state state = mask->states[(uint32_t)row->key_hash & (mask->n_buckets - 1)];

    if (++pass->visited % STOP_CHECK_ROWS == 0)
        PH_TRY(ph_stop_check(err));
    if (pass->overflowed || state == PH_BUCKET_EQUAL)
        return PH_OK;
    if (state == PH_BUCKET_DIFFERS) {
        if ((uint32_t)(row->key_hash >> PASS_SHIFT & (pass->n_passes - 1)) == pass->number)
            pass->overflowed = !ph_diff_table_add(&pass->table, pass->side, row);
        return PH_OK;
    }
    return pass->number == 0 ? take_alone(pass, row, err) : PH_OK;
}

static ph_code
read_side(struct pass *pass, enum ph_side side, const struct ph_table_plan *table,
          struct ph_error *err)
{
    struct ph_row_scan_params scan = {
        .conn = side == PH_SOURCE ? pass->params->source : pass->params->target,
        .table = table,
        .side = side,
        .range = pass->params->range,
        .max_row_bytes = pass->params->max_row_bytes,
    };

    pass->side = side;
    PH_TRY(ph_snapshot_lock(scan.conn, side == PH_SOURCE ? table->source : table->target, err));
    return ph_row_scan(&scan, visit, pass, err);
}

static ph_code
run_pass(struct pass *pass, struct ph_error *err)
{
    const struct ph_row_diff_params *params = pass->params;
    enum ph_diff_pairing pairing =
        params->tables[0]->n_key_fields > 0 ? PH_DIFF_BY_KEY : PH_DIFF_KEYLESS;

    ph_diff_table_clear(&pass->table);
    for (uint32_t i = 0; i < params->n_tables; i++)
        PH_TRY(read_side(pass, PH_SOURCE, params->tables[i], err));
    PH_TRY(read_side(pass, PH_TARGET, params->tables[0], err));
    return pass->overflowed ? PH_OK : ph_diff_table_each(&pass->table, pairing, take, pass, err);
}

static ph_code
run_passes(struct pass *pass, struct ph_error *err)
{
    const struct ph_row_diff_params *params = pass->params;
    struct ph_row_diff *out = pass->out;
    uint32_t last = pass->n_passes;

    if (params->max_passes > 0 && last > params->max_passes)
        last = params->max_passes;
    out->missing = out->extra = out->changed = 0;
    out->n_listed = 0;
    out->passes = last;
    out->is_partial = last < pass->n_passes;
    pass->overflowed = false;
    for (pass->number = 0; pass->number < last && !pass->overflowed; pass->number++)
        PH_TRY(run_pass(pass, err));
    return PH_OK;
}

ph_code
ph_row_diff_run(const struct ph_row_diff_params *params, struct ph_row_diff *out,
                struct ph_error *err)
{
    struct pass pass = {.params = params, .out = out, .n_passes = 1};
    ph_code rc = PH_OK;

    *out = (struct ph_row_diff){0};
    out->list = malloc(((size_t)params->max_listed + 1) * sizeof *out->list);
    if (out->list == NULL || !ph_diff_table_init(&pass.table, params->budget_bytes))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    while (params->mask->rows / pass.n_passes > (uint64_t)pass.table.capacity * 3 / 4)
        pass.n_passes *= 2;
    for (; pass.n_passes <= MOST_PASSES; pass.n_passes *= 2) {
        rc = run_passes(&pass, err);
        if (rc != PH_OK || !pass.overflowed)
            break;
    }
    if (rc == PH_OK && pass.overflowed)
        rc = PH_FAIL(err, PH_E_MEMORY, "the rows under one key do not fit into the memory");
    ph_diff_table_free(&pass.table);
    return rc;
}

void
ph_row_diff_free(struct ph_row_diff *diff)
{
    free(diff->list);
    *diff = (struct ph_row_diff){0};
}
