/*
 * What the ledger is told of changes in the transaction that carries them: rows that go to
 * quarantine, and how many changes looked up what is not there. Gathered beside a fold, sent behind
 * it, and void whenever that is. One thread.
 */
#ifndef PH_FLOW_CHANGE_NOTES_H
#define PH_FLOW_CHANGE_NOTES_H

#include "base/buf.h"
#include "flow/apply_target.h"
#include "flow/orphans.h"
#include "model/plan.h"
#include "pg/ledger_lookup.h"

struct ph_change_notes {
    const char *job;
    enum ph_orphans_of of;      /* by whom it is sent: each counts in rows of its own */
    struct ph_buf quarantine;   /* a statement; empty: none */
    struct ph_orphans **tables; /* of the plan, by index; NULL: none yet */
    uint32_t n_tables;
    bool has_orphans;
};

/* `job` must outlive it. ph_change_notes_free; fine on zeros. */
void ph_change_notes_init(struct ph_change_notes *notes, const char *job, enum ph_orphans_of of);
void ph_change_notes_free(struct ph_change_notes *notes);
/* Forget what was not sent. Values that were named once keep their names. */
void ph_change_notes_clear(struct ph_change_notes *notes);
/* To be sent before more is noted. */
bool ph_change_notes_is_full(const struct ph_change_notes *notes);

/* PH_E_UNSUPPORTED of PH_ORPHANS_EARLY, whose rows may be taken back; PH_E_MEMORY. */
ph_code ph_change_notes_quarantine(struct ph_change_notes *notes, const struct ph_table_plan *table,
                                   const char *key, const char *column, const char *reason,
                                   struct ph_error *err) PH_MUST_CHECK;
/* What is MISSING among the inputs of a new row. PH_E_MEMORY. */
ph_code ph_change_notes_orphans(struct ph_change_notes *notes, const struct ph_table_plan *table,
                                const struct ph_value *in, struct ph_error *err) PH_MUST_CHECK;

/* Into the target's transaction, as ph_apply_send_plain; nothing is noted then. */
ph_code ph_change_notes_send(struct ph_change_notes *notes, struct ph_apply_target *target,
                             struct ph_error *err) PH_MUST_CHECK;

#endif
