/*
 * Changes through rules, by a machine that stands in for the compiled one: every output is the
 * input of its place; a row whose `v` begins with 'h' is left out, one with 'b' is bad, and with
 * `several` a row gives as many rows as `v` has bytes, numbered by the last column.
 */
#include "fake_apply.h"

#include "flow/apply_route.h"
#include "flow/reshape.h"

struct ph_rule_machine {
    const struct ph_route *route;
    const struct ph_value *in;
    uint8_t numbers[8][4];
};

static struct ph_rule_machine the_machine;
static bool several;

ph_code
ph_rule_machine_new(const struct ph_ruleset *set, const uint8_t *secret, size_t secret_len,
                    struct ph_rule_machine **out, struct ph_error *err)
{
    (void)set;
    (void)secret;
    (void)secret_len;
    (void)err;
    *out = &the_machine;
    return PH_OK;
}

void
ph_rule_machine_free(struct ph_rule_machine *machine)
{
    (void)machine;
}

void
ph_rule_drop_made(struct ph_rule_machine *machine)
{
    (void)machine;
}

static bool
begins(const struct ph_value *value, char with)
{
    return value->len > 0 && value->data[0] == (uint8_t)with;
}

ph_code
ph_rule_begin_row(struct ph_rule_machine *machine, const struct ph_route *route,
                  const struct ph_value *in, struct ph_rule_outcome *outcome, struct ph_error *err)
{
    (void)err;
    machine->route = route;
    machine->in = in;
    *outcome = (struct ph_rule_outcome){.verdict = PH_ROW_TAKEN, .rows = !begins(&in[1], 'h')};
    if (several && in[1].len >= 0)
        outcome->rows = (uint32_t)in[1].len;
    return PH_OK;
}

ph_code
ph_rule_take_row(struct ph_rule_machine *machine, uint32_t row, struct ph_value *out,
                 struct ph_rule_outcome *outcome, struct ph_error *err)
{
    (void)err;
    *outcome = (struct ph_rule_outcome){.verdict = PH_ROW_TAKEN};
    if (begins(&machine->in[1], 'b'))
        *outcome = (struct ph_rule_outcome){.verdict = PH_ROW_BAD,
                                            .output = 1,
                                            .message = "it is bad",
                                            .quarantine = machine->route->quarantines};
    for (uint32_t i = 0; i < 3; i++)
        out[i] = machine->in[i];
    if (several) {
        ph_rule_put_i32(machine->numbers[row], (int32_t)row);
        out[2] = (struct ph_value){machine->numbers[row], 4};
    }
    return PH_OK;
}

/* ---- a table with a route ---- */

static struct {
    struct fake_apply apply;
    struct ph_route route;
    struct ph_route_input inputs[3];
    struct ph_route_output outputs[3];
    uint32_t reads[3];
    const char *texts[3];
    uint16_t keys[2];
    struct ph_rules_in_use rules;
    struct ph_routed_table to;
    struct ph_reshape *reshape;
    struct ph_change_notes notes;
    struct ph_reshaped got;
} t;

static struct ph_error err;

static void
plan_route(char identity)
{
    static const struct fake_column columns[] = {
        {.name = "id", .source_type = 23, .is_key = true},
        {.name = "v", .source_type = 25},
        {.name = "w", .source_type = 25},
        {.name = NULL},
    };

    memset(&t, 0, sizeof t);
    ph_error_reset(&err);
    several = false;
    fake_apply_init(&t.apply, identity, columns);
    t.apply.source_rel.columns = t.apply.source_columns;
    t.apply.source_rel.n_columns = 3;
    t.route = (struct ph_route){.name = "app.t -> app.t",
                                .source = &t.apply.source_rel,
                                .target = &t.apply.target_rel,
                                .inputs = t.inputs,
                                .n_inputs = 3,
                                .outputs = t.outputs,
                                .n_outputs = 3,
                                .has_program = true,
                                .key_inputs = t.reads,
                                .n_key_inputs = 1};
    for (uint32_t i = 0; i < 3; i++) {
        t.reads[i] = i;
        t.inputs[i].column = &t.apply.source_columns[i];
        t.outputs[i] = (struct ph_route_output){.target = &t.apply.target_columns[i],
                                                .reads = &t.reads[i],
                                                .n_reads = 1,
                                                .is_injective = true};
        t.texts[i] = columns[i].name;
    }
    t.apply.plan.route = &t.route;
    t.apply.plan.route_name = t.route.name;
    t.apply.plan.rules = &t.rules;
    t.apply.plan.inputs = t.texts;
    t.apply.plan.n_inputs = 3;
    t.apply.plan.key_fields = t.keys;
    t.apply.plan.n_key_fields = 1;
    t.apply.source_columns[0].type_text = "integer";
    ph_change_notes_init(&t.notes, "job", PH_ORPHANS_GROUPS);
}

static void
describe(void)
{
    if (ph_apply_route_build(&t.apply.params, &t.apply.arena, &t.to.table, &t.to.inputs, &err) !=
        PH_OK)
        fail_msg("%s", err.message);
    t.reshape = ph_reshape_new();
}

static int
forget(void **context)
{
    (void)context;
    ph_reshape_free(t.reshape);
    ph_change_notes_free(&t.notes);
    fake_apply_free(&t.apply);
    return 0;
}

struct row {
    struct ph_field fields[3];
};

static struct ph_field
text(const char *value)
{
    return (struct ph_field){{(const uint8_t *)value, strlen(value)}, PH_FIELD_BINARY};
}

/* "~": it did not come. */
static struct row
row(const char *id, const char *v, const char *w)
{
    const char *const values[] = {id, v, w};
    struct row out;

    for (int i = 0; i < 3; i++) {
        out.fields[i] = (struct ph_field){.state = PH_FIELD_UNCHANGED};
        if (values[i] == NULL)
            out.fields[i].state = PH_FIELD_NULL;
        else if (strcmp(values[i], "~") != 0)
            out.fields[i] = text(values[i]);
    }
    return out;
}

static ph_code
change(enum ph_change_kind kind, enum ph_old_image image, const struct row *old,
       const struct row *new)
{
    static struct ph_change made;

    made = (struct ph_change){.kind = kind,
                              .old_image = image,
                              .old_fields = old != NULL ? old->fields : NULL,
                              .new_fields = new != NULL ? new->fields : NULL,
                              .n_fields = 3};
    return ph_reshape_change(t.reshape, &t.to, &made, &t.notes, &t.got, &err);
}

static void
put_fields(const struct ph_field *fields, struct ph_buf *out)
{
    for (int i = 0; i < 3 && fields != NULL; i++) {
        if (fields[i].state == PH_FIELD_BINARY && several && i == 2)
            ph_buf_printf(out, " %d", fields[i].bytes.data[3]);
        else if (fields[i].state == PH_FIELD_BINARY)
            ph_buf_printf(out, " %.*s", (int)fields[i].bytes.len,
                          (const char *)fields[i].bytes.data);
        else
            ph_buf_puts(out, fields[i].state == PH_FIELD_NULL ? " null" : " ~");
    }
}

/* "U 1 a b" or, with an old image, "U[1 x y] 1 a b", one after the other. */
static void
gives(const char *expected)
{
    static const char letters[] = {'I', 'U', 'D'};
    struct ph_buf out;

    ph_buf_init(&out, 1 << 16);
    for (uint32_t i = 0; i < t.got.n; i++) {
        const struct ph_change *made = &t.got.changes[i];
        ph_buf_printf(&out, "%s%c", i > 0 ? "; " : "", letters[made->kind]);
        assert_int_equal(made->old_image != PH_OLD_NONE, made->old_fields != NULL);
        if (made->old_fields != NULL) {
            ph_buf_puts(&out, "[");
            put_fields(made->old_fields, &out);
            ph_buf_puts(&out, "]");
        }
        put_fields(made->new_fields, &out);
    }
    assert_string_equal(ph_buf_text(&out), expected);
    ph_buf_free(&out);
}

/* ---- tests ---- */

static void
whole_rows_and_keys(void **context)
{
    const struct row one = row("1", "a", NULL);
    const struct row part = row("1", "c", "~");
    const struct row moved = row("2", "c", "~");
    const struct row key = row("1", "~", "~");

    (void)context;
    plan_route('d');
    describe();
    assert_int_equal(t.to.table->n_keys, 1);
    assert_ptr_equal(t.to.table->plan, &t.apply.plan);
    assert_int_equal(change(PH_CHANGE_INSERT, PH_OLD_NONE, NULL, &one), PH_OK);
    gives("I 1 a null");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_NONE, NULL, &part), PH_OK);
    gives("U 1 c ~");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_KEY, &key, &part), PH_OK);
    gives("U 1 c ~");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_KEY, &key, &moved), PH_OK);
    gives("U[ 1 ~ ~] 2 c ~");
    assert_int_equal(change(PH_CHANGE_DELETE, PH_OLD_KEY, &key, NULL), PH_OK);
    gives("D[ 1 ~ ~]");
    assert_int_equal(change(PH_CHANGE_DELETE, PH_OLD_NONE, NULL, NULL), PH_E_PROTOCOL);
    /* A rule that needs more than what came. */
    t.outputs[2].n_reads = 2;
    t.outputs[2].is_mixed = true;
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_NONE, NULL, &part), PH_E_IDENTITY);
}

/* TRAPS 11: an UPDATE across the border of a filter is an INSERT or a DELETE. */
static void
trap_11_into_the_filter_and_out(void **context)
{
    const struct row in = row("1", "a", "x");
    const struct row out = row("1", "h", "x");
    const struct row back = row("1", "a", "~");

    (void)context;
    plan_route('f');
    t.route.filters = t.route.needs_old_row = true;
    describe();
    assert_int_equal(change(PH_CHANGE_INSERT, PH_OLD_NONE, NULL, &out), PH_OK);
    gives("");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_ROW, &in, &out), PH_OK);
    gives("D[ 1 a x]");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_ROW, &out, &back), PH_OK);
    gives("I 1 a x");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_ROW, &in, &back), PH_OK);
    gives("U 1 a x");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_ROW, &out, &out), PH_OK);
    gives("");
    assert_int_equal(change(PH_CHANGE_DELETE, PH_OLD_ROW, &out, NULL), PH_OK);
    gives("");
}

static void
bad_rows(void **context)
{
    const struct row good = row("1", "a", "x");
    const struct row bad = row("\0\0\0\7", "b", "x");

    (void)context;
    plan_route('f');
    describe();
    assert_int_equal(change(PH_CHANGE_INSERT, PH_OLD_NONE, NULL, &bad), PH_E_RULE_VALUE);
    assert_non_null(strstr(err.message, "column v: it is bad"));
    t.route.quarantines = true;
    assert_int_equal(change(PH_CHANGE_INSERT, PH_OLD_NONE, NULL, &bad), PH_OK);
    gives("");
    assert_non_null(strstr(ph_buf_text(&t.notes.quarantine), "'app.t -> app.t','("));
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_ROW, &good, &bad), PH_OK);
    gives("D[ 1 a x]");
    size_t len = t.notes.quarantine.len;
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_ROW, &bad, &good), PH_OK);
    gives("I 1 a x");
    assert_int_equal(t.notes.quarantine.len, len);
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_KEY, &good, &bad), PH_E_IDENTITY);
}

static void
several_rows_of_one(void **context)
{
    const struct row two = row("1", "ab", "~");
    const struct row other = row("1", "xy", "~");
    const struct row three = row("1", "abc", "~");

    (void)context;
    plan_route('f');
    t.route.makes_rows = true;
    t.keys[1] = 2;
    t.apply.plan.n_key_fields = 2;
    t.apply.target_columns[2].type_oid = 23;
    t.outputs[2].n_reads = 0;
    describe();
    several = true;
    assert_int_equal(change(PH_CHANGE_INSERT, PH_OLD_NONE, NULL, &two), PH_OK);
    gives("I 1 ab 0; I 1 ab 1");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_ROW, &two, &other), PH_OK);
    gives("U 1 xy 0; U 1 xy 1");
    assert_int_equal(change(PH_CHANGE_UPDATE, PH_OLD_ROW, &three, &other), PH_OK);
    gives("D[ 1 abc 0]; D[ 1 abc 1]; D[ 1 abc 2]; I 1 xy 0; I 1 xy 1");
    assert_int_equal(change(PH_CHANGE_DELETE, PH_OLD_ROW, &two, NULL), PH_OK);
    gives("D[ 1 ab 0]; D[ 1 ab 1]");
}

static ph_code
checked(void)
{
    ph_error_reset(&err);
    return ph_apply_route_check(&t.apply.plan, &t.apply.rel, &err);
}

static void
cannot(ph_code code, const char *message, const char *hint)
{
    assert_int_equal(checked(), code);
    if (strstr(err.message, message) == NULL || strstr(err.hint, hint) == NULL)
        fail_msg("\"%s\" (%s) is not \"%s\" (%s)", err.message, err.hint, message, hint);
}

static void
routes_that_cannot_follow(void **context)
{
    static const char full[] = "run on the source: ALTER TABLE \"app\".\"t\" REPLICA IDENTITY FULL";
    const struct ph_column *column;

    (void)context;
    plan_route('d');
    assert_int_equal(checked(), PH_OK);
    t.keys[0] = 1; /* the target's key is another column: found by what the identity covers */
    assert_int_equal(checked(), PH_OK);
    t.outputs[0].is_injective = false;
    cannot(PH_E_IDENTITY,
           "rows of the target cannot be found by what the replica identity tells: its key is made "
           "of other columns",
           full);
    t.keys[0] = 0;
    t.route.quarantines = true;
    cannot(PH_E_IDENTITY, "whether a row is in quarantine can only be told from the whole old row",
           full);
    t.route.quarantines = false;
    t.route.needs_old_row = true;
    cannot(PH_E_IDENTITY, "its rules need the whole old row of an update or delete", full);
    t.route.needs_old_row = false;
    t.route.no_stream = "it is too odd";
    t.route.no_stream_cure = "copy it without --follow";
    cannot(PH_E_RULES, "it cannot follow: it is too odd", "copy it without --follow");
    t.route.no_stream = NULL;
    t.route.where = "length(v) > 3";
    cannot(PH_E_RULES, "it cannot follow: its condition cannot be computed for rows of the stream",
           "");
    t.route.filters = true;
    assert_int_equal(checked(), PH_OK);
    t.apply.stream_columns[0].in_key = false;
    cannot(PH_E_IDENTITY, "its condition is not about the replica identity alone", full);
    t.apply.stream_columns[0].in_key = true;
    column = t.inputs[1].column;
    t.inputs[1].column = NULL;
    cannot(PH_E_RULES, "reads what only the source can compute", "");
    t.inputs[1].column = column;
    t.apply.stream_columns[1].type_oid = 23;
    cannot(PH_E_TYPES, "column v has another type on the source now", "");
    t.apply.source_rel.n_columns = 1;
    t.route.n_inputs = 1;
    cannot(PH_E_TYPES, "the rules do not know column v of the source", "");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whole_rows_and_keys, forget),
        cmocka_unit_test_teardown(trap_11_into_the_filter_and_out, forget),
        cmocka_unit_test_teardown(bad_rows, forget),
        cmocka_unit_test_teardown(several_rows_of_one, forget),
        cmocka_unit_test_teardown(routes_that_cannot_follow, forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
