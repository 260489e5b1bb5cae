/*
 * The planner of the copy decides what is compared with what. It refuses a plan with a table that
 * does not fit; here that table is a finding, and the others are compared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "job/plan_generated.h"
#include "job/planner.h"
#include "job/verify_live.h"
#include "job/verify_parts.h"
#include "model/type_match.h"
#include "pg/ledger.h"
#include "pg/ledger_lookup.h"
#include "rules/lookup.h"
#include "wire/oid_remap.h"

/* More would cost memory in every lane; buckets of huge tables only hold more rows. */
#define MOST_BUCKETS 65536u

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for the plan");
}

static ph_code
make_plan(struct ph_verify *verify, const struct ph_selection *selection, struct ph_plan *out,
          struct ph_error *err)
{
    struct ph_planner_params params = {
        .source = &verify->catalogs[PH_SOURCE],
        .target = &verify->catalogs[PH_TARGET],
        .selection = selection,
        .rules = &verify->rules.in_use,
        .split_bytes = UINT64_MAX,
        .jobs = verify->jobs,
        .order = PH_ORDER_BY_SIZE,
        .freeze = PH_FREEZE_NEVER,
    };

    return ph_planner_make(&params, &verify->arena, out, err);
}

/* Constants are asked for over a connection that holds a snapshot: nothing is written. */
static ph_code
make_rules(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_rules_params params = {
        .options = verify->options,
        .source = &verify->catalogs[PH_SOURCE],
        .target = &verify->catalogs[PH_TARGET],
        .selection = &verify->selection,
        .conn = verify->conns[PH_TARGET],
        .follows = verify->live != NULL,
        .preserving = {.target = &verify->endpoints[PH_TARGET],
                       .catalog = &verify->catalogs[PH_TARGET],
                       .snapshot_id = verify->epochs[PH_TARGET].snapshot_id},
    };

    return ph_rules_make(&params, &verify->rules, err);
}

/* With another secret every row would be told to differ. */
static ph_code
check_marks(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_conn *conn = verify->conns[PH_TARGET];
    struct ph_ledger_job job;
    bool found;

    if (verify->rules.set == NULL)
        return PH_OK;
    PH_TRY(ph_ledger_exists(conn, &found, err));
    if (found)
        PH_TRY(ph_ledger_load_job(conn, verify->options->name, &job, &found, err));
    return found ? ph_rules_check_marks(&verify->rules, job.name, job.rule_marks, err) : PH_OK;
}

/*
 * What should be there is made of what would be looked up now. Where that is not what the copy
 * looked up, differences are real, and this says where they may come from.
 */
static ph_code
tell_lookups(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_conn *conn = verify->conns[PH_TARGET];
    const char *of_epoch;
    const char *then;
    char known[8];
    struct ph_buf now;

    if (verify->rules.lookups == NULL)
        return PH_OK;
    PH_TRY(ph_conn_value(conn,
                         "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute WHERE attrelid ="
                         " pg_catalog.to_regclass('pghaul.epoch') AND attname = 'lookups')",
                         known, sizeof known, err));
    if (known[0] != 't')
        return PH_OK;
    PH_TRY(ph_ledger_load_lookups(conn, verify->options->name, 0, &verify->arena, &of_epoch, &then,
                                  err));
    ph_buf_init(&now, (size_t)1 << 20);
    ph_lookups_digest(verify->rules.lookups, &now);
    if (!ph_lookups_same(then, ph_buf_text(&now), PH_LOOKUPS_ALL))
        ph_report_add_finding(verify->report, PH_FINDING_WARNING, "lookup", "",
                              "a table that values are looked up in has changed since the rows "
                              "were copied: rows are compared with what it holds now");
    ph_buf_free(&now);
    return PH_OK;
}

/* ---- tables that cannot be compared ---- */

static void
report_misfit(struct ph_verify *verify, const struct ph_rel *rel, const struct ph_error *why)
{
    char label[160];
    size_t len;

    snprintf(label, sizeof label, "%s.%s", rel->schema, rel->name);
    len = strlen(label);
    const char *text = why->message;
    if (strncmp(text, label, len) == 0 && strncmp(text + len, ": ", 2) == 0)
        text += len + 2;
    ph_report_add_finding(verify->report, PH_FINDING_ERROR, "table", label, "%s", text);
    struct ph_report_table *row = ph_report_add_table(verify->report, label);
    row->verdict = PH_TABLE_DIFFERENT;
    row->note = "not comparable";
    verify->different++;
}

/* Plan each table alone: those that fail are taken out of the selection. */
static ph_code
drop_misfits(struct ph_verify *verify, struct ph_error *err)
{
    const struct ph_catalog *catalog = &verify->catalogs[PH_SOURCE];
    struct ph_selection alone = verify->selection;
    struct ph_plan plan;

    alone.rels = PH_ARENA_ARRAY(&verify->arena, bool, (size_t)catalog->n_rels + 1);
    if (alone.rels == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < catalog->n_rels; i++) {
        struct ph_error why;
        if (!verify->selection.rels[i] || catalog->rels[i].kind != PH_REL_TABLE)
            continue;
        ph_error_reset(&why);
        alone.rels[i] = true;
        ph_code rc = make_plan(verify, &alone, &plan, &why);
        alone.rels[i] = false;
        if (rc == PH_E_TYPES) {
            report_misfit(verify, &catalog->rels[i], &why);
            verify->selection.rels[i] = false;
        } else if (rc != PH_OK) {
            if (err != NULL)
                *err = why;
            return rc;
        }
    }
    return make_plan(verify, &verify->selection, &verify->plan, err);
}

static ph_code
extend_table(struct ph_verify *verify, struct ph_table_plan *table, struct ph_error *err)
{
    char label[160];
    bool extended;
    ph_code rc =
        ph_plan_add_generated(table, &verify->catalogs[PH_SOURCE], &verify->catalogs[PH_TARGET],
                              &verify->arena, &extended, err);

    if (rc != PH_E_TYPES)
        return rc;
    ph_plan_table_label(table, label, sizeof label);
    ph_report_add_finding(verify->report, PH_FINDING_WARNING, "column", label,
                          "generated columns are not compared: %s", err->message);
    ph_error_reset(err);
    return PH_OK;
}

/* ---- groups ---- */

/* All tables of a group are read alike, and with one number of buckets. */
static ph_code
align(struct ph_verify *verify, struct ph_table_plan *const *tables, uint32_t n,
      struct ph_error *err)
{
    enum ph_format format = PH_FORMAT_BINARY;
    uint32_t buckets = tables[0]->n_buckets < MOST_BUCKETS ? tables[0]->n_buckets : MOST_BUCKETS;

    for (uint32_t i = 0; i < n; i++) {
        PH_TRY(extend_table(verify, tables[i], err));
        if (tables[i]->format == PH_FORMAT_TEXT)
            format = PH_FORMAT_TEXT;
    }
    for (uint32_t i = 0; i < n; i++) {
        tables[i]->n_buckets = buckets;
        tables[i]->format = format;
        if (tables[i]->inputs != NULL) /* it has its own */
            continue;
        tables[i]->remap = NULL;
        if (format == PH_FORMAT_BINARY)
            PH_TRY(ph_oid_remap_compile(tables[i]->columns, tables[i]->n_columns,
                                        &verify->catalogs[PH_SOURCE], &verify->catalogs[PH_TARGET],
                                        &verify->arena, &tables[i]->remap, err));
    }
    return PH_OK;
}

/* The target as a table to be read: what is `source` in it is the target's. */
static ph_code
make_target_view(struct ph_verify *verify, const struct ph_table_plan *table,
                 struct ph_table_plan *out, struct ph_error *err)
{
    struct ph_plan_column *columns =
        PH_ARENA_ARRAY(&verify->arena, struct ph_plan_column, (size_t)table->n_columns + 1);

    if (columns == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        columns[i] = table->columns[i];
        columns[i].source_name = columns[i].target_name;
        columns[i].source = columns[i].target;
    }
    *out = *table;
    out->source = table->target;
    out->columns = columns;
    out->remap = NULL;
    out->route = NULL;
    out->inputs = NULL;
    out->join = NULL;
    out->preserved = NULL;
    out->where[PH_SOURCE] = table->where[PH_TARGET];
    return PH_OK;
}

static const char *
label_of(struct ph_verify *verify, const struct ph_table_plan *first, uint32_t n)
{
    const struct ph_rel *target = first->target;
    char label[160];

    if (n > 1)
        return ph_arena_printf(&verify->arena, "%s.%s (%u %s)", target->schema, target->name, n,
                               first->route != NULL ? "routes" : "partitions");
    ph_plan_table_label(first, label, sizeof label);
    return ph_arena_strdup(&verify->arena, label);
}

static ph_code
make_group(struct ph_verify *verify, struct ph_table_plan **tables, uint32_t n,
           struct ph_verify_group *out, struct ph_error *err)
{
    const struct ph_rel *target = tables[0]->target;

    PH_TRY(align(verify, tables, n, err));
    *out = (struct ph_verify_group){.n_tables = n, .bytes = target->bytes};
    out->tables = PH_ARENA_ARRAY(&verify->arena, const struct ph_table_plan *, n);
    out->label = label_of(verify, tables[0], n);
    if (out->tables == NULL || out->label == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        out->tables[i] = tables[i];
        out->bytes += tables[i]->source->bytes;
    }
    return make_target_view(verify, tables[0], &out->target_view, err);
}

static int
compare_targets(const void *a, const void *b)
{
    const struct ph_table_plan *const *table_a = a;
    const struct ph_table_plan *const *table_b = b;

    if ((*table_a)->target->oid != (*table_b)->target->oid)
        return (*table_a)->target->oid < (*table_b)->target->oid ? -1 : 1;
    return (*table_a)->source->oid < (*table_b)->source->oid ? -1 : 1;
}

static ph_code
make_groups(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_plan *plan = &verify->plan;
    size_t n = (size_t)plan->n_tables + 1;
    struct ph_table_plan **sorted = PH_ARENA_ARRAY(&verify->arena, struct ph_table_plan *, n);

    verify->groups = PH_ARENA_ARRAY(&verify->arena, struct ph_verify_group, n);
    if (sorted == NULL || verify->groups == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < plan->n_tables; i++)
        sorted[i] = &plan->tables[i];
    qsort(sorted, plan->n_tables, sizeof(struct ph_table_plan *), compare_targets);
    for (uint32_t i = 0, family; i < plan->n_tables; i += family) {
        family = 1;
        while (i + family < plan->n_tables && sorted[i + family]->target == sorted[i]->target)
            family++;
        PH_TRY(make_group(verify, &sorted[i], family, &verify->groups[verify->n_groups], err));
        verify->n_groups++;
    }
    return PH_OK;
}

/* ---- tables that only the target has ---- */

/* A table that rules lead to; a partition of one that is compared as a whole is compared with it.
 */
static bool
is_compared(const struct ph_verify *verify, const struct ph_rel *rel)
{
    if (ph_catalog_rel_named(&verify->catalogs[PH_SOURCE], rel->schema, rel->name) != NULL)
        return true;
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        ph_oid oid = verify->groups[i].target_view.target->oid;
        if (oid == rel->oid || (rel->is_partition && oid == rel->root_oid))
            return true;
    }
    return false;
}

/* Where rules send rows, and where `backup:` keeps those that were there before. */
static bool
is_of_a_route(const struct ph_plan *plan, const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_route *route = plan->tables[i].route;
        if (route == NULL)
            continue;
        if (route->target->oid == rel->oid || route->target->oid == rel->root_oid)
            return true;
        if (route->backup != NULL && strcmp(route->backup, rel->schema) == 0 &&
            strcmp(route->target->name, rel->name) == 0)
            return true;
    }
    return false;
}

static ph_code
find_extra_tables(struct ph_verify *verify, struct ph_error *err)
{
    const struct ph_catalog *target = &verify->catalogs[PH_TARGET];
    struct ph_selection selection;
    struct ph_error why;

    ph_error_reset(&why);
    ph_code rc = ph_select(target, verify->options, &verify->arena, &selection, &why);
    if (rc == PH_E_SELECTION)
        return PH_OK; /* the target has nothing of that name */
    if (rc != PH_OK) {
        *err = why;
        return rc;
    }
    for (uint32_t i = 0; i < target->n_rels; i++) {
        const struct ph_rel *rel = &target->rels[i];
        char label[160];
        if (!ph_selection_has(&selection, target, rel) || rel->kind != PH_REL_TABLE ||
            is_compared(verify, rel) || is_of_a_route(&verify->plan, rel))
            continue;
        snprintf(label, sizeof label, "%s.%s", rel->schema, rel->name);
        ph_report_add_finding(verify->report, PH_FINDING_ERROR, "table", label,
                              "only on the target");
        verify->different++;
    }
    return PH_OK;
}

ph_code
ph_verify_plan(struct ph_verify *verify, struct ph_error *err)
{
    PH_TRY(ph_select(&verify->catalogs[PH_SOURCE], verify->options, &verify->arena,
                     &verify->selection, err));
    if (verify->live != NULL)
        PH_TRY(ph_verify_live_narrow(verify, err));
    PH_TRY(make_rules(verify, err));
    PH_TRY(check_marks(verify, err));
    PH_TRY(tell_lookups(verify, err));
    ph_code rc = make_plan(verify, &verify->selection, &verify->plan, err);
    if (rc == PH_E_TYPES) {
        ph_error_reset(err);
        rc = drop_misfits(verify, err);
    }
    PH_TRY(rc);
    PH_TRY(make_groups(verify, err));
    return find_extra_tables(verify, err);
}
