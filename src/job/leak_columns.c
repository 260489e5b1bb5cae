/* What a leak scan looks for, and where: by the rules, the plan and both catalogs. */
#include "job/leak_parts.h"

#include <string.h>

#include "rules/mask_lists.h"

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for the leak scan");
}

/* ---- types ---- */

static bool
is_one_of(const char *name, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(name, *names) == 0)
            return true;
    }
    return false;
}

static enum ph_leak_form
form_of_base(const struct ph_type *type)
{
    static const char *const few[] = {"int2",   "float4", "float8",  "money",    "oid",
                                      "xid",    "cid",    "regproc", "regclass", "regtype",
                                      "pg_lsn", "tid",    NULL};
    static const char *const times[] = {"timestamp", "timestamptz", NULL};
    static const char *const json[] = {"json", "jsonb", NULL};
    bool is_own = strcmp(type->schema, "pg_catalog") == 0;

    if (is_own && is_one_of(type->name, json))
        return PH_LEAK_JSON;
    if (is_own && is_one_of(type->name, times))
        return PH_LEAK_TIME;
    if (is_own && strcmp(type->name, "bytea") == 0)
        return PH_LEAK_BYTES;
    if (is_own && strcmp(type->name, "uuid") == 0)
        return PH_LEAK_UUID;
    if (is_own && is_one_of(type->name, few))
        return PH_LEAK_CHANCE;
    switch (type->category) {
    case 'S': /* strings */
    case 'U': /* xml, tsvector, hstore, types of one's own */
        return PH_LEAK_TEXT;
    case 'I':
        return PH_LEAK_ADDRESS;
    case 'N':
        return PH_LEAK_NUMBER;
    default: /* booleans, enums, dates, intervals, ranges, shapes, bits */
        return PH_LEAK_CHANCE;
    }
}

enum ph_leak_form
ph_leak_form_of(const struct ph_catalog *catalog, ph_oid type_oid)
{
    const struct ph_type *type = ph_catalog_type(catalog, type_oid);

    while (type != NULL && type->kind == 'd')
        type = ph_catalog_type(catalog, type->base_oid);
    if (type == NULL)
        return PH_LEAK_CHANCE;
    if (type->kind == 'c')
        return PH_LEAK_PARTS;
    if (type->kind != 'b')
        return PH_LEAK_CHANCE;
    if (type->elem_oid != 0 && type->category == 'A')
        return ph_leak_form_of(catalog, type->elem_oid) == PH_LEAK_CHANCE ? PH_LEAK_CHANCE
                                                                          : PH_LEAK_PARTS;
    return form_of_base(type);
}

/* ---- the source's ---- */

static ph_code
add_column(struct ph_leak_scan *scan, const struct ph_rel *rel, const struct ph_column *column,
           struct ph_error *err)
{
    for (uint32_t i = 0; i < scan->n_columns; i++) {
        if (scan->columns[i].rel == rel && scan->columns[i].column == column)
            return PH_OK;
    }
    struct ph_leak_column *at = &scan->columns[scan->n_columns++];
    at->rel = rel;
    at->column = column;
    at->form = ph_leak_form_of(&scan->verify->catalogs[PH_SOURCE], column->type_oid);
    at->label = ph_arena_printf(scan->arena, "%s.%s.%s", rel->schema, rel->name, column->name);
    return at->label == NULL ? no_memory(err) : PH_OK;
}

static uint32_t
count_hidden(const struct ph_ruleset *set)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < ph_ruleset_count(set); i++) {
        const struct ph_route *route = ph_ruleset_route(set, i);
        for (uint32_t k = 0; k < route->n_outputs; k++)
            n += route->outputs[k].mask != NULL ? route->outputs[k].n_hidden : 0;
    }
    return n;
}

static ph_code
add_hidden(struct ph_leak_scan *scan, const struct ph_route *route,
           const struct ph_route_output *output, struct ph_error *err)
{
    if (output->mask == NULL)
        return PH_OK;
    scan->omits_listed |= ph_mask_is_of_lists(output->mask);
    for (uint32_t i = 0; i < output->n_hidden; i++) {
        const struct ph_column *column = route->inputs[output->reads[i]].column;
        if (column != NULL)
            PH_TRY(add_column(scan, route->source, column, err));
    }
    return PH_OK;
}

ph_code
ph_leak_find_columns(struct ph_leak_scan *scan, struct ph_error *err)
{
    const struct ph_ruleset *set = scan->verify->rules.set;
    uint32_t n = set != NULL ? count_hidden(set) : 0;

    scan->columns = PH_ARENA_ARRAY(scan->arena, struct ph_leak_column, (size_t)n + 1);
    if (scan->columns == NULL)
        return no_memory(err);
    for (uint32_t i = 0; n > 0 && i < ph_ruleset_count(set); i++) {
        const struct ph_route *route = ph_ruleset_route(set, i);
        for (uint32_t k = 0; k < route->n_outputs; k++)
            PH_TRY(add_hidden(scan, route, &route->outputs[k], err));
    }
    return PH_OK;
}

/* ---- the target's ---- */

/* The plan's tables are leaves where both sides have the same partitions; a scan's are roots. */
static bool
leads_to(const struct ph_table_plan *table, const struct ph_rel *rel)
{
    return table->target->oid == rel->oid || table->target->root_oid == rel->oid;
}

bool
ph_leak_is_filled(const struct ph_verify *verify, const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < verify->plan.n_tables; i++) {
        if (leads_to(&verify->plan.tables[i], rel))
            return true;
    }
    return false;
}

/* Whether rows were read back and are what the rules make of the source's. */
static bool
is_proven(const struct ph_verify *verify, const struct ph_table_plan *table)
{
    for (uint32_t i = 0; i < verify->n_groups; i++) {
        const struct ph_verify_group *group = &verify->groups[i];
        if (group->target_view.target == table->target)
            return verify->options->verify == PH_VERIFY_DIGEST && group->compared &&
                   !group->differs;
    }
    return false;
}

/* How a column of the target comes to its values, the most telling way of several. */
struct filling {
    const char *as_it_is; /* column of the source */
    const char *by_rule;  /* in words */
    bool by_mask;
    bool is_proven;       /* by_mask: of all of it */
    bool keeps;           /* by_mask: rows that were there keep what they had */
    const char *preserve; /* rows that the job leaves alone and that were not compared */
};

static const struct ph_route_output *
output_of(const struct ph_route *route, const char *column)
{
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        if (strcmp(route->outputs[i].target->name, column) == 0)
            return &route->outputs[i];
    }
    return NULL;
}

static const char *
full_name(const struct ph_leak_scan *scan, const struct ph_rel *rel, const char *column)
{
    return ph_arena_printf(scan->arena, "%s.%s.%s", rel->schema, rel->name, column);
}

static void
add_route(const struct ph_leak_scan *scan, const struct ph_table_plan *table, const char *column,
          struct filling *filling)
{
    const struct ph_route_output *output = output_of(table->route, column);

    if (table->route->preserve != NULL)
        filling->preserve = table->route->preserve;
    if (output == NULL)
        return;
    if (output->mask != NULL) {
        /* rows that were there keep the target's value, which the proof does not know */
        filling->keeps |=
            ph_route_preserves(table->route, (uint32_t)(output - table->route->outputs));
        filling->is_proven = (!filling->by_mask || filling->is_proven) &&
                             is_proven(scan->verify, table) && !filling->keeps;
        filling->by_mask = true;
    } else if (output->source != NULL) {
        filling->as_it_is = full_name(scan, table->source, output->source->name);
    } else {
        filling->by_rule = output->words != NULL ? output->words : "a constant";
    }
}

static struct filling
find_filling(const struct ph_leak_scan *scan, const struct ph_rel *rel, const char *column)
{
    const struct ph_plan *plan = &scan->verify->plan;
    struct filling filling = {0};

    for (uint32_t i = 0; i < plan->n_tables; i++) {
        const struct ph_table_plan *table = &plan->tables[i];
        if (!leads_to(table, rel))
            continue;
        if (table->route != NULL)
            add_route(scan, table, column, &filling);
        for (uint32_t k = 0; table->route == NULL && k < table->n_columns; k++) {
            if (strcmp(table->columns[k].target_name, column) == 0)
                filling.as_it_is = full_name(scan, table->source, table->columns[k].source_name);
        }
    }
    return filling;
}

static const char *
words_of(const struct ph_leak_scan *scan, const struct filling *filling, const struct ph_rel *rel)
{
    if (filling->as_it_is != NULL)
        return ph_arena_printf(scan->arena, "the job copies the column unmasked from %s",
                               filling->as_it_is);
    if (filling->by_rule != NULL)
        return ph_arena_printf(scan->arena, "the job's rule for the column masks nothing (%.200s)",
                               filling->by_rule);
    if (filling->by_mask && filling->is_proven)
        return "in rows that the job preserves";
    if (filling->keeps)
        return "a mask makes the column, but rows that were there keep what they had";
    if (filling->by_mask)
        return "a mask makes the column, but its rows were not proven equal";
    return ph_leak_is_filled(scan->verify, rel) ? "the job does not fill the column"
                                                : "the job does not fill the table";
}

static bool
is_wanted(const struct ph_leak_scan *scan, enum ph_leak_form form)
{
    switch (form) {
    case PH_LEAK_TEXT:
    case PH_LEAK_BYTES:
    case PH_LEAK_JSON:
    case PH_LEAK_PARTS:
    case PH_LEAK_ADDRESS:
        return true;
    case PH_LEAK_NUMBER:
        return scan->has_numbers;
    case PH_LEAK_UUID:
        return scan->has_uuids;
    case PH_LEAK_TIME:
        return scan->has_times;
    case PH_LEAK_CHANCE:
        return false;
    }
    return false;
}

static bool
is_skipped(const struct ph_leak_scan *scan, const struct ph_rel *rel, const char *column)
{
    for (uint32_t i = 0; i < scan->n_skips; i++) {
        const struct ph_leak_skip *skip = &scan->skips[i];
        if ((skip->table.schema == NULL || ph_pattern_matches(skip->table.schema, rel->schema)) &&
            ph_pattern_matches(skip->table.name, rel->name) &&
            (skip->column == NULL || ph_pattern_matches(skip->column, column)))
            return true;
    }
    return false;
}

static bool
is_only_masks(const struct filling *filling)
{
    return filling->by_mask && filling->is_proven && filling->as_it_is == NULL &&
           filling->by_rule == NULL;
}

static ph_code
add_field(const struct ph_leak_scan *scan, const struct ph_rel *rel, const struct ph_column *column,
          struct ph_leak_table *out, struct ph_error *err)
{
    enum ph_leak_form form = ph_leak_form_of(&scan->verify->catalogs[PH_TARGET], column->type_oid);

    if (!is_wanted(scan, form) || is_skipped(scan, rel, column->name))
        return PH_OK;
    struct filling filling = find_filling(scan, rel, column->name);
    bool only_masks = is_only_masks(&filling);
    if (only_masks && filling.preserve == NULL)
        return PH_OK;
    struct ph_leak_field *field = &out->fields[out->n_fields++];
    *field = (struct ph_leak_field){
        .name = column->name,
        .form = form,
        .only = only_masks ? filling.preserve : NULL,
        .how = words_of(scan, &filling, rel),
    };
    return field->how == NULL ? no_memory(err) : PH_OK;
}

/* Only some of the values are looked for, so any text may be one, but where it is a mask's. */
static bool
is_short(const struct ph_leak_scan *scan, const struct ph_rel *rel, const struct ph_column *column)
{
    const struct filling filling = find_filling(scan, rel, column->name);

    switch (ph_leak_form_of(&scan->verify->catalogs[PH_TARGET], column->type_oid)) {
    case PH_LEAK_TEXT:
    case PH_LEAK_BYTES:
    case PH_LEAK_JSON:
    case PH_LEAK_PARTS:
    case PH_LEAK_ADDRESS:
        return !is_only_masks(&filling) || filling.preserve != NULL;
    case PH_LEAK_NUMBER:
    case PH_LEAK_UUID:
    case PH_LEAK_TIME:
    case PH_LEAK_CHANCE:
        return false;
    }
    return false;
}

static ph_code
find_keys(const struct ph_leak_scan *scan, const struct ph_rel *rel, struct ph_leak_table *out,
          struct ph_error *err)
{
    const struct ph_index *key = NULL;

    for (uint32_t i = 0; i < rel->n_indexes && key == NULL; i++)
        key = rel->indexes[i].is_primary ? &rel->indexes[i] : NULL;
    if (key == NULL)
        return PH_OK;
    out->keys = PH_ARENA_ARRAY(scan->arena, struct ph_leak_key, (size_t)key->n_keys + 1);
    if (out->keys == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < key->n_keys; i++) {
        for (uint32_t k = 0; k < rel->n_columns; k++) {
            if (rel->columns[k].attnum == key->key_attnums[i])
                out->keys[out->n_keys++] = (struct ph_leak_key){
                    rel->columns[k].name, is_short(scan, rel, &rel->columns[k])};
        }
    }
    return PH_OK;
}

ph_code
ph_leak_make_table(struct ph_leak_scan *scan, const struct ph_rel *rel, struct ph_leak_table *out,
                   struct ph_error *err)
{
    *out = (struct ph_leak_table){
        .schema = rel->schema, .name = rel->name, .is_plain = rel->kind == PH_REL_TABLE};
    out->fields = PH_ARENA_ARRAY(scan->arena, struct ph_leak_field, (size_t)rel->n_columns + 1);
    if (out->fields == NULL)
        return no_memory(err);
    for (uint32_t i = 0; i < rel->n_columns; i++)
        PH_TRY(add_field(scan, rel, &rel->columns[i], out, err));
    return find_keys(scan, rel, out, err);
}
