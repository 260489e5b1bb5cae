#include "pg/sequence.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"

#define BATCH 200u
#define SQL_LIMIT_BYTES ((size_t)16 << 20)

static bool
is_wanted(const struct ph_sequences *sequences, uint32_t index)
{
    const struct ph_sequence_state *sequence = &sequences->source->sequences[index];

    return sequence->can_read &&
           (sequences->wanted == NULL || sequences->wanted(sequences->arg, sequence));
}

/* to_regclass and not a name in the text: a missing one is a NULL and no error. */
static void
put_regclass(struct ph_buf *sql, const struct ph_sequence_state *sequence)
{
    struct ph_buf name;

    ph_buf_init(&name, 1024);
    ph_buf_put_qualified(&name, sequence->schema, sequence->name);
    ph_buf_puts(sql, "pg_catalog.to_regclass(");
    ph_buf_put_literal(sql, ph_buf_text(&name));
    ph_buf_puts(sql, ")");
    ph_buf_free(&name);
}

ph_code
ph_sequences_set(struct ph_conn *target, const struct ph_sequences *sequences, uint32_t *n,
                 struct ph_error *err)
{
    const struct ph_catalog *source = sequences->source;
    struct ph_buf sql;
    ph_code rc = PH_OK;

    *n = 0;
    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    for (uint32_t i = 0; i < source->n_sequences && rc == PH_OK;) {
        uint32_t in_batch = 0;

        ph_buf_clear(&sql);
        for (; i < source->n_sequences && in_batch < BATCH; i++) {
            const struct ph_sequence_state *sequence = &source->sequences[i];

            if (!is_wanted(sequences, i))
                continue;
            ph_buf_puts(&sql, in_batch++ == 0 ? "SELECT " : ", ");
            ph_buf_puts(&sql, "pg_catalog.setval(");
            put_regclass(&sql, sequence);
            ph_buf_printf(&sql, ", %" PRId64 ", %s)", sequence->last_value,
                          sequence->is_called ? "true" : "false");
        }
        if (in_batch == 0)
            break;
        rc = ph_buf_ok(&sql) ? ph_conn_exec(target, ph_buf_text(&sql), err)
                             : PH_FAIL(err, PH_E_MEMORY, "no memory for a list of sequences");
        *n += in_batch;
    }
    ph_buf_free(&sql);
    return rc;
}

static void
compare_one(const struct ph_sequence_state *sequence, const struct ph_result *result, int row,
            struct ph_findings *findings)
{
    char name[300];
    const struct ph_finding_params params = {
        .severity = PH_FINDING_ERROR, .code = PH_E_DIFFERENT, .kind = "sequence", .object = name};

    snprintf(name, sizeof name, "%s.%s", sequence->schema, sequence->name);
    if (ph_result_is_null(result, row, 1)) {
        ph_finding_add(findings, &params, "missing on the target");
    } else if (ph_result_i64(result, row, 1) != sequence->last_value ||
               ph_result_bool(result, row, 2) != sequence->is_called) {
        ph_finding_add(findings, &params,
                       "last value %" PRId64 "%s on the source, %" PRId64 "%s on the target",
                       sequence->last_value, sequence->is_called ? "" : " (not called)",
                       ph_result_i64(result, row, 1),
                       ph_result_bool(result, row, 2) ? "" : " (not called)");
    }
}

/* Which of the batch's sequences exist on the target; their indexes go to `there`. */
static ph_code
find_existing(struct ph_conn *target, const struct ph_catalog *source, const uint32_t *batch,
              uint32_t n, bool *there, struct ph_error *err)
{
    struct ph_result *result = NULL;
    struct ph_buf sql;
    ph_code rc;

    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    ph_buf_puts(&sql, "SELECT v.o IS NOT NULL AND c.relkind = 'S' FROM (VALUES ");
    for (uint32_t i = 0; i < n; i++) {
        ph_buf_printf(&sql, "%s(%u, ", i == 0 ? "" : ", ", i);
        put_regclass(&sql, &source->sequences[batch[i]]);
        ph_buf_puts(&sql, ")");
    }
    ph_buf_puts(&sql, ") v(i, o) LEFT JOIN pg_catalog.pg_class c ON c.oid = v.o ORDER BY v.i");
    rc = ph_buf_ok(&sql) ? ph_conn_query(target, ph_buf_text(&sql), 0, NULL, &result, err)
                         : PH_FAIL(err, PH_E_MEMORY, "no memory for a list of sequences");
    for (uint32_t i = 0; rc == PH_OK && i < n; i++)
        there[i] = ph_result_bool(result, (int)i, 0);
    ph_result_free(result);
    ph_buf_free(&sql);
    return rc;
}

static ph_code
compare_batch(struct ph_conn *target, const struct ph_catalog *source, const uint32_t *batch,
              uint32_t n, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_result *result = NULL;
    bool there[BATCH];
    struct ph_buf sql;
    ph_code rc;

    PH_TRY(find_existing(target, source, batch, n, there, err));
    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    for (uint32_t i = 0; i < n; i++) {
        ph_buf_printf(&sql, "%sSELECT %u AS i, ", i == 0 ? "" : " UNION ALL ", i);
        if (there[i]) {
            ph_buf_puts(&sql, "last_value, is_called FROM ");
            ph_buf_put_qualified(&sql, source->sequences[batch[i]].schema,
                                 source->sequences[batch[i]].name);
        } else {
            ph_buf_puts(&sql, "NULL::bigint, NULL::boolean");
        }
    }
    ph_buf_puts(&sql, " ORDER BY 1");
    rc = ph_buf_ok(&sql) ? ph_conn_query(target, ph_buf_text(&sql), 0, NULL, &result, err)
                         : PH_FAIL(err, PH_E_MEMORY, "no memory for a list of sequences");
    for (uint32_t i = 0; rc == PH_OK && i < n; i++)
        compare_one(&source->sequences[batch[i]], result, (int)i, findings);
    ph_result_free(result);
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_sequences_compare(struct ph_conn *target, const struct ph_sequences *sequences,
                     struct ph_findings *findings, struct ph_error *err)
{
    uint32_t batch[BATCH];
    uint32_t n = 0;

    for (uint32_t i = 0; i < sequences->source->n_sequences; i++) {
        if (is_wanted(sequences, i))
            batch[n++] = i;
        if (n == BATCH) {
            PH_TRY(compare_batch(target, sequences->source, batch, n, findings, err));
            n = 0;
        }
    }
    return n > 0 ? compare_batch(target, sequences->source, batch, n, findings, err) : PH_OK;
}
