#include "job/preflight_routes.h"

#include "flow/apply_route.h"
#include "job/publish.h"
#include "model/identity.h"

#define BINARY_SINCE 140000
#define SQL_BYTES 1024u

#define FIND(code_, kind_, object_, cure_, ...)                                                    \
    ph_finding_add(                                                                                \
        findings,                                                                                  \
        &(struct ph_finding_params){PH_FINDING_ERROR, (code_), (kind_), (object_), (cure_)},       \
        __VA_ARGS__)

/* ---- a table as the stream will announce it ---- */

static bool
is_of(const struct ph_index *index, int16_t attnum)
{
    for (uint32_t i = 0; index != NULL && i < index->n_keys; i++) {
        if (index->key_attnums[i] == attnum)
            return true;
    }
    return false;
}

/* By the index of its replica identity, or the one that it could have. */
static ph_code
announce(struct ph_job *job, const struct ph_rel *rel, struct ph_stream_rel *out,
         struct ph_error *err)
{
    int version = job->source_catalog.version_num;
    struct ph_stream_column *columns =
        PH_ARENA_ARRAY(&job->arena, struct ph_stream_column, (size_t)rel->n_columns + 1);
    const struct ph_index *index;
    bool is_full = rel->replica_identity == 'f';

    if (columns == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (!ph_identity_is_usable(ph_rel_identity(rel, version, &index)))
        index = ph_rel_identity_candidate(rel, version);
    *out = (struct ph_stream_rel){.oid = rel->oid,
                                  .schema = rel->schema,
                                  .name = rel->name,
                                  .replica_identity = rel->replica_identity,
                                  .columns = columns};
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        const struct ph_column *column = &rel->columns[i];
        if (column->generated == '\0')
            columns[out->n_columns++] = (struct ph_stream_column){
                .name = column->name,
                .type_oid = column->type_oid,
                .typmod = column->typmod,
                .in_key = is_full || is_of(index, column->attnum),
            };
    }
    return PH_OK;
}

/* *verdict: PH_OK, or why not, as ph_apply_route_check says it. */
static ph_code
check_route(struct ph_job *job, const struct ph_table_plan *table, struct ph_error *verdict,
            struct ph_error *err)
{
    struct ph_stream_rel rel;

    ph_error_reset(verdict);
    PH_TRY(announce(job, table->source, &rel, err));
    ph_code rc = ph_apply_route_check(table, &rel, verdict);
    return rc == PH_E_MEMORY ? PH_FAIL(err, rc, "out of memory") : PH_OK;
}

static bool
takes_route(const struct ph_table_plan *table)
{
    return table->route != NULL && ph_publish_can(table);
}

ph_code
ph_preflight_need(struct ph_job *job, const struct ph_rel *source, enum ph_identity_need *need,
                  struct ph_error *err)
{
    struct ph_error verdict;

    *need = PH_NEED_KEY;
    for (uint32_t i = 0; i < job->plan.n_tables && *need == PH_NEED_KEY; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (table->source != source || !takes_route(table))
            continue;
        PH_TRY(check_route(job, table, &verdict, err));
        if (verdict.code == PH_E_IDENTITY)
            *need = PH_NEED_WHOLE_ROW;
    }
    return PH_OK;
}

/* ---- what is told ---- */

static void
tell_identity(const struct ph_job *job, const struct ph_table_plan *table,
              const struct ph_error *why, struct ph_findings *findings)
{
    const struct ph_rel *source = table->source;
    struct ph_finding_params params = {PH_FINDING_ERROR, PH_E_IDENTITY, "rules", table->route->name,
                                       why->hint};
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_BYTES);
    enum ph_identity_cure cure =
        ph_rel_identity_cure(source, job->source_catalog.version_num, PH_NEED_WHOLE_ROW, &sql);
    if (cure == PH_CURE_NONE) {
        params.cure = "copy without --follow, or --exclude the table";
        ph_finding_add(findings, &params,
                       "%s: that is REPLICA IDENTITY FULL, which is not possible, for it has "
                       "virtual generated columns",
                       why->message);
    } else if (!job->options->set_replica_identity) {
        ph_finding_add(findings, &params, "%s; --set-replica-identity runs the statement",
                       why->message);
    } else if (!source->is_owned) {
        params.code = PH_E_RIGHTS;
        ph_finding_add(findings, &params, "%s, and the role does not own the table", why->message);
    } else {
        params.severity = PH_FINDING_NOTE;
        params.code = PH_OK;
        params.cure = ph_buf_text(&sql);
        ph_finding_add(findings, &params,
                       "%s: the statement will be run on the source (FULL writes every old row to "
                       "the WAL)",
                       why->message);
    }
    ph_buf_free(&sql);
}

static ph_code
find_route(struct ph_job *job, const struct ph_table_plan *table, struct ph_findings *findings,
           struct ph_error *err)
{
    enum ph_identity identity =
        ph_rel_identity(table->source, job->source_catalog.version_num, NULL);
    struct ph_error why;

    if (!ph_identity_is_usable(identity))
        return PH_OK; /* told by itself */
    PH_TRY(check_route(job, table, &why, err));
    if (why.code == PH_E_IDENTITY)
        tell_identity(job, table, &why, findings);
    else if (why.code != PH_OK)
        FIND(why.code, "rules", table->route->name,
             why.hint[0] != '\0' ? why.hint : ph_code_way_out(why.code), "%s", why.message);
    return PH_OK;
}

/* ---- the stream's form ---- */

static void
find_text(const struct ph_job *job, struct ph_findings *findings)
{
    const struct ph_catalog *source = &job->source_catalog;
    bool has_target = job->target_catalog.version_num != 0;
    struct ph_error why;

    ph_error_reset(&why);
    if (source->version_num < BINARY_SINCE) {
        FIND(PH_E_VERSION, "rules", job->source.label,
             "copy without --follow, or from PostgreSQL 14 or newer",
             "rules need values in binary, which the stream of PostgreSQL %d does not bring",
             source->version_num / 10000);
    } else if (ph_apply_stream_format(&job->plan, source,
                                      has_target ? &job->target_catalog : source,
                                      &why) == PH_FORMAT_TEXT) {
        FIND(PH_E_UNSUPPORTED, "rules", why.object,
             "--exclude that table, or follow it by a job of its own without rules",
             "rules need a stream in binary, and its values need one in text: %s", why.message);
    }
}

ph_code
ph_preflight_routes(struct ph_job *job, struct ph_findings *findings, struct ph_error *err)
{
    bool has_program = false;

    for (uint32_t i = 0; i < job->plan.n_tables; i++) {
        const struct ph_table_plan *table = &job->plan.tables[i];
        if (!takes_route(table))
            continue;
        has_program |= table->inputs != NULL;
        PH_TRY(find_route(job, table, findings, err));
    }
    if (has_program)
        find_text(job, findings);
    return PH_OK;
}
