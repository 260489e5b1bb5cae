/*
 * Tables that are made of several snapshots: cut into ranges of a key, so that a row belongs to a
 * range by what it is, and each change of the stream to the ranges that its rows are in
 * (docs/decisions/0023). When the snapshot of a copy that follows is lost, such a table keeps the
 * ranges that are copied; the others get the next snapshot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/log.h"
#include "job/epoch_parts.h"
#include "job/follow.h"
#include "job/publish.h"
#include "model/identity.h"
#include "model/range_key.h"
#include "model/type_match.h"

enum ph_epoch_mix
ph_epoch_mix_of(const struct ph_job *job, const struct ph_table_plan *table)
{
    enum ph_epoch_mix mix = PH_MIX_ONE;
    uint32_t seen = 0;

    for (uint32_t i = 0; i < table->n_chunks; i++) {
        const struct ph_chunk_state *state = &job->chunk_states[table->first_chunk + i];
        if (!state->done)
            return PH_MIX_UNFINISHED;
        if (seen != 0 && state->epoch != seen)
            mix = PH_MIX_SEVERAL;
        seen = state->epoch;
    }
    return seen == 0 ? PH_MIX_UNFINISHED : mix;
}

/* ---- whether a table can be of several snapshots ---- */

static bool
is_in_ranges(const struct ph_job *job, const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < table->n_chunks; i++) {
        if (job->plan.chunks[table->first_chunk + i].kind != PH_CHUNK_KEY)
            return false;
    }
    return table->n_chunks > 1 && table->n_key_fields > 0;
}

static const struct ph_plan_column *
key_column(const struct ph_table_plan *table)
{
    return &table->columns[table->key_fields[0]];
}

/* NULL: it is none of the server's own. */
static const char *
type_name(const struct ph_catalog *catalog, const struct ph_column *column)
{
    const struct ph_type *type = ph_type_base(catalog, column->type_oid);

    return type != NULL && strcmp(type->schema, "pg_catalog") == 0 ? type->name : NULL;
}

/* Both sides order the key as it is done here, and the stream brings it in a form that is read. */
static bool
has_known_key(const struct ph_job *job, const struct ph_table_plan *table)
{
    const struct ph_plan_column *column = key_column(table);
    const char *source = type_name(&job->source_catalog, column->source);
    const char *target = type_name(&job->target_catalog, column->target);

    if (source == NULL || target == NULL || strcmp(source, target) != 0 ||
        !column->source->not_null)
        return false;
    struct ph_range_type type = ph_range_type_named(source);
    return type.width != 0 && (type.has_text || ph_follow_format(job) == PH_FORMAT_BINARY);
}

static bool
has_attribute(const int16_t *attnums, uint32_t n, int16_t attnum)
{
    for (uint32_t i = 0; i < n; i++) {
        if (attnums[i] == attnum)
            return true;
    }
    return false;
}

/* Of a row that is deleted or moves, the stream tells the key. */
static bool
is_in_identity(const struct ph_job *job, const struct ph_table_plan *table)
{
    const struct ph_index *index;

    switch (ph_rel_identity(table->source, job->source_catalog.version_num, &index)) {
    case PH_IDENTITY_FULL:
        return true;
    case PH_IDENTITY_KEY:
    case PH_IDENTITY_INDEX:
        return index != NULL &&
               has_attribute(index->key_attnums, index->n_keys, key_column(table)->source->attnum);
    case PH_IDENTITY_NONE:
    case PH_IDENTITY_NOTHING:
    case PH_IDENTITY_LOST_INDEX:
    case PH_IDENTITY_DEFERRABLE:
    case PH_IDENTITY_GENERATED:
        return false;
    }
    return false;
}

/*
 * A row that moved between two snapshots is there twice until the stream is applied, and others may
 * have a value that another has given up: what is unique beside the key would not hold meanwhile.
 */
static bool
is_unique_by_key(const struct ph_rel *rel, int16_t attnum)
{
    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        const struct ph_index *index = &rel->indexes[i];
        if (index->is_exclusion ||
            (index->is_unique && !has_attribute(index->key_attnums, index->n_keys, attnum)))
            return false;
    }
    return true;
}

/* The only one of the plan with its source, and with its target. */
static bool
is_alone(const struct ph_job *job, const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *other = &job->plan.tables[i];
        if (other != table && (other->source == table->source || other->target == table->target))
            return false;
    }
    return true;
}

static bool
is_plain(const struct ph_table_plan *table)
{
    return table->source->kind == PH_REL_TABLE && table->target->kind == PH_REL_TABLE &&
           table->route == NULL && table->where[PH_SOURCE] == NULL &&
           table->where[PH_TARGET] == NULL && table->join == NULL && table->inputs == NULL &&
           table->preserved == NULL && !table->ordered_by_fk;
}

bool
ph_epoch_may_mix(const struct ph_job *job, const struct ph_table_plan *table)
{
    return job->follows && ph_publish_can(table) && is_in_ranges(job, table) && is_plain(table) &&
           is_alone(job, table) && has_known_key(job, table) && is_in_identity(job, table) &&
           is_unique_by_key(table->source, key_column(table)->source->attnum) &&
           is_unique_by_key(table->target, key_column(table)->target->attnum);
}

/* ---- its ranges ---- */

/* The bounds between the chunks in the type's binary form, which the server knows. */
static void
put_bounds_query(const struct ph_job *job, const struct ph_table_plan *table,
                 const struct ph_range_type *type, const char *name, struct ph_buf *sql)
{
    ph_buf_printf(sql, "SELECT pg_catalog.%s(b::pg_catalog.%s) FROM pg_catalog.unnest(ARRAY[",
                  type->send, name);
    for (uint32_t i = 1; i < table->n_chunks; i++) {
        const char *lo = job->plan.chunks[table->first_chunk + i].lo;
        ph_buf_puts(sql, i > 1 ? "," : "");
        ph_buf_put_literal(sql, lo != NULL ? lo : "");
    }
    ph_buf_puts(sql, "]::pg_catalog.text[]) WITH ORDINALITY AS u (b, i) ORDER BY i");
}

static ph_code
read_bound(const struct ph_result *r, int row, const struct ph_range_type *type,
           struct ph_range_key *out, struct ph_error *err)
{
    struct ph_field field = {.state = PH_FIELD_BINARY};
    uint8_t *raw;
    size_t len;

    if (!ph_result_bytea(r, row, 0, &raw, &len))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    field.bytes = (struct ph_span){raw, len};
    bool is_key = ph_range_key_read(type, &field, out);
    free(raw);
    return is_key ? PH_OK : PH_FAIL(err, PH_E_LEDGER, "the bound of a chunk is no key");
}

static ph_code
read_bounds(const struct ph_job *job, const struct ph_table_plan *table, const char *name,
            struct ph_epoch_ranges *out, struct ph_range_key *bounds, struct ph_error *err)
{
    struct ph_result *r = NULL;
    struct ph_buf sql;

    ph_buf_init(&sql, (size_t)16 << 20);
    put_bounds_query(job, table, &out->type, name, &sql);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_query(job->target_control, ph_buf_text(&sql), 0, NULL, &r, err)
                     : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    for (uint32_t i = 0; rc == PH_OK && i + 1 < table->n_chunks; i++)
        rc = read_bound(r, (int)i, &out->type, &bounds[i], err);
    ph_result_free(r);
    return rc;
}

ph_code
ph_epoch_ranges_of(const struct ph_job *job, const struct ph_table_plan *table,
                   struct ph_arena *arena, struct ph_epoch_ranges *out, struct ph_error *err)
{
    const char *name = is_in_ranges(job, table)
                           ? type_name(&job->source_catalog, key_column(table)->source)
                           : NULL;
    struct ph_range_key *bounds = PH_ARENA_ARRAY(arena, struct ph_range_key, table->n_chunks);
    uint32_t *epochs = PH_ARENA_ARRAY(arena, uint32_t, table->n_chunks);

    if (bounds == NULL || epochs == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    *out = (struct ph_epoch_ranges){.n = table->n_chunks, .bounds = bounds, .epochs = epochs};
    if (name != NULL)
        out->type = ph_range_type_named(name);
    if (out->type.width == 0)
        return PH_FAIL(err, PH_E_LEDGER, "%s.%s is of more than one snapshot",
                       table->source->schema, table->source->name);
    out->column = key_column(table)->source_name;
    for (uint32_t i = 0; i < table->n_chunks; i++)
        epochs[i] = job->chunk_states[table->first_chunk + i].epoch;
    return read_bounds(job, table, name, out, bounds, err);
}

/* ---- what is told ---- */

static uint32_t
count_done(const struct ph_job *job, const struct ph_table_plan *table, uint64_t *bytes)
{
    uint32_t n = 0;

    *bytes = 0;
    for (uint32_t i = 0; i < table->n_chunks; i++) {
        const struct ph_chunk_state *state = &job->chunk_states[table->first_chunk + i];
        n += state->done;
        *bytes += state->done ? state->bytes : 0;
    }
    return n;
}

void
ph_epoch_tell_again(const struct ph_job *job, const struct ph_table_plan *table)
{
    char size[PH_HUMAN_SIZE];
    char label[160];
    uint64_t bytes;

    if (count_done(job, table, &bytes) == 0)
        return;
    ph_plan_table_label(table, label, sizeof label);
    ph_log(PH_LOG_WARN, "table.again", "table %s starts again: %s that were copied are lost", label,
           ph_human_bytes(bytes, size));
}

void
ph_epoch_tell_goes_on(const struct ph_job *job, const struct ph_table_plan *table)
{
    char size[PH_HUMAN_SIZE];
    char label[160];
    uint64_t bytes;
    uint32_t n = count_done(job, table, &bytes);

    ph_plan_table_label(table, label, sizeof label);
    ph_log(PH_LOG_INFO, "table.goes_on",
           "table %s goes on: %u of %u ranges of its key, %s, are there and stay", label, n,
           table->n_chunks, ph_human_bytes(bytes, size));
}
