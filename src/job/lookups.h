/*
 * Where values are looked up apart from the source's SELECT: in other databases, and in tables of
 * the source that are declared constant (docs/decisions/0019-lookups.md). All that is read of a
 * database is of one snapshot. What fits into memory is read whole when rules are made, and
 * nothing of it is open while rows are copied; of larger tables lanes ask for the keys they meet,
 * under that same snapshot, which is kept for them.
 */
#ifndef PH_JOB_LOOKUPS_H
#define PH_JOB_LOOKUPS_H

#include "base/error.h"
#include "job/options.h"
#include "pg/conn.h"
#include "rules/ruleset.h"

struct ph_lookup_source; /* a database: its session, its catalog */

struct ph_lookup_sources {
    struct ph_lookup_source *items;
    uint32_t n_items;
    struct ph_rule_database *databases; /* for the check of rules: those of the job file */
    uint32_t n_databases;
    struct ph_lookup_access *access; /* to what is not read whole; NULL: all is */
    struct ph_lookup_way *ways;      /* its */
    const struct ph_options *options;
};

/*
 * Open the databases that lookups of the job name, in sessions like those of `like`, each under a
 * snapshot of its own, and read their catalogs. They are cut with those of `like`, whenever a stop
 * is wished. What was opened is closed by ph_lookup_sources_close also after a failure. The errors
 * of connections, which name the job file's line and never the connection string.
 */
ph_code ph_lookup_sources_open(struct ph_lookup_sources *sources, const struct ph_options *options,
                               const struct ph_endpoint *like, struct ph_error *err) PH_MUST_CHECK;
/*
 * All rows of the tables that the set looks values up in, as far as they fit into a quarter of
 * --memory; *out is NULL when there are none. Sets sources->access for the others. PH_E_LOOKUP: one
 * does not fit, and its keys cannot be asked for.
 */
ph_code ph_lookup_sources_read(struct ph_lookup_sources *sources, const struct ph_ruleset *set,
                               struct ph_lookups **out, struct ph_error *err) PH_MUST_CHECK;
/* After that: sessions and catalogs that nobody needs any more go. */
void ph_lookup_sources_settle(struct ph_lookup_sources *sources);
/* Whether the snapshots that are kept are still there. */
bool ph_lookup_sources_live(struct ph_lookup_sources *sources);
void ph_lookup_sources_close(struct ph_lookup_sources *sources);

#endif
