/*
 * What the answers say: preparations that came through or did not, counts of rows, the first
 * failure of a stretch and which statement it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/conn_pipeline_parts.h"

static void
copy_field(char *out, size_t size, const PGresult *result, int field)
{
    const char *text = PQresultErrorField(result, field);

    snprintf(out, size, "%s", text != NULL ? text : "");
}

static void
put_failure(struct ph_pipeline *pipeline, const struct ph_pipeline_entry *entry,
            const PGresult *result)
{
    struct ph_pipeline_failure *f = &pipeline->failure;

    pipeline->has_failure = true;
    f->tag = entry->tag;
    f->index = entry->index;
    copy_field(f->schema, sizeof f->schema, result, PG_DIAG_SCHEMA_NAME);
    copy_field(f->table, sizeof f->table, result, PG_DIAG_TABLE_NAME);
    copy_field(f->column, sizeof f->column, result, PG_DIAG_COLUMN_NAME);
    copy_field(f->type, sizeof f->type, result, PG_DIAG_DATATYPE_NAME);
    copy_field(f->constraint, sizeof f->constraint, result, PG_DIAG_CONSTRAINT_NAME);
    copy_field(f->detail, sizeof f->detail, result, PG_DIAG_MESSAGE_DETAIL);
}

static void
note_failure(struct ph_pipeline *pipeline, const struct ph_pipeline_entry *entry,
             const PGresult *result)
{
    if (pipeline->rc != PH_OK)
        return;
    ph_error_reset(&pipeline->first);
    pipeline->rc = ph_conn_fail(pipeline->conn, result, &pipeline->first);
    if (PQresultErrorField(result, PG_DIAG_SQLSTATE) != NULL)
        put_failure(pipeline, entry, result);
}

static void
note_rolled_back(struct ph_pipeline *pipeline, const struct ph_pipeline_entry *entry,
                 const PGresult *result)
{
    if (pipeline->rc != PH_OK)
        return;
    ph_error_reset(&pipeline->first);
    pipeline->rc =
        PH_FAIL(&pipeline->first, PH_E_SQL, "the transaction had failed: it was rolled back");
    put_failure(pipeline, entry, result);
}

static void
out_of_memory(struct ph_pipeline *pipeline)
{
    if (pipeline->rc != PH_OK)
        return;
    ph_error_reset(&pipeline->first);
    pipeline->rc = PH_FAIL(&pipeline->first, PH_E_MEMORY, "out of memory");
}

static void
note_miss(struct ph_pipeline *pipeline, const struct ph_pipeline_entry *entry, int64_t rows)
{
    struct ph_pipeline_misses *misses = &pipeline->misses;

    if (misses->n == misses->cap) {
        uint32_t cap = misses->cap == 0 ? 16 : misses->cap * 2;
        void *larger = realloc(misses->items, cap * sizeof *misses->items);
        if (larger == NULL) {
            out_of_memory(pipeline);
            return;
        }
        misses->items = larger;
        misses->cap = cap;
    }
    misses->items[misses->n++] = (struct ph_pipeline_miss){
        .tag = entry->tag,
        .index = entry->index,
        .expected_rows = entry->expected_rows,
        .rows = rows,
    };
}

/* Takes the result over when the caller of queue wants its rows. */
static void
take_rows(struct ph_pipeline *pipeline, const struct ph_pipeline_entry *entry, PGresult **result)
{
    int64_t rows = strtoll(PQcmdTuples(*result), NULL, 10);

    if (entry->expected_rows != PH_ROWS_ANY && rows != entry->expected_rows)
        note_miss(pipeline, entry, rows);
    if (entry->is_commit && strcmp(PQcmdStatus(*result), "COMMIT") != 0)
        note_rolled_back(pipeline, entry, *result);
    if (entry->result == NULL)
        return;
    struct ph_result *kept = malloc(sizeof *kept);
    if (kept == NULL) {
        out_of_memory(pipeline);
        return;
    }
    kept->pg = *result;
    *entry->result = kept;
    *result = NULL;
}

static void
take_answer(struct ph_pipeline *pipeline, const struct ph_pipeline_entry *entry, PGresult **result)
{
    ExecStatusType status = PQresultStatus(*result);
    bool done =
        status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
    const char *state = PQresultErrorField(*result, PG_DIAG_SQLSTATE);

    if (!done && status != PGRES_PIPELINE_ABORTED)
        note_failure(pipeline, entry, *result);
    switch (entry->kind) {
    case PH_ENTRY_PREPARE:
        if (done)
            ph_prepared_confirm(&pipeline->prepared, entry->number);
        else
            ph_prepared_refuse(&pipeline->prepared, entry->number);
        break;
    case PH_ENTRY_DEALLOCATE:
        if (!done && (state == NULL || strcmp(state, "26000") != 0))
            ph_prepared_keep_stale(&pipeline->prepared, entry->number);
        break;
    case PH_ENTRY_RUN:
        if (done)
            take_rows(pipeline, entry, result);
        break;
    case PH_ENTRY_SYNC:
        break;
    }
}

static const struct ph_pipeline_entry *
at_head(const struct ph_pipeline *pipeline)
{
    return &pipeline->entries[pipeline->head & (pipeline->cap - 1)];
}

void
ph_pipeline_take_answers(struct ph_pipeline *pipeline)
{
    while (!pipeline->dead && pipeline->head < pipeline->tail) {
        const struct ph_pipeline_entry *entry = at_head(pipeline);
        if (entry->kind == PH_ENTRY_SYNC || PQisBusy(pipeline->conn->pg))
            return;
        PGresult *result = PQgetResult(pipeline->conn->pg);
        if ((result == NULL) != pipeline->answered) {
            pipeline->dead = true;
        } else if (result == NULL) {
            pipeline->answered = false;
            pipeline->head++;
        } else {
            pipeline->answered = true;
            take_answer(pipeline, entry, &result);
        }
        PQclear(result);
    }
}

bool
ph_pipeline_take_sync(struct ph_pipeline *pipeline)
{
    if (pipeline->head == pipeline->tail || at_head(pipeline)->kind != PH_ENTRY_SYNC ||
        PQisBusy(pipeline->conn->pg))
        return false;
    PGresult *result = PQgetResult(pipeline->conn->pg);
    if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
        pipeline->head++;
    else
        pipeline->dead = true;
    PQclear(result);
    return !pipeline->dead;
}

ph_code
ph_pipeline_report(struct ph_pipeline *pipeline, struct ph_pipeline_outcome *outcome,
                   struct ph_error *err)
{
    ph_code rc = pipeline->rc;
    struct ph_pipeline_misses next = pipeline->reported;

    pipeline->reported = pipeline->misses;
    outcome->misses = pipeline->reported.items;
    outcome->n_misses = pipeline->reported.n;
    pipeline->misses = next;
    pipeline->misses.n = 0;
    outcome->has_failure = pipeline->has_failure;
    if (pipeline->has_failure)
        outcome->failure = pipeline->failure;
    pipeline->has_failure = false;
    pipeline->rc = PH_OK;
    if (rc != PH_OK && err != NULL)
        *err = pipeline->first;
    return rc;
}
