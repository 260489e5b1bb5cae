#include "flow/reshape.h"

#include <stdlib.h>
#include <string.h>

#include "apply/store.h"
#include "flow/lookup_cache.h"
#include "flow/row_key.h"
#include "rules/lookup.h"
#include "wire/oid_remap.h"

struct image {               /* what the route makes of one row of the source */
    struct ph_field *fields; /* n_rows of the table's columns */
    size_t room;
    uint32_t n_rows; /* 0: it is not there */
    bool is_bad;
};

struct ph_reshape {
    struct ph_rule_machine *machine; /* made with the first table that needs it */
    struct ph_lookup_cache *lookups; /* the same, of those that must ask; else NULL */
    struct ph_store store;           /* values that do not live elsewhere */
    struct ph_value *in;
    struct ph_value *out;
    uint32_t in_room;
    uint32_t out_room;
    struct image old;
    struct image new;
    struct ph_change *changes;
    size_t change_room;
    /* the change at hand */
    const struct ph_routed_table *to;
    const struct ph_change *change;
    struct ph_change_notes *notes;
    uint32_t n_missing; /* lookups of the row that was read last that found nothing */
    uint32_t n_changes;
};

struct ph_reshape *
ph_reshape_new(void)
{
    struct ph_reshape *reshape = calloc(1, sizeof *reshape);

    if (reshape == NULL)
        return NULL;
    ph_store_init(&reshape->store);
    return reshape;
}

void
ph_reshape_free(struct ph_reshape *reshape)
{
    if (reshape == NULL)
        return;
    ph_rule_machine_free(reshape->machine);
    ph_lookup_cache_free(reshape->lookups);
    ph_store_free(&reshape->store);
    free(reshape->in);
    free(reshape->out);
    free(reshape->old.fields);
    free(reshape->new.fields);
    free(reshape->changes);
    free(reshape);
}

static ph_code
no_memory(struct ph_error *err)
{
    return PH_FAIL(err, PH_E_MEMORY, "no memory for the rows that rules make");
}

static const struct ph_table_plan *
planned(const struct ph_reshape *reshape)
{
    return reshape->to->table->plan;
}

static ph_code
about_table(const struct ph_reshape *reshape, ph_code rc, struct ph_error *err)
{
    char label[300];

    ph_plan_table_label(planned(reshape), label, sizeof label);
    ph_error_object(err, "%s", label);
    return rc;
}

static ph_code
needs_old_row(const struct ph_reshape *reshape, const char *why, struct ph_error *err)
{
    const struct ph_rel *source = planned(reshape)->source;

    PH_FAIL(err, PH_E_IDENTITY, "%s", why);
    ph_error_hint(err,
                  "run on the source: ALTER TABLE \"%s\".\"%s\" REPLICA IDENTITY FULL; the change "
                  "that was made without it cannot be applied: DROP TABLE (or TRUNCATE with "
                  "--data-only) and begin anew with --restart --yes",
                  source->schema, source->name);
    return about_table(reshape, PH_E_IDENTITY, err);
}

/* ---- room ---- */

static bool
grow_values(struct ph_value **values, uint32_t *room, uint32_t n)
{
    if (n < *room)
        return true;
    struct ph_value *larger = realloc(*values, ((size_t)n + 1) * sizeof *larger);
    if (larger == NULL)
        return false;
    *values = larger;
    *room = n + 1;
    return true;
}

static ph_code
make_ready(struct ph_reshape *reshape, struct ph_error *err)
{
    const struct ph_table_plan *table = planned(reshape);
    const struct ph_rules_in_use *rules = table->rules;

    if (reshape->machine == NULL)
        PH_TRY(ph_rule_machine_new(rules->set, rules->secret, rules->secret_len, &reshape->machine,
                                   err));
    if (reshape->lookups == NULL && table->route->n_lookups > 0 && rules->access != NULL &&
        (reshape->lookups = ph_lookup_cache_new(rules)) == NULL)
        return no_memory(err);
    if (!grow_values(&reshape->in, &reshape->in_room, table->route->n_inputs) ||
        !grow_values(&reshape->out, &reshape->out_room, table->n_columns))
        return no_memory(err);
    ph_store_clear(&reshape->store);
    reshape->old.n_rows = reshape->new.n_rows = 0;
    reshape->old.is_bad = reshape->new.is_bad = false;
    reshape->n_changes = 0;
    return PH_OK;
}

static bool
grow_fields(struct image *image, size_t n)
{
    if (n <= image->room)
        return true;
    if (n < image->room * 2)
        n = image->room * 2;
    struct ph_field *larger = realloc(image->fields, n * sizeof *larger);
    if (larger == NULL)
        return false;
    image->fields = larger;
    image->room = n;
    return true;
}

/* ---- what the rules read ---- */

static ph_code
read_field(const struct ph_reshape *reshape, const struct ph_field *field, struct ph_value *out,
           struct ph_error *err)
{
    switch (field->state) {
    case PH_FIELD_ABSENT:
    case PH_FIELD_UNCHANGED:
        *out = (struct ph_value){NULL, PH_VALUE_UNCHANGED};
        return PH_OK;
    case PH_FIELD_NULL:
        *out = (struct ph_value){NULL, PH_VALUE_NULL};
        return PH_OK;
    case PH_FIELD_TEXT:
        PH_FAIL(err, PH_E_PROTOCOL, "a value that rules read came as text");
        return about_table(reshape, PH_E_PROTOCOL, err);
    case PH_FIELD_BINARY:
        break;
    }
    if (field->bytes.len > INT32_MAX)
        return PH_FAIL(err, PH_E_PROTOCOL, "a value of %zu bytes", field->bytes.len);
    *out = (struct ph_value){field->bytes.data, (int32_t)field->bytes.len};
    return PH_OK;
}

static ph_code
look_up(struct ph_reshape *reshape, struct ph_error *err)
{
    const struct ph_route *route = planned(reshape)->route;
    struct ph_lookup_cache *cache = reshape->lookups;

    if (cache != NULL && ph_lookup_cache_lacks(cache, route, reshape->in)) {
        PH_TRY(ph_lookup_cache_begin(cache, route, reshape->in, err));
        PH_TRY(ph_lookup_cache_ask(cache, route, reshape->in, err));
    }
    reshape->n_missing =
        ph_lookups_fill(planned(reshape)->rules->lookups,
                        cache == NULL ? NULL : ph_lookup_cache_own(cache), route, reshape->in);
    return PH_OK;
}

/* `fill` (may be NULL): where what did not come is looked for. */
static ph_code
read_row(struct ph_reshape *reshape, const struct ph_field *fields, const struct ph_field *fill,
         struct ph_error *err)
{
    const struct ph_route *route = planned(reshape)->route;

    for (uint32_t i = 0; i < route->n_inputs; i++) {
        uint32_t field = reshape->to->inputs[i];
        if (route->inputs[i].is_looked_up)
            continue;
        if (field >= reshape->change->n_fields)
            return PH_FAIL(err, PH_E_PROTOCOL, "a change has too few fields for its rules");
        PH_TRY(read_field(reshape, &fields[field], &reshape->in[i], err));
        if (reshape->in[i].len == PH_VALUE_UNCHANGED && fill != NULL)
            PH_TRY(read_field(reshape, &fill[field], &reshape->in[i], err));
    }
    reshape->n_missing = 0;
    return route->n_lookups > 0 ? look_up(reshape, err) : PH_OK;
}

/* ---- what they make ---- */

/* The machine's memory is the next row's; and of a passed value OIDs may be to be rewritten. */
static ph_code
keep_value(struct ph_reshape *reshape, uint32_t column, struct ph_value value,
           struct ph_field *field, struct ph_error *err)
{
    const struct ph_oid_remap *remap = planned(reshape)->remap;
    size_t len = (size_t)value.len;
    uint8_t *at = ph_store_room(&reshape->store, len + 1);

    if (at == NULL)
        return no_memory(err);
    if (len > 0)
        memcpy(at, value.data, len);
    ph_store_keep(&reshape->store, len + 1);
    field->bytes.data = at;
    return ph_oid_remap_needs(remap, column) ? ph_oid_remap_field(remap, column, at, len, err)
                                             : PH_OK;
}

/*
 * What passes lies in the change itself. What is made is kept where the machine's memory does not
 * last: that of the old row, and of rows of which one gives several.
 */
static bool
must_keep(const struct ph_reshape *reshape, const struct image *image, uint32_t column)
{
    const struct ph_route *route = planned(reshape)->route;
    const struct ph_route_output *output = &route->outputs[column];
    bool passes = output->source != NULL && !output->is_fitted;

    return ph_oid_remap_needs(planned(reshape)->remap, column) ||
           (!passes && (image == &reshape->old || route->makes_rows));
}

static ph_code
put_row(struct ph_reshape *reshape, struct image *image, struct ph_error *err)
{
    const struct ph_table_plan *table = planned(reshape);
    size_t first = (size_t)image->n_rows * table->n_columns;

    if (!grow_fields(image, first + table->n_columns))
        return no_memory(err);
    for (uint32_t i = 0; i < table->n_columns; i++) {
        struct ph_value value = reshape->out[i];
        struct ph_field *field = &image->fields[first + i];
        *field = (struct ph_field){.state = PH_FIELD_UNCHANGED};
        if (value.len == PH_VALUE_NULL)
            field->state = PH_FIELD_NULL;
        if (value.len < 0)
            continue;
        *field =
            (struct ph_field){.bytes = {value.data, (size_t)value.len}, .state = PH_FIELD_BINARY};
        if (must_keep(reshape, image, i))
            PH_TRY(keep_value(reshape, i, value, field, err));
    }
    image->n_rows++;
    return PH_OK;
}

/* Of a new row: it stays out, and it is written down why, or nothing goes on. */
static ph_code
take_out(struct ph_reshape *reshape, const struct ph_rule_outcome *outcome, struct ph_error *err)
{
    const struct ph_table_plan *table = planned(reshape);
    const char *column = outcome->output < table->n_columns
                             ? table->columns[outcome->output].target_name
                             : "(the row)";
    char key[200];

    ph_row_key_of_route(table->route, table->rules, reshape->in, key, sizeof key);
    if (!outcome->quarantine) {
        PH_FAIL(err, PH_E_RULE_VALUE, "row %s, column %s: %s", key, column, outcome->message);
        ph_error_hint(err, "what a map or lookup does not have: say `else: null`, `keep` or "
                           "`{value: …}` in the job file and give the same command again; the "
                           "change comes again as it was, so anything else (another rule, "
                           "quarantine, a mended row) needs --restart --yes");
        return about_table(reshape, PH_E_RULE_VALUE, err);
    }
    return ph_change_notes_quarantine(reshape->notes, table, key, column, outcome->message, err);
}

static ph_code
take_bad(struct ph_reshape *reshape, struct image *image, const struct ph_rule_outcome *outcome,
         struct ph_error *err)
{
    image->n_rows = 0;
    image->is_bad = true;
    /* an old row that is in quarantine was written down when it came */
    if (image == &reshape->old && outcome->quarantine)
        return PH_OK;
    return take_out(reshape, outcome, err);
}

/* Of reshape->in. */
static ph_code
run(struct ph_reshape *reshape, struct image *image, struct ph_error *err)
{
    struct ph_rule_outcome outcome;

    PH_TRY(
        ph_rule_begin_row(reshape->machine, planned(reshape)->route, reshape->in, &outcome, err));
    uint32_t rows = outcome.verdict == PH_ROW_TAKEN ? outcome.rows : 0;
    /* an old row was counted when it came */
    if (image == &reshape->new && reshape->n_missing > 0 && ph_rule_outcome_is_row(&outcome))
        PH_TRY(ph_change_notes_orphans(reshape->notes, planned(reshape), reshape->in, err));
    for (uint32_t i = 0; i < rows && outcome.verdict == PH_ROW_TAKEN; i++) {
        PH_TRY(ph_rule_take_row(reshape->machine, i, reshape->out, &outcome, err));
        if (outcome.verdict == PH_ROW_TAKEN)
            PH_TRY(put_row(reshape, image, err));
        if (planned(reshape)->route->makes_rows)
            ph_rule_drop_made(reshape->machine);
    }
    return outcome.verdict == PH_ROW_TAKEN ? PH_OK : take_bad(reshape, image, &outcome, err);
}

static ph_code
run_old(struct ph_reshape *reshape, struct ph_error *err)
{
    const struct ph_change *change = reshape->change;

    if (change->old_image == PH_OLD_NONE || change->old_fields == NULL) {
        PH_FAIL(err, PH_E_PROTOCOL, "a change came without its old key");
        return about_table(reshape, PH_E_PROTOCOL, err);
    }
    PH_TRY(read_row(reshape, change->old_fields, NULL, err));
    return run(reshape, &reshape->old, err);
}

static ph_code
run_new(struct ph_reshape *reshape, struct ph_error *err)
{
    const struct ph_change *change = reshape->change;
    bool has_old = change->old_image != PH_OLD_NONE;

    if (change->new_fields == NULL) {
        PH_FAIL(err, PH_E_PROTOCOL, "a change came without its new row");
        return about_table(reshape, PH_E_PROTOCOL, err);
    }
    PH_TRY(read_row(reshape, change->new_fields, has_old ? change->old_fields : NULL, err));
    return run(reshape, &reshape->new, err);
}

/* ---- changes ---- */

static struct ph_field *
row_of(const struct ph_reshape *reshape, const struct image *image, uint32_t row)
{
    return image->fields + (size_t)row * planned(reshape)->n_columns;
}

/* Either row may be NULL. */
static ph_code
add(struct ph_reshape *reshape, enum ph_change_kind kind, const struct ph_field *old,
    const struct ph_field *new, struct ph_error *err)
{
    enum ph_old_image image = reshape->to->table->n_keys == 0 ? PH_OLD_ROW : PH_OLD_KEY;

    if (reshape->n_changes == reshape->change_room) {
        size_t room = reshape->change_room == 0 ? 16 : reshape->change_room * 2;
        struct ph_change *larger = realloc(reshape->changes, room * sizeof *larger);
        if (larger == NULL)
            return no_memory(err);
        reshape->changes = larger;
        reshape->change_room = room;
    }
    reshape->changes[reshape->n_changes++] = (struct ph_change){
        .kind = kind,
        .old_image = old != NULL ? image : PH_OLD_NONE,
        .relid = reshape->change->relid,
        .xid = reshape->change->xid,
        .new_fields = new,
        .old_fields = old,
        .n_fields = planned(reshape)->n_columns,
    };
    return PH_OK;
}

static ph_code
add_deletes(struct ph_reshape *reshape, struct ph_error *err)
{
    for (uint32_t i = 0; i < reshape->old.n_rows; i++)
        PH_TRY(add(reshape, PH_CHANGE_DELETE, row_of(reshape, &reshape->old, i), NULL, err));
    return PH_OK;
}

static bool
is_whole(const struct ph_reshape *reshape, const struct ph_field *row)
{
    for (uint32_t i = 0; i < planned(reshape)->n_columns; i++) {
        if (row[i].state == PH_FIELD_UNCHANGED)
            return false;
    }
    return true;
}

static ph_code
add_inserts(struct ph_reshape *reshape, struct ph_error *err)
{
    for (uint32_t i = 0; i < reshape->new.n_rows; i++) {
        const struct ph_field *row = row_of(reshape, &reshape->new, i);
        if (!is_whole(reshape, row))
            return needs_old_row(reshape,
                                 "a row that is new on the target came without a value that its "
                                 "UPDATE did not touch",
                                 err);
        PH_TRY(add(reshape, PH_CHANGE_INSERT, NULL, row, err));
    }
    return PH_OK;
}

static bool
has_same_key(const struct ph_reshape *reshape, const struct ph_field *a, const struct ph_field *b)
{
    const struct ph_apply_table *table = reshape->to->table;

    for (uint32_t i = 0; i < table->n_keys; i++) {
        const struct ph_field *x = &a[table->columns[i].field];
        const struct ph_field *y = &b[table->columns[i].field];
        if (x->state != y->state || x->bytes.len != y->bytes.len ||
            (x->bytes.len > 0 && memcmp(x->bytes.data, y->bytes.data, x->bytes.len) != 0))
            return false;
    }
    return true;
}

static bool
has_same_keys(const struct ph_reshape *reshape)
{
    for (uint32_t i = 0; i < reshape->new.n_rows; i++) {
        if (!has_same_key(reshape, row_of(reshape, &reshape->old, i),
                          row_of(reshape, &reshape->new, i)))
            return false;
    }
    return true;
}

/* Of the row that was read last. */
static bool
lacks_key(const struct ph_reshape *reshape)
{
    const struct ph_route *route = planned(reshape)->route;

    for (uint32_t i = 0; i < route->n_key_inputs; i++) {
        if (reshape->in[route->key_inputs[i]].len == PH_VALUE_UNCHANGED)
            return true;
    }
    return false;
}

/* A value that did not come stays as it is; but not one that depends on more than that. */
static ph_code
check_update(const struct ph_reshape *reshape, const struct ph_field *row, struct ph_error *err)
{
    const struct ph_route *route = planned(reshape)->route;
    bool key_came = reshape->change->old_image != PH_OLD_NONE;

    for (uint32_t i = 0; i < route->n_outputs; i++) {
        const struct ph_route_output *output = &route->outputs[i];
        bool is_there = row[i].state != PH_FIELD_UNCHANGED;
        if ((!is_there && output->is_mixed) ||
            (output->is_keyed && (is_there ? lacks_key(reshape) : key_came)))
            return needs_old_row(reshape,
                                 "a rule reads a value that its UPDATE did not touch, and that "
                                 "did not come, together with others",
                                 err);
    }
    return PH_OK;
}

static ph_code
add_update(struct ph_reshape *reshape, const struct ph_field *old, const struct ph_field *new,
           struct ph_error *err)
{
    PH_TRY(check_update(reshape, new, err));
    return add(reshape, PH_CHANGE_UPDATE, old, new, err);
}

/* The same rows, changed. */
static ph_code
add_updates(struct ph_reshape *reshape, struct ph_error *err)
{
    bool by_row = reshape->to->table->n_keys == 0;

    for (uint32_t i = 0; i < reshape->new.n_rows; i++)
        PH_TRY(add_update(reshape, by_row ? row_of(reshape, &reshape->old, i) : NULL,
                          row_of(reshape, &reshape->new, i), err));
    return PH_OK;
}

/* ---- the three kinds ---- */

/* The key is what it was: whether the row was there, the new one says. */
static ph_code
update_in_place(struct ph_reshape *reshape, struct ph_error *err)
{
    PH_TRY(run_new(reshape, err));
    if (reshape->new.is_bad || reshape->to->table->n_keys == 0)
        return needs_old_row(
            reshape, "an UPDATE came without the old row, and that must be known here", err);
    return add_updates(reshape, err);
}

static ph_code
update(struct ph_reshape *reshape, struct ph_error *err)
{
    const struct image *old = &reshape->old;
    const struct image *new = &reshape->new;

    if (reshape->change->old_image == PH_OLD_NONE)
        return update_in_place(reshape, err);
    PH_TRY(run_old(reshape, err));
    PH_TRY(run_new(reshape, err));
    if (new->is_bad && reshape->change->old_image != PH_OLD_ROW)
        return needs_old_row(
            reshape, "an UPDATE came without the old row, and that must be known here", err);
    if (old->n_rows == new->n_rows && has_same_keys(reshape))
        return add_updates(reshape, err);
    if (old->n_rows == 1 && new->n_rows == 1)
        return add_update(reshape, row_of(reshape, old, 0), row_of(reshape, new, 0), err);
    PH_TRY(add_deletes(reshape, err));
    return add_inserts(reshape, err);
}

static ph_code
by_kind(struct ph_reshape *reshape, struct ph_error *err)
{
    switch (reshape->change->kind) {
    case PH_CHANGE_INSERT:
        PH_TRY(run_new(reshape, err));
        return add_inserts(reshape, err);
    case PH_CHANGE_UPDATE:
        return update(reshape, err);
    case PH_CHANGE_DELETE:
        PH_TRY(run_old(reshape, err));
        return add_deletes(reshape, err);
    case PH_CHANGE_TRUNCATE:
        break;
    }
    return PH_FAIL(err, PH_E_INTERNAL, "TRUNCATE is not of one row");
}

ph_code
ph_reshape_change(struct ph_reshape *reshape, const struct ph_routed_table *to,
                  const struct ph_change *change, struct ph_change_notes *notes,
                  struct ph_reshaped *out, struct ph_error *err)
{
    *out = (struct ph_reshaped){.changes = change, .n = 1};
    if (to->inputs == NULL)
        return PH_OK;
    reshape->to = to;
    reshape->change = change;
    reshape->notes = notes;
    PH_TRY(make_ready(reshape, err));
    PH_TRY(by_kind(reshape, err));
    *out = (struct ph_reshaped){.changes = reshape->changes, .n = reshape->n_changes};
    return PH_OK;
}
