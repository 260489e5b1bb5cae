/*
 * What the stream can do exactly. A change says which row it is about by the source's replica
 * identity alone; so the target's key must follow from that, and whatever else a rule or condition
 * reads must be known of the old row as well.
 */
#include "model/type_match.h"
#include "rules/check_parts.h"

/* PostgreSQL leaves a value in its row that has no more than 24 bytes, 4 of them its length. */
#define SHORT_DIGITS 24    /* in groups of four, one cut by the point, and 4 bytes before them */
#define SHORT_CHARACTERS 5 /* of 4 bytes */

void
ph_check_no_stream(struct ph_draft *draft, const char *reason, const char *cure)
{
    if (draft->route->no_stream != NULL)
        return;
    draft->route->no_stream = reason;
    draft->route->no_stream_cure = cure;
}

static bool
is_of_key(const struct ph_rel *source, const struct ph_column *column)
{
    for (uint32_t i = 0; i < source->n_indexes; i++) {
        const struct ph_index *index = &source->indexes[i];
        if (source->replica_identity == 'i' ? !index->is_identity : !index->is_primary)
            continue;
        for (uint32_t k = 0; k < index->n_keys; k++) {
            if (index->key_attnums[k] == column->attnum)
                return true;
        }
    }
    return false;
}

bool
ph_check_is_of_identity(const struct ph_rel *source, const struct ph_column *column)
{
    return source->replica_identity == 'f' || is_of_key(source, column);
}

/* A value of a domain has no typmod: what is not known may be long. */
static bool
is_always_short(const struct ph_type *type, int32_t typmod)
{
    if (strcmp(type->name, "numeric") == 0)
        return typmod >= 4 && ((typmod - 4) >> 16) <= SHORT_DIGITS;
    if (strcmp(type->name, "varchar") == 0 || strcmp(type->name, "bpchar") == 0)
        return typmod >= 4 && typmod - 4 <= SHORT_CHARACTERS;
    return false;
}

/*
 * Such values are never stored out of line, so they never come as unchanged: those of a fixed
 * length, and those that have no more bytes than the pointer that would stand for them.
 */
static bool
is_never_toasted(const struct ph_checker *checker, const struct ph_column *column)
{
    static const char *const fixed[] = {
        "bool",  "int2",     "int4",   "int8",      "float4",      "float8",  "date",    "time",
        "oid",   "uuid",     "timetz", "timestamp", "timestamptz", "money",   "char",    "xid",
        "point", "interval", "name",   "inet",      "cidr",        "macaddr", "macaddr8"};
    const struct ph_type *type = ph_type_base(checker->params->source, column->type_oid);

    if (type == NULL)
        return false;
    if (type->kind == 'e')
        return true;
    if (strcmp(type->schema, "pg_catalog") == 0 && is_always_short(type, column->typmod))
        return true;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (strcmp(type->schema, "pg_catalog") == 0 && strcmp(type->name, fixed[i]) == 0)
            return true;
    }
    return false;
}

static bool
may_be_unchanged(const struct ph_checker *checker, const struct ph_draft *draft,
                 const struct ph_column *column)
{
    return column != NULL && !is_of_key(draft->source, column) &&
           !is_never_toasted(checker, column);
}

/* Whether some of what the output is made of may come as unchanged. */
static bool
may_lack(const struct ph_checker *checker, const struct ph_draft *draft, uint32_t n)
{
    const struct ph_route_output *output = &draft->outputs[n];

    if (may_be_unchanged(checker, draft, output->source))
        return true;
    for (uint32_t i = 0; i < output->n_reads; i++) {
        if (may_be_unchanged(checker, draft, draft->inputs[output->reads[i]].column))
            return true;
    }
    /* what a value is looked up by is none of the rule's reads */
    for (uint32_t i = 0; i < draft->route->n_lookups; i++) {
        const struct ph_route_lookup *lookup = &draft->lookups[i];
        if (lookup->output == n &&
            may_be_unchanged(checker, draft, draft->inputs[lookup->key].column))
            return true;
    }
    return false;
}

static bool
may_lack_key(const struct ph_checker *checker, const struct ph_draft *draft)
{
    for (uint32_t i = 0; i < draft->route->n_key_inputs; i++) {
        if (may_be_unchanged(checker, draft, draft->inputs[draft->route->key_inputs[i]].column))
            return true;
    }
    return false;
}

/*
 * A rule over several values of which one may come as unchanged. The row's key is one of them: an
 * UPDATE of it makes another value of one that did not come, and where the replica identity is
 * another key, nothing even tells that the row's key was changed.
 */
static bool
may_lack_input(const struct ph_checker *checker, const struct ph_draft *draft, uint32_t n)
{
    const struct ph_route_output *output = &draft->outputs[n];

    if (output->is_keyed && may_lack_key(checker, draft))
        return true;
    return (output->n_reads > 1 || output->is_keyed) && may_lack(checker, draft, n);
}

/*
 * An UPDATE of the key may make a row that the target did not have: one that the condition left
 * out before, or one of several. It is inserted, so all of it must have come.
 */
static bool
may_lack_new_row(const struct ph_checker *checker, const struct ph_draft *draft)
{
    const struct ph_route *route = draft->route;

    if (!route->makes_rows && !route->filters && route->where == NULL)
        return false;
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        if (may_lack(checker, draft, i))
            return true;
    }
    return false;
}

/* Whether the target has a row is then a matter of all that its rules read of the old one. */
static bool
may_be_in_quarantine(const struct ph_draft *draft)
{
    const struct ph_route *route = draft->route;

    if (route->quarantines && route->has_program)
        return true;
    for (uint32_t i = 0; i < route->n_outputs; i++) {
        for (uint32_t k = 0; k < draft->makes[i].n_steps; k++) {
            const struct ph_step_plan *step = &draft->makes[i].steps[k];
            if ((step->kind == PH_STEP_MAP || step->kind == PH_STEP_FOUND) &&
                step->otherwise == PH_ELSE_QUARANTINE)
                return true;
        }
    }
    return false;
}

/* What the replica identity does not tell now it may tell when it was set. */
static bool
is_told(const struct ph_checker *checker, const struct ph_draft *draft,
        const struct ph_column *column)
{
    if (column == NULL)
        return false;
    if (ph_check_is_of_identity(draft->source, column))
        return true;
    draft->route->needs_old_row |= checker->params->sets_identity;
    return checker->params->sets_identity;
}

static const char *
why_key_is_lost(const struct ph_checker *checker, const struct ph_draft *draft,
                const struct ph_index *key, bool *columns)
{
    const struct ph_route *route = draft->route;
    bool tells_rows = !route->makes_rows;

    for (uint32_t k = 0; k < key->n_keys; k++) {
        uint32_t n = 0;
        while (n < route->n_outputs && draft->outputs[n].target->attnum != key->key_attnums[k])
            n++;
        if (n == route->n_outputs)
            return "the target's key is filled by a default there";
        tells_rows |= ph_check_tells_rows(draft, n);
        if (ph_check_tells_rows(draft, n) || draft->makes[n].kind == PH_MAKE_CONSTANT)
            continue;
        if (!draft->outputs[n].is_injective)
            return "the target's key is made by a rule that may make different keys equal";
        for (uint32_t i = 0; i < draft->outputs[n].n_reads; i++) {
            const struct ph_column *column = draft->inputs[draft->outputs[n].reads[i]].column;
            if (!is_told(checker, draft, column))
                return "the target's key is made of columns that are not in the source's key";
            columns[column - draft->source->columns] = true;
        }
    }
    if (!tells_rows)
        return "one row becomes several, and the target's key does not tell them apart";
    return ph_check_covers_key(draft->source, columns)
               ? NULL
               : "the target's key does not hold all of the source's key";
}

static ph_code
check_key(struct ph_checker *checker, struct ph_draft *draft)
{
    const struct ph_index *key = ph_check_key_of(&draft->keyed);
    bool *columns = PH_ARENA_ARRAY(checker->arena, bool, (size_t)draft->source->n_columns + 1);

    if (columns == NULL)
        return ph_check_no_memory(checker);
    if (key == NULL) {
        ph_check_no_stream(draft, "the target has no key by which a change finds its row",
                           "give the target's table a primary key");
        return PH_OK;
    }
    const char *reason = why_key_is_lost(checker, draft, key, columns);
    if (reason != NULL)
        ph_check_no_stream(draft, reason,
                           "make the target's key of all columns of the source's key");
    return PH_OK;
}

ph_code
ph_check_stream(struct ph_checker *checker, struct ph_draft *draft)
{
    struct ph_route *route = draft->route;

    route->needs_old_row |=
        draft->plan->shape.is_each || (route->makes_rows && !draft->plan->shape.keeps_null);
    route->may_quarantine = may_be_in_quarantine(draft);
    route->needs_old_row |= route->may_quarantine;
    route->takes_all =
        !route->makes_rows && !route->filters && route->where == NULL && !route->may_quarantine;
    for (uint32_t i = 0; i < route->n_outputs; i++)
        route->needs_old_row |= may_lack_input(checker, draft, i);
    route->needs_old_row |= may_lack_new_row(checker, draft);
    PH_TRY(check_key(checker, draft));
    if (!checker->params->follows)
        return PH_OK;
    if (route->no_stream != NULL)
        ph_check_problem(checker, draft, draft->table->source.place,
                         "--follow cannot be exact: %s; %s", route->no_stream,
                         route->no_stream_cure);
    else if (route->needs_old_row && draft->source->replica_identity != 'f' &&
             !checker->params->sets_identity)
        ph_check_problem(checker, draft, draft->table->source.place,
                         "--follow is exact only when changes bring the whole old row: ALTER TABLE "
                         "%s.%s REPLICA IDENTITY FULL, or --set-replica-identity, which runs it",
                         draft->source->schema, draft->source->name);
    return PH_OK;
}
