#include "flow/change_notes.h"

#include <stdlib.h>

#include "pg/ledger_quarantine.h"

/* Of rows that go to quarantine, before they are sent. */
#define QUARANTINE_FULL ((size_t)4 << 20)
#define QUARANTINE_LIMIT ((size_t)256 << 20)
#define ORPHANS_LIMIT ((size_t)64 << 20)

void
ph_change_notes_init(struct ph_change_notes *notes, const char *job, enum ph_orphans_of of)
{
    *notes = (struct ph_change_notes){.job = job, .of = of};
    ph_buf_init(&notes->quarantine, QUARANTINE_LIMIT);
}

void
ph_change_notes_free(struct ph_change_notes *notes)
{
    for (uint32_t i = 0; i < notes->n_tables; i++)
        ph_orphans_free(notes->tables[i]);
    free(notes->tables);
    ph_buf_free(&notes->quarantine);
    *notes = (struct ph_change_notes){0};
}

void
ph_change_notes_clear(struct ph_change_notes *notes)
{
    ph_buf_clear(&notes->quarantine);
    for (uint32_t i = 0; notes->has_orphans && i < notes->n_tables; i++) {
        if (notes->tables[i] != NULL)
            ph_orphans_clear(notes->tables[i]);
    }
    notes->has_orphans = false;
}

bool
ph_change_notes_is_full(const struct ph_change_notes *notes)
{
    return notes->quarantine.len >= QUARANTINE_FULL;
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory to note what became of changes");
}

ph_code
ph_change_notes_quarantine(struct ph_change_notes *notes, const struct ph_table_plan *table,
                           const char *key, const char *column, const char *reason,
                           struct ph_error *err)
{
    if (notes->of == PH_ORPHANS_EARLY)
        return PH_FAIL(err, PH_E_UNSUPPORTED, "a row goes to quarantine");
    ph_ledger_put_quarantined(&notes->quarantine, notes->job,
                              &(struct ph_quarantined_row){table, key, column, reason});
    return ph_buf_ok(&notes->quarantine) ? PH_OK : no_memory(err);
}

static bool
make_room(struct ph_change_notes *notes, uint32_t table)
{
    if (table < notes->n_tables)
        return true;
    struct ph_orphans **larger =
        realloc(notes->tables, ((size_t)table + 1) * sizeof *notes->tables);
    if (larger == NULL)
        return false;
    for (uint32_t i = notes->n_tables; i <= table; i++)
        larger[i] = NULL;
    notes->tables = larger;
    notes->n_tables = table + 1;
    return true;
}

ph_code
ph_change_notes_orphans(struct ph_change_notes *notes, const struct ph_table_plan *table,
                        const struct ph_value *in, struct ph_error *err)
{
    if (!make_room(notes, table->index) ||
        !ph_orphans_note(&notes->tables[table->index], table, in))
        return no_memory(err);
    notes->has_orphans = true;
    return PH_OK;
}

static ph_code
send_orphans(struct ph_change_notes *notes, struct ph_apply_target *target, struct ph_error *err)
{
    struct ph_buf sql;

    ph_buf_init(&sql, ORPHANS_LIMIT);
    for (uint32_t i = 0; i < notes->n_tables; i++) {
        if (notes->tables[i] != NULL)
            ph_orphans_put(notes->tables[i], notes->job, (int32_t)notes->of, &sql);
    }
    ph_ledger_put_orphans_add(&sql);
    ph_code rc =
        ph_buf_ok(&sql) ? ph_apply_send_plain(target, ph_buf_text(&sql), err) : no_memory(err);
    ph_buf_free(&sql);
    return rc;
}

ph_code
ph_change_notes_send(struct ph_change_notes *notes, struct ph_apply_target *target,
                     struct ph_error *err)
{
    if (notes->quarantine.len > 0)
        PH_TRY(ph_apply_send_plain(target, ph_buf_text(&notes->quarantine), err));
    if (notes->has_orphans)
        PH_TRY(send_orphans(notes, target, err));
    ph_change_notes_clear(notes);
    return PH_OK;
}
