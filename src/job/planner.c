/* The steps of making a plan: which tables, what they become on the target, order, chunks. */
#include "job/planner.h"

#include "job/planner_parts.h"
#include "rules/ruleset.h"

#define PROBLEMS_LIMIT ((size_t)1 << 20)
#define PAGE_BYTES 8192u
/* When nothing is known of the rows: what a row of an ordinary table takes. */
#define GUESSED_ROW_BYTES 100u
/* A heap page cannot hold more rows than this. */
#define MAX_ROWS_A_PAGE 291u

void
ph_planner_problem(struct ph_planner *planner, const struct ph_rel *rel)
{
    ph_buf_printf(&planner->problems, "%s%s.%s", planner->problems.len > 0 ? "; " : "", rel->schema,
                  rel->name);
}

static const char *
reason_to_omit(const struct ph_planner *planner, const struct ph_rel *rel)
{
    switch (rel->kind) {
    case PH_REL_FOREIGN:
        return "a foreign table: its rows live on another server, only the definition is copied";
    case PH_REL_MATVIEW:
        return "a materialized view: refreshed on the target at the end";
    case PH_REL_TABLE:
        if (rel->persistence == 't')
            return "a temporary table";
        if (rel->persistence == 'u' && planner->source->is_standby)
            return "unlogged: a standby does not have its rows";
        return NULL;
    case PH_REL_PARTITIONED:
    case PH_REL_SEQUENCE:
    case PH_REL_VIEW:
        break;
    }
    return NULL;
}

static ph_code
omit(struct ph_planner *planner, const struct ph_rel *rel, const char *reason)
{
    struct ph_omitted *omitted = &planner->plan->omitted[planner->plan->n_omitted++];

    omitted->object = ph_arena_printf(planner->arena, "%s.%s", rel->schema, rel->name);
    omitted->reason = reason;
    return omitted->object == NULL ? ph_planner_no_memory(planner) : PH_OK;
}

static uint64_t
estimate_rows(const struct ph_rel *rel)
{
    uint64_t heap_bytes = rel->pages * PAGE_BYTES;
    uint64_t most = rel->pages * MAX_ROWS_A_PAGE;

    if (!(rel->tuples > 0))
        return heap_bytes / GUESSED_ROW_BYTES;
    return rel->tuples < (double)most ? (uint64_t)rel->tuples : most;
}

static void
add_table(struct ph_plan *plan, const struct ph_rel *rel, const struct ph_route *route)
{
    struct ph_table_plan *table = &plan->tables[plan->n_tables++];

    *table = (struct ph_table_plan){
        .source = rel, .bytes = rel->bytes, .rows = estimate_rows(rel), .route = route};
    if (route == NULL && rel->is_config && rel->config_where != NULL &&
        rel->config_where[0] != '\0')
        table->where[PH_SOURCE] = table->where[PH_TARGET] = rel->config_where;
    plan->bytes += table->bytes;
    plan->rows += table->rows;
}

static bool
has_rules(const struct ph_planner *planner)
{
    return planner->params->rules != NULL && planner->params->rules->set != NULL;
}

static void
add_routes(const struct ph_planner *planner, const struct ph_rel *rel)
{
    uint32_t n = 0;
    const struct ph_route *routes =
        has_rules(planner) ? ph_ruleset_of(planner->params->rules->set, rel->oid, &n) : NULL;

    if (n == 0)
        add_table(planner->plan, rel, NULL);
    for (uint32_t i = 0; i < n; i++)
        add_table(planner->plan, rel, &routes[i]);
}

/* Tables that hold rows go into the plan, other relations with rows of a kind are omitted. */
static ph_code
collect(struct ph_planner *planner)
{
    const struct ph_catalog *source = planner->source;
    struct ph_plan *plan = planner->plan;

    size_t n_routes = has_rules(planner) ? ph_ruleset_count(planner->params->rules->set) : 0;

    plan->tables =
        PH_ARENA_ARRAY(planner->arena, struct ph_table_plan, source->n_rels + n_routes + 1);
    plan->omitted = PH_ARENA_ARRAY(planner->arena, struct ph_omitted, (size_t)source->n_rels + 1);
    if (plan->tables == NULL || plan->omitted == NULL)
        return ph_planner_no_memory(planner);
    for (uint32_t i = 0; i < source->n_rels; i++) {
        const struct ph_rel *rel = &source->rels[i];
        if (!ph_selection_has(planner->params->selection, source, rel))
            continue;
        const char *reason = reason_to_omit(planner, rel);
        if (reason != NULL) {
            PH_TRY(omit(planner, rel, reason));
        } else if (rel->kind == PH_REL_TABLE) {
            add_routes(planner, rel);
        }
    }
    return PH_OK;
}

/* Fails with what was collected, if anything was. */
static ph_code
report_problems(struct ph_planner *planner, ph_code code, const char *what)
{
    if (!ph_buf_ok(&planner->problems))
        return ph_planner_no_memory(planner);
    if (planner->problems.len == 0)
        return PH_OK;
    return PH_FAIL(planner->err, code, "%s%s", what, ph_buf_text(&planner->problems));
}

/* Whatever would read less than there is, or fail half way, is refused before anything starts. */
static ph_code
refuse_unreadable(struct ph_planner *planner)
{
    const struct ph_plan *plan = planner->plan;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (!plan->tables[i].source->can_read)
            ph_planner_problem(planner, plan->tables[i].source);
    }
    PH_TRY(report_problems(planner, PH_E_RIGHTS, "no right to read on the source: "));
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (plan->tables[i].source->rls_hides)
            ph_planner_problem(planner, plan->tables[i].source);
    }
    return report_problems(planner, PH_E_RLS, "policies may hide rows on the source: ");
}

/* The same for the side that rows go to; COPY into a table under policies does not exist. */
static ph_code
refuse_unwritable(struct ph_planner *planner)
{
    const struct ph_plan *plan = planner->plan;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (!plan->tables[i].target->can_read)
            ph_planner_problem(planner, plan->tables[i].target);
    }
    PH_TRY(report_problems(planner, PH_E_RIGHTS, "no right to insert and select on the target: "));
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        if (plan->tables[i].target->rls_hides)
            ph_planner_problem(planner, plan->tables[i].target);
    }
    return report_problems(planner, PH_E_RLS, "policies stand before the rows on the target: ");
}

static bool
is_below(const struct ph_planner *planner, const struct ph_rel *rel, const struct ph_rel *root)
{
    while (rel != NULL && rel->is_partition) {
        rel = ph_catalog_rel(planner->target, rel->parent_oid);
        if (rel == root)
            return true;
    }
    return false;
}

static void
put_overlaps(struct ph_planner *planner, const struct ph_table_plan *root)
{
    for (uint32_t i = 0; i < planner->plan->n_tables; i++) {
        const struct ph_table_plan *table = &planner->plan->tables[i];
        if (!is_below(planner, table->target, root->target))
            continue;
        ph_planner_problem(planner, table->source);
        ph_buf_printf(
            &planner->problems,
            ": its rows go into %s.%s on the target, which is a part of %s.%s, where those "
            "of %s.%s go: they could not be told apart; have both in it as partitions on "
            "the source, or neither, or leave one out",
            table->target->schema, table->target->name, root->target->schema, root->target->name,
            root->source->schema, root->source->name);
    }
}

/*
 * Tables may share a target, where they are emptied, compared and begun again together; but one
 * target within another would be taken for one of its own by all that does so.
 */
static ph_code
refuse_overlaps(struct ph_planner *planner)
{
    const struct ph_plan *plan = planner->plan;
    const struct ph_rel *last = NULL;

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_table_plan *table = &plan->tables[i];
        if (table->target->kind == PH_REL_PARTITIONED && table->target != last)
            put_overlaps(planner, table);
        last = table->target;
    }
    return report_problems(planner, PH_E_UNSUPPORTED, "");
}

static ph_code
make_plan(struct ph_planner *planner)
{
    struct ph_plan *plan = planner->plan;

    PH_TRY(collect(planner));
    PH_TRY(refuse_unreadable(planner));
    PH_TRY(ph_planner_index_target(planner));
    for (uint32_t i = 0; i < plan->n_tables; i++)
        PH_TRY(ph_planner_match(planner, &plan->tables[i]));
    PH_TRY(report_problems(planner, PH_E_TYPES, ""));
    PH_TRY(refuse_unwritable(planner));
    PH_TRY(refuse_overlaps(planner));
    PH_TRY(ph_planner_align(planner));
    PH_TRY(report_problems(planner, PH_E_TYPES, ""));
    PH_TRY(ph_planner_order(planner));
    return ph_planner_chunks(planner);
}

ph_code
ph_planner_make(const struct ph_planner_params *params, struct ph_arena *arena, struct ph_plan *out,
                struct ph_error *err)
{
    struct ph_planner planner = {
        .params = params,
        .source = params->source,
        .target = params->target == NULL ? params->source : params->target,
        .arena = arena,
        .plan = out,
        .err = err,
    };

    *out = (struct ph_plan){.arena = arena};
    ph_buf_init(&planner.problems, PROBLEMS_LIMIT);
    ph_code rc = make_plan(&planner);
    ph_buf_free(&planner.problems);
    return rc;
}
