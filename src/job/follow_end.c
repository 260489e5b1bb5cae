/*
 * The end of a follow: what the stream does not bring. Changes of large objects are nowhere to be
 * seen but in the objects, so all of them are compared, as they are then.
 */
#include <stdlib.h>

#include "base/human.h"
#include "job/copy_parts.h"
#include "job/follow_parts.h"
#include "job/target_views.h"

/* The oids that findings of that severity are about. The caller frees. */
static ph_code
list_oids(const struct ph_findings *findings, enum ph_severity severity, uint32_t **oids,
          uint32_t *n, struct ph_error *err)
{
    *n = 0;
    *oids = calloc((size_t)findings->n + 1, sizeof **oids);
    if (*oids == NULL || findings->incomplete)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < findings->n; i++) {
        uint32_t oid = (uint32_t)strtoul(findings->items[i].object, NULL, 10);
        if (findings->items[i].severity == severity && (*n == 0 || (*oids)[*n - 1] != oid))
            (*oids)[(*n)++] = oid;
    }
    return PH_OK;
}

static ph_code
remove_alone(const struct ph_large_objects *objects, const struct ph_findings *findings,
             struct ph_error *err)
{
    uint32_t *oids = NULL;
    uint32_t n;
    ph_code rc = list_oids(findings, PH_FINDING_WARNING, &oids, &n, err);

    if (rc == PH_OK)
        rc = ph_large_objects_remove(objects, oids, n, err);
    free(oids);
    return rc;
}

/* Those that one list of differences reaches. *only: on the target alone. */
static ph_code
mend_large_objects(struct ph_large_objects *objects, enum ph_alone alone, uint64_t *n,
                   uint32_t *only, struct ph_error *err)
{
    struct ph_findings findings;
    uint32_t *oids = NULL;
    uint64_t bytes;

    *n = 0;
    ph_findings_init(&findings);
    ph_code rc = ph_large_objects_compare(objects, &findings, err);
    if (rc == PH_OK)
        rc = list_oids(&findings, PH_FINDING_ERROR, &oids, &objects->n_again, err);
    objects->again = oids;
    if (rc == PH_OK && alone == PH_ALONE_GOES)
        rc = remove_alone(objects, &findings, err);
    if (rc == PH_OK && objects->n_again > 0)
        rc = ph_large_objects_copy(objects, n, &bytes, err);
    *only = findings.n_warnings;
    ph_findings_reset(&findings);
    free(oids);
    objects->again = NULL;
    return rc;
}

ph_code
ph_copy_mend_large_objects(struct ph_job *job, enum ph_alone alone, uint64_t *n, uint32_t *only,
                           struct ph_error *err)
{
    struct ph_large_objects objects = ph_copy_large_objects_of(job);
    uint32_t reached = 0;

    objects.reached = &reached;
    *n = *only = 0;
    do {
        uint64_t mended;
        uint32_t alone_here;
        objects.after = reached;
        PH_TRY(mend_large_objects(&objects, alone, &mended, &alone_here, err));
        *n += mended;
        *only += alone_here;
    } while (reached != UINT32_MAX);
    return PH_OK;
}

static ph_code
carry_large_objects(struct ph_job *job, struct ph_error *err)
{
    char count[PH_HUMAN_SIZE];
    uint32_t only;
    uint64_t n;

    if (!job->selection.whole_database || job->is_one_database)
        return PH_OK;
    PH_TRY(
        ph_conn_exec(job->source_control, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err));
    ph_code rc = ph_copy_mend_large_objects(job, PH_ALONE_STAYS, &n, &only, err);
    (void)ph_conn_exec(job->source_control, "ROLLBACK", NULL);
    PH_TRY(rc);
    if (n > 0)
        ph_report_add_finding(&job->run->report, PH_FINDING_NOTE, "large objects", "",
                              "new or changed since the copy, and brought over at the end: %s",
                              ph_human_count(n, count));
    if (only > 0)
        ph_report_add_finding(&job->run->report, PH_FINDING_WARNING, "large objects", "",
                              "on the target only: %s; the source has removed them since the copy, "
                              "or somebody else made them (lo_unlink removes them)",
                              ph_human_count(only, count));
    return PH_OK;
}

ph_code
ph_follow_carry_rest(struct ph_job *job, struct ph_error *err)
{
    PH_TRY(ph_target_views_refresh(job, err));
    return carry_large_objects(job, err);
}
