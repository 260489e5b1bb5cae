/*
 * `pghaul verify --repair`: make the rows of a table on the target those of the source.
 *
 * One transaction a table: the target's table is locked against writers, both sides are compared
 * anew (the source under the verification's snapshot), rows are deleted, inserted and updated by
 * their place, and the table is compared once more before the commit. So it is equal afterwards or
 * untouched, and a second time changes nothing. The connections' thread.
 */
#ifndef PH_JOB_REPAIR_H
#define PH_JOB_REPAIR_H

#include <stdbool.h>

#include "job/options.h"
#include "job/row_diff.h"
#include "model/catalog.h"

struct ph_repair_params {
    const struct ph_options *options;
    const struct ph_table_plan *const *tables; /* one, or all that go into the same target */
    uint32_t n_tables;
    struct ph_conn *source; /* in a transaction under the snapshot */
    struct ph_conn *target; /* opened by ph_repair_open; in no transaction unless has_begun */
    enum ph_repair_mode {
        PH_REPAIR_REPLICA, /* session_replication_role: neither triggers nor foreign keys act */
        PH_REPAIR_ENFORCED /* foreign keys act; the table's owner disables user triggers */
    } mode;
    bool has_begun; /* the target's transaction, by ph_repair_begin */
};

struct ph_repaired {
    uint64_t deleted; /* rows */
    uint64_t inserted;
    uint64_t updated;
    bool triggers_fired; /* or rules acted: some could not be set aside, not being the owner's */
};

/* A session on the target that may write, in the best mode the role is permitted. */
ph_code ph_repair_open(const struct ph_endpoint *target, const struct ph_catalog *catalog,
                       struct ph_conn **conn, enum ph_repair_mode *mode, struct ph_error *err);
/*
 * The transaction of a repair, and the lock; `wait_ms` for that, 0: as long as it takes. Otherwise
 * ph_repair_table does it.
 */
ph_code ph_repair_begin(const struct ph_repair_params *params, unsigned wait_ms,
                        struct ph_error *err);
/*
 * PH_E_CONSTRAINT: rows of other tables have to be mended first. PH_E_DIFFERENT: rows still differ
 * (columns that the target generates do), nothing was changed. After any failure the connection is
 * in a failed transaction or broken: close it.
 */
ph_code ph_repair_table(const struct ph_repair_params *params, struct ph_repaired *out,
                        struct ph_error *err);

#endif
