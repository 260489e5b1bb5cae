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
