/*
 * Columns that only the target has keep what is in them as long as the stream says that it is still
 * the same row (ph_plan_is_own). Between partitions it does not: the old row comes as deleted and
 * the new one as any other.
 */
#include "job/preflight_follow.h"
#include "job/publish.h"

#define LABEL_BYTES 160

static void
find_own(const struct ph_table_plan *table, struct ph_findings *findings)
{
    const struct ph_column *own = ph_plan_first_own(table);
    char label[LABEL_BYTES];
    struct ph_finding_params params = {
        PH_FINDING_WARNING, PH_E_NOT_READY, "column", label,
        "keep what must not be lost in a table of its own, by the key"};

    if (own == NULL)
        return;
    ph_plan_table_label(table, label, sizeof label);
    ph_finding_add(findings, &params,
                   "%s is only on the target: a row that an UPDATE moves to another partition on "
                   "the source loses what it has there",
                   own->name);
}

void
ph_preflight_own_columns(const struct ph_job *job, struct ph_findings *findings)
{
    bool has_target = job->target_catalog.version_num != 0;

    for (uint32_t i = 0; has_target && i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (ph_publish_can(table) && table->source->is_partition &&
            ph_plan_is_first_of_source(&job->plan, i))
            find_own(table, findings);
    }
}
