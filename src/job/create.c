#include "job/create.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "pg/conninfo.h"
#include "pg/database.h"
#include "pg/readiness.h"

/* ---- the database ---- */

ph_code
ph_create_database(struct ph_run *run, struct ph_error *err)
{
    const struct ph_options *o = run->options;
    char path[4096];
    bool created;

    if (!ph_conninfo_names_database(o->target)) {
        PH_FAIL(err, PH_E_USAGE, "needs dbname in --target, to know the name to make");
        ph_error_object(err, "--create");
        return PH_E_USAGE;
    }
    PH_TRY(ph_options_make_dir(o, err));
    snprintf(path, sizeof path, "%s/database-%d.dump", o->dir, (int)getpid());
    PH_TRY(ph_database_create(&(struct ph_database_params){.source = o->source,
                                                           .target = o->target,
                                                           .job = o->name,
                                                           .path = path,
                                                           .no_owner = o->no_owner,
                                                           .no_tablespaces = o->no_tablespaces},
                              &created, err));
    if (created) {
        run->wrote = PH_HAS_WRITTEN;
        ph_log(PH_LOG_INFO, "database.created", "the database was made on the target");
    }
    return PH_OK;
}

/* ---- what the server must have ---- */

static struct ph_needs_params
needs_of(struct ph_job *job)
{
    struct ph_needs_params params = {
        .source = job->source_control,
        .target = job->target_control,
        .arena = &job->arena,
        .no_owner = job->options->no_owner,
        .no_acl = job->options->no_acl,
        .no_tablespaces = job->options->no_tablespaces,
    };

    if (job->selection.rels != NULL && !job->selection.whole_database) {
        ph_oid *rels = PH_ARENA_ARRAY(&job->arena, ph_oid, (size_t)job->source_catalog.n_rels + 1);
        for (uint32_t i = 0; rels != NULL && i < job->source_catalog.n_rels; i++) {
            if (job->selection.rels[i])
                rels[params.n_rels++] = job->source_catalog.rels[i].oid;
        }
        params.rels = rels;
    }
    return params;
}

static void
find_roles(const struct ph_need_list *roles, struct ph_findings *findings)
{
    for (uint32_t i = 0; i < roles->n; i++) {
        const struct ph_need *role = &roles->items[i];
        bool is_role = role->why[0] == '\0';
        char cure[600];

        snprintf(cure, sizeof cure, "%s%s", role->sql,
                 is_role ? "; or --roles, or --no-owner --no-acl" : "");
        struct ph_finding_params params = {is_role ? PH_FINDING_ERROR : PH_FINDING_NOTE,
                                           is_role ? PH_E_NOT_READY : PH_OK, "role", role->name,
                                           cure};
        ph_finding_add(findings, &params, "%s",
                       is_role ? "owns or may use something on the source, and the target lacks it"
                               : "has memberships on the source");
    }
}

static void
find_others(const struct ph_need_list *needs, const char *kind, const char *cause, const char *cure,
            struct ph_findings *findings)
{
    for (uint32_t i = 0; i < needs->n; i++) {
        const struct ph_need *need = &needs->items[i];
        struct ph_finding_params params = {PH_FINDING_ERROR, PH_E_NOT_READY, kind, need->name,
                                           cure};
        ph_finding_add(findings, &params, "%s", need->why[0] != '\0' ? need->why : cause);
    }
}

ph_code
ph_create_find_needs(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    struct ph_needs_params params = needs_of(job);
    struct ph_need_list needs;

    PH_TRY(ph_needs_extensions(&params, &needs, err));
    find_others(&needs, "extension", "the target's server does not have it",
                "install its package on the target's server", findings);
    PH_TRY(ph_needs_tablespaces(&params, &needs, err));
    find_others(&needs, "tablespace", "the target does not have it",
                "make it on the target, or --no-tablespaces", findings);
    if (job->options->roles)
        return PH_OK;
    PH_TRY(ph_needs_roles(&params, &needs, err));
    find_roles(&needs, findings);
    return PH_OK;
}

ph_code
ph_create_roles(struct ph_job *job, struct ph_error *err)
{
    struct ph_needs_params params = needs_of(job);
    uint32_t n;

    job->run->wrote = PH_HAS_WRITTEN;
    PH_TRY(ph_roles_create(&params, &n, err));
    if (n > 0)
        ph_log(PH_LOG_INFO, "roles.created", "%u statements made the missing roles", n);
    return PH_OK;
}
