#include "flow/digest_program.h"

#include "wire/copy_binary.h"
#include "wire/copy_text.h"
#include "wire/copy_trim.h"
#include "wire/oid_remap.h"

#define BPCHAR_OID 1042u /* character(n), in every version */

void
ph_digest_program_init(struct ph_digest_program *program, size_t batch_bytes, size_t max_row_bytes)
{
    *program = (struct ph_digest_program){.max_row_bytes = max_row_bytes};
    ph_rule_stage_init(&program->rules, batch_bytes, max_row_bytes);
}

void
ph_digest_program_free(struct ph_digest_program *program)
{
    ph_rule_stage_free(&program->rules);
}

/* char(n) columns, whose padding the target makes anew; see wire/copy_trim.h. */
static void
find_padded(struct ph_digest_program *program, const struct ph_task *task)
{
    const struct ph_table_plan *table = task->table;

    program->n_padded = 0;
    if (!task->is_load || table->format != PH_FORMAT_BINARY)
        return;
    for (uint32_t i = 0; i < table->n_columns && program->n_padded < PH_PADDED_MAX; i++) {
        const struct ph_plan_column *column = &table->columns[i];
        if (column->source->type_oid == BPCHAR_OID && column->target->type_oid == BPCHAR_OID &&
            column->target->typmod > 0)
            program->padded[program->n_padded++] = (uint16_t)i;
    }
}

static ph_code
open_task(void *state, const struct ph_task *task, struct ph_error *err)
{
    struct ph_digest_program *program = state;

    program->has_rules = ph_rule_stage_is_for(task);
    if (program->has_rules)
        PH_TRY(ph_rule_stage_open(&program->rules, task, err));
    ph_row_shape_init(&program->rows, task->table, program->max_row_bytes);
    program->header_done = task->table->format == PH_FORMAT_TEXT;
    program->ended = false;
    find_padded(program, task);
    return PH_OK;
}

/* The server sends whole rows in a message, and a batch holds whole messages. */
static ph_code
not_whole(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_PROTOCOL, "a COPY message does not end with a row");
}

static ph_code
take_header(struct ph_digest_program *program, struct ph_span *bytes, struct ph_error *err)
{
    size_t consumed;

    if (program->header_done)
        return PH_OK;
    PH_TRY(ph_copy_binary_header(*bytes, &consumed, err));
    if (consumed == 0)
        return not_whole(err);
    bytes->data += consumed;
    bytes->len -= consumed;
    program->header_done = true;
    return PH_OK;
}

/* Rows of the source get the target's OIDs; rows read back from the target have them. */
static ph_code
rewrite_oids(const struct ph_task *task, struct ph_batch *batch, struct ph_span rows,
             struct ph_error *err)
{
    size_t consumed;

    if (task->table->remap == NULL || task->table->inputs != NULL || task->epoch->number == 0)
        return PH_OK;
    return ph_oid_remap_apply_all(task->table->remap, batch->data + (rows.data - batch->data),
                                  rows.len, &consumed, err);
}

static ph_code
run_batch(void *state, struct ph_task *task, struct ph_batch *batch, struct ph_error *err)
{
    struct ph_digest_program *program = state;
    struct ph_span bytes = {batch->data, batch->len};
    struct ph_copy_walked walked;

    PH_TRY(take_header(program, &bytes, err));
    if (program->ended)
        return PH_FAIL(err, PH_E_PROTOCOL, "rows behind the end of the COPY");
    if (program->has_rules)
        PH_TRY(ph_rule_stage_run(&program->rules, task, batch, &bytes, err));
    if (task->table->format == PH_FORMAT_TEXT) {
        PH_TRY(ph_copy_text_digest(&program->rows.shape, bytes, task->digest, &walked, err));
    } else {
        PH_TRY(rewrite_oids(task, batch, bytes, err));
        PH_TRY(ph_copy_binary_digest(&program->rows.shape, bytes, task->digest, &walked, err));
    }
    if (walked.consumed != bytes.len)
        return not_whole(err);
    program->ended = walked.ended;
    batch->rows = walked.rows;
    if (program->n_padded > 0) {
        uint8_t *rows = batch->data + (bytes.data - batch->data);
        batch->len = (size_t)(rows - batch->data) +
                     ph_copy_binary_trim(program->padded, program->n_padded, rows, bytes.len);
    }
    return PH_OK;
}

static ph_code
end_task(void *state, struct ph_task *task, struct ph_error *err)
{
    struct ph_digest_program *program = state;

    if (task->table->format == PH_FORMAT_BINARY && !program->ended)
        return PH_FAIL(err, PH_E_PROTOCOL, "the COPY stopped without its end marker");
    return PH_OK;
}

const struct ph_program_ops ph_digest_program_ops = {open_task, run_batch, end_task};
