/*
 * Values of other tables. Of a table of the source that may change they are columns of the SELECT,
 * so that PostgreSQL looks them up under the snapshot that the rows are read under. A table of
 * another database, and one that is declared constant, is read whole beforehand, and the value is
 * found by whoever has read the row (lookup.h): by the bytes of the key, so that only types may be
 * keys there whose equal values have, or can be given, equal bytes (lookup_key.h).
 */
#include "model/type_match.h"
#include "rules/check_parts.h"

#define SQL_LIMIT ((size_t)1 << 20)

struct looking {
    struct ph_checker *checker;
    struct ph_draft *draft;
    const struct ph_rule_lookup *rule;
    const struct ph_catalog *catalog; /* that has the table */
    const struct ph_rel *table;
    const struct ph_column *key;
    const struct ph_column *value;
    const struct ph_column *from;
    char key_class[PH_CLASS_SIZE];
    char from_class[PH_CLASS_SIZE];
    char value_class[PH_CLASS_SIZE];
    enum ph_lookup_key key_kind;
    bool is_apart; /* not by the SELECT */
    struct ph_route_lookup out;
};

static bool
is_unique(const struct ph_rel *rel, const struct ph_column *column)
{
    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        const struct ph_index *index = &rel->indexes[i];
        if (index->is_unique && index->is_valid && !index->is_partial && !index->has_expressions &&
            index->n_keys == 1 && index->key_attnums[0] == column->attnum)
            return true;
    }
    return false;
}

static enum ph_lookup_key
key_of(const struct ph_catalog *catalog, const struct ph_column *column, const char *class)
{
    const struct ph_type *type = ph_type_base(catalog, column->type_oid);

    return type == NULL || column->nondeterministic
               ? PH_BY_NONE
               : ph_lookup_key_of(class, type->name, type->kind == 'e');
}

/* ---- what the rule says ---- */

static const struct ph_catalog *
catalog_of(const struct looking *looking)
{
    const struct ph_ruleset_params *params = looking->checker->params;

    if (looking->rule->database == NULL)
        return params->source;
    for (uint32_t i = 0; i < params->n_databases; i++) {
        if (strcmp(params->databases[i].conninfo, looking->rule->database) == 0)
            return params->databases[i].catalog;
    }
    return NULL;
}

static void
check_kinds(struct looking *looking)
{
    const struct ph_column *key = looking->key;

    if (looking->key_kind != PH_BY_NONE && looking->out.from != PH_BY_NONE)
        return;
    ph_check_problem(
        looking->checker, looking->draft, looking->rule->key.place,
        "values of type %s cannot be looked up in another database or a constant table, where "
        "equal ones may have different bytes: take a key of another type%s",
        key->type_text != NULL ? key->type_text : looking->key_class,
        looking->rule->database != NULL
            ? ", or bring the table into the source and look it up there"
            : ", or leave out `constant: true` and --follow");
}

static void
check_key(struct looking *looking)
{
    struct ph_checker *checker = looking->checker;
    const struct ph_rel *table = looking->table;
    const struct ph_column *key = looking->key;

    looking->key_kind = key_of(looking->catalog, key, looking->key_class);
    looking->out.from = key_of(checker->params->source, looking->from, looking->from_class);
    if (!is_unique(table, key))
        ph_check_problem(checker, looking->draft, looking->rule->key.place,
                         "%s.%s.%s is not unique: a lookup must find one row", table->schema,
                         table->name, key->name);
    if (strcmp(looking->key_class, looking->from_class) != 0 &&
        (looking->key_kind != looking->out.from || looking->key_kind == PH_BY_NONE))
        ph_check_problem(checker, looking->draft, looking->rule->key.place,
                         "%s.%s.%s is of another type than %s", table->schema, table->name,
                         key->name, looking->from->name);
    else if (looking->is_apart)
        check_kinds(looking);
}

/* OIDs of another database stand for something else, here and on the target. */
static void
check_value(struct looking *looking)
{
    const struct ph_type *type = ph_type_base(looking->catalog, looking->value->type_oid);
    const char *class = looking->value_class;
    bool is_array = strstr(class, "[]") != NULL;

    if (is_array && type != NULL)
        type = ph_catalog_type(looking->catalog, type->elem_oid);
    if (strchr(class, '.') == NULL &&
        (!is_array || (type != NULL && strcmp(type->schema, "pg_catalog") == 0)))
        return;
    ph_check_problem(looking->checker, looking->draft, looking->rule->value.place,
                     "values of type %s cannot be looked up in another database or a constant "
                     "table",
                     class);
}

/* *found: all that is named is there. */
static ph_code
find_names(struct looking *looking, const struct ph_rule_column *rule, bool *found)
{
    struct ph_checker *checker = looking->checker;
    struct ph_draft *draft = looking->draft;

    *found = false;
    looking->catalog = catalog_of(looking);
    if (looking->catalog == NULL)
        return PH_FAIL(checker->err, PH_E_INTERNAL, "a lookup's database was not opened");
    looking->from = ph_check_source_column(checker, draft,
                                           rule->from.n > 0 ? rule->from.items[0] : rule->target);
    looking->table = ph_check_table_named(checker, draft, looking->catalog, looking->rule->table);
    if (looking->from == NULL || looking->table == NULL)
        return PH_OK;
    draft->taken[looking->from - draft->source->columns] = true;
    draft->classified[looking->from - draft->source->columns].is_decided = true;
    looking->key = ph_check_column_named(checker, draft, looking->table, looking->rule->key);
    looking->value = ph_check_column_named(checker, draft, looking->table, looking->rule->value);
    if (looking->key == NULL || looking->value == NULL)
        return PH_OK;
    if (!ph_type_class(looking->catalog, looking->key->type_oid, looking->key_class) ||
        !ph_type_class(looking->catalog, looking->value->type_oid, looking->value_class) ||
        !ph_type_class(checker->params->source, looking->from->type_oid, looking->from_class))
        return PH_FAIL(checker->err, PH_E_INTERNAL, "a type of %s is not known",
                       looking->table->name);
    *found = true;
    check_key(looking);
    if (looking->is_apart)
        check_value(looking);
    return PH_OK;
}

/* ---- where the value comes from ---- */

/* Of the row that is found, as a column of the source's SELECT. */
static const char *
column_sql(const struct looking *looking, const char *what)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "(SELECT ");
    if (what != NULL)
        ph_buf_puts(&sql, what);
    else
        ph_check_put_others(&sql, "looked", looking->value->name);
    ph_buf_puts(&sql, " FROM ");
    ph_check_put_only(&sql, looking->table, "looked");
    ph_buf_puts(&sql, " WHERE ");
    ph_check_put_others(&sql, "looked", looking->key->name);
    ph_buf_puts(&sql, " = ");
    ph_check_put_own(&sql, looking->draft, looking->from->name);
    ph_buf_putc(&sql, ')');
    const char *out =
        ph_buf_ok(&sql) ? ph_arena_strdup(looking->checker->arena, ph_buf_text(&sql)) : NULL;
    ph_buf_free(&sql);
    return out;
}

/* Of all rows. */
static const char *
table_sql(const struct looking *looking)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_puts(&sql, "SELECT ");
    ph_check_put_others(&sql, "looked", looking->key->name);
    ph_buf_puts(&sql, ", ");
    ph_check_put_others(&sql, "looked", looking->value->name);
    ph_buf_puts(&sql, " FROM ");
    ph_check_put_only(&sql, looking->table, "looked");
    ph_buf_puts(&sql, " WHERE ");
    ph_check_put_others(&sql, "looked", looking->key->name);
    ph_buf_puts(&sql, " IS NOT NULL");
    const char *out =
        ph_buf_ok(&sql) ? ph_arena_strdup(looking->checker->arena, ph_buf_text(&sql)) : NULL;
    ph_buf_free(&sql);
    return out;
}

static bool
is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The set's number of it: what several columns look up in is read once. */
static ph_code
add_lookup(struct ph_checker *checker, const struct ph_lookup *lookup, uint32_t *number)
{
    struct ph_ruleset *set = checker->set;

    for (*number = 0; *number < set->n_lookups; ++*number) {
        const struct ph_lookup *other = &set->lookups[*number];
        if (is_same_text(other->database, lookup->database) &&
            is_same_text(other->sql, lookup->sql) && strcmp(other->label, lookup->label) == 0 &&
            other->is_constant == lookup->is_constant)
            return PH_OK;
    }
    if (set->n_lookups == set->cap_lookups) {
        uint32_t cap = set->cap_lookups == 0 ? 8 : set->cap_lookups * 2;
        struct ph_lookup *lookups = PH_ARENA_ARRAY(checker->arena, struct ph_lookup, cap);
        if (lookups == NULL)
            return ph_check_no_memory(checker);
        if (set->n_lookups > 0)
            memcpy(lookups, set->lookups, set->n_lookups * sizeof *lookups);
        set->lookups = lookups;
        set->cap_lookups = cap;
    }
    set->lookups[set->n_lookups++] = *lookup;
    return PH_OK;
}

static ph_code
set_inputs(struct looking *looking)
{
    struct ph_checker *checker = looking->checker;
    struct ph_draft *draft = looking->draft;
    struct ph_route_lookup *out = &looking->out;

    PH_TRY(ph_check_input(checker, draft, looking->from, &out->key));
    out->found = PH_LOOKUP_NONE;
    if (looking->is_apart)
        return ph_check_input_looked_up(checker, draft, looking->value_class, &out->value);
    PH_TRY(ph_check_input_sql(checker, draft, column_sql(looking, NULL), looking->value->type_oid,
                              &out->value));
    out->found = out->value;
    if (looking->value->not_null)
        return PH_OK;
    return ph_check_input_sql(checker, draft, column_sql(looking, "true"), 0, &out->found);
}

static const char *
key_sql(const struct looking *looking)
{
    struct ph_buf sql;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_check_put_others(&sql, "looked", looking->key->name);
    const char *out = ph_arena_strdup(looking->checker->arena, ph_buf_text(&sql));
    ph_buf_free(&sql);
    return out;
}

/* What is needed of it when its catalog is gone. */
static const struct ph_rel *
table_copy(const struct looking *looking)
{
    struct ph_arena *arena = looking->checker->arena;
    struct ph_rel *copy = PH_ARENA_ARRAY(arena, struct ph_rel, 1);

    if (copy == NULL)
        return NULL;
    *copy = (struct ph_rel){.oid = looking->table->oid,
                            .kind = looking->table->kind,
                            .schema = ph_arena_strdup(arena, looking->table->schema),
                            .name = ph_arena_strdup(arena, looking->table->name)};
    return copy->schema != NULL && copy->name != NULL ? copy : NULL;
}

static ph_code
set_lookup(struct looking *looking)
{
    struct ph_checker *checker = looking->checker;
    struct ph_lookup lookup = {
        .database = looking->rule->database,
        .label = ph_arena_printf(checker->arena, "%s.%s.%s", looking->table->schema,
                                 looking->table->name, looking->key->name),
        .sql = looking->is_apart ? table_sql(looking) : NULL,
        .table = looking->is_apart ? table_copy(looking) : NULL,
        .key_sql = looking->is_apart ? key_sql(looking) : NULL,
        .key = looking->key_kind,
        .is_constant = looking->rule->is_constant,
    };

    if (lookup.label == NULL ||
        (looking->is_apart &&
         (lookup.sql == NULL || lookup.key_sql == NULL || lookup.table == NULL)))
        return ph_check_no_memory(checker);
    return add_lookup(checker, &lookup, &looking->out.lookup);
}

/* ---- what becomes of it ---- */

/* Behind the cast to the target's type, which leaves alone what was not found. */
static ph_code
add_found(struct looking *looking, uint32_t output)
{
    const struct ph_make_plan *make = &looking->draft->makes[output];
    struct ph_checker *checker = looking->checker;
    struct ph_step_plan *steps =
        PH_ARENA_ARRAY(checker->arena, struct ph_step_plan, (size_t)make->n_steps + 1);

    if (steps == NULL)
        return ph_check_no_memory(checker);
    if (make->n_steps > 0)
        memcpy(steps, make->steps, make->n_steps * sizeof *steps);
    struct ph_step_plan *step = &steps[make->n_steps];
    *step = (struct ph_step_plan){
        .kind = PH_STEP_FOUND,
        .call = PH_RULE_NONE,
        .otherwise = looking->rule->otherwise,
        .lookup_name = checker->set->lookups[looking->out.lookup].label,
        .key = looking->out.key,
        .is_text = strcmp(looking->from_class, "text") == 0,
    };
    if (step->otherwise == PH_ELSE_VALUE)
        PH_TRY(ph_check_constant(checker, looking->draft, looking->draft->outputs[output].target,
                                 looking->rule->else_value, &step->constant));
    looking->draft->makes[output].steps = steps;
    looking->draft->makes[output].n_steps++;
    return PH_OK;
}

static ph_code
set_words(struct looking *looking, struct ph_route_output *output)
{
    const struct ph_rule_lookup *rule = looking->rule;
    static const char *const otherwise[] = {
        [PH_ELSE_ERROR] = "; a row whose value is not there is an error",
        [PH_ELSE_QUARANTINE] = "; a row whose value is not there goes to quarantine",
        [PH_ELSE_NULL] = "",
        [PH_ELSE_KEEP] = "",
        [PH_ELSE_VALUE] = "; where there is none, ",
    };

    output->words = ph_arena_printf(
        looking->checker->arena, "%s of the row of %s.%s%s whose %s is %s%s%s", rule->value.text,
        rule->table.schema, rule->table.name, rule->database != NULL ? " in another database" : "",
        rule->key.text, looking->from->name, otherwise[rule->otherwise],
        rule->otherwise == PH_ELSE_VALUE ? rule->else_value.text : "");
    return output->words == NULL ? ph_check_no_memory(looking->checker) : PH_OK;
}

ph_code
ph_check_lookup(struct ph_checker *checker, struct ph_draft *draft, uint32_t output,
                const struct ph_rule_column *rule)
{
    struct looking looking = {.checker = checker,
                              .draft = draft,
                              .rule = &rule->lookup,
                              .is_apart =
                                  rule->lookup.database != NULL || rule->lookup.is_constant};
    struct ph_arg_plan *arg = PH_ARENA_ARRAY(checker->arena, struct ph_arg_plan, 1);
    bool found;

    if (arg == NULL)
        return ph_check_no_memory(checker);
    if (!rule->lookup.is_constant)
        ph_check_no_stream(draft, "a lookup reads another table, which changes by itself",
                           "say `constant: true` of one that nobody changes, copy it without "
                           "--follow, or carry the value in a column of the table");
    PH_TRY(find_names(&looking, rule, &found));
    if (!found)
        return PH_OK;
    PH_TRY(set_inputs(&looking));
    PH_TRY(set_lookup(&looking));
    arg->input = looking.out.value;
    looking.out.output = output;
    draft->lookups[draft->route->n_lookups++] = looking.out;
    const struct ph_chain_wanted wanted = {.args = arg, .n_args = 1, .place = rule->target.place};
    draft->needs_program = true;
    PH_TRY(ph_check_chain(checker, draft, output, &wanted));
    PH_TRY(add_found(&looking, output));
    draft->outputs[output].is_injective = false;
    PH_TRY(set_words(&looking, &draft->outputs[output]));
    return ph_check_fit(checker, draft, output, NULL);
}
