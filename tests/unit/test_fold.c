/*
 * Folding against a model that applies every change by itself. All sequences of changes that a
 * source could have made, up to some length, over a few keys, from every state of the table: the
 * statements of the folded group, carried out on the state before, must hit exactly the rows they
 * say and leave the state after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apply/statement.h"
#include "fake_apply.h"

#define KEYS 3
#define MAX_LENGTH 8
#define ARRAY_HEADER 20

enum what { INSERT, UPDATE, UPDATE_PART, DELETE, MOVE, MOVE_PART, RESPELL };

struct step {
    enum what what;
    int key;
    int to;
};

/* A row of (k numeric or int4, v int4, big int4): all small numbers. */
struct row {
    bool is_there;
    int spelling; /* digits behind the point of k */
    int v;
    int big;
};

struct state {
    struct row rows[KEYS];
};

struct setting {
    const char *name;
    ph_oid key_type;
    char replica_identity;
    char identity;       /* of k */
    char other_identity; /* of big */
    bool never_splits;
    bool respells;
    int keys;
    int length;
};

struct run {
    const struct setting *setting;
    struct fake_apply fake;
    const struct ph_apply_table *table;
    struct ph_fold *folds[2]; /* net, replay */
    struct ph_apply_statements *statements;
    struct state start;
    struct step steps[MAX_LENGTH];
    uint64_t n_checked;
    uint64_t n_singles;
};

static struct ph_error err;

/* ---- the source ---------------------------------------------------------------------------- */

/* false: the source cannot do that now. */
static bool
take_step(struct state *state, const struct step *step, int number)
{
    struct row *row = &state->rows[step->key];

    if (row->is_there == (step->what == INSERT))
        return false;
    switch (step->what) {
    case INSERT:
        *row = (struct row){true, 0, number, number};
        return true;
    case UPDATE:
        row->big = number;
        row->v = number;
        return true;
    case UPDATE_PART:
        row->v = number;
        return true;
    case DELETE:
        row->is_there = false;
        return true;
    case RESPELL:
        row->spelling = !row->spelling;
        row->v = number;
        return true;
    case MOVE:
    case MOVE_PART:
        break;
    }
    if (state->rows[step->to].is_there)
        return false;
    state->rows[step->to] = *row;
    row->is_there = false;
    state->rows[step->to].v = number;
    if (step->what == MOVE)
        state->rows[step->to].big = number;
    return true;
}

/* ---- what the stream brings ------------------------------------------------------------------ */

struct image {
    struct ph_field fields[3];
    uint8_t bytes[3][12];
};

static void
put_key(const struct run *run, struct image *image, int key, int spelling)
{
    uint8_t *at = image->bytes[0];

    if (run->setting->key_type == 23) {
        ph_store_u32(at, (uint32_t)key + 100);
        image->fields[0] = (struct ph_field){{at, 4}, PH_FIELD_BINARY};
        return;
    }
    ph_store_u16(at, 1); /* one digit of weight 0, no sign */
    ph_store_u16(at + 2, 0);
    ph_store_u16(at + 4, 0);
    ph_store_u16(at + 6, (uint16_t)spelling);
    ph_store_u16(at + 8, (uint16_t)(key + 100));
    image->fields[0] = (struct ph_field){{at, 10}, PH_FIELD_BINARY};
}

static void
put_number(struct image *image, int column, int value)
{
    ph_store_u32(image->bytes[column], (uint32_t)value);
    image->fields[column] = (struct ph_field){{image->bytes[column], 4}, PH_FIELD_BINARY};
    if (value == 0)
        image->fields[column].state = PH_FIELD_NULL;
}

static void
make_image(const struct run *run, struct image *image, int key, const struct row *row, bool is_part)
{
    put_key(run, image, key, row->spelling);
    put_number(image, 1, row->v);
    put_number(image, 2, row->big);
    if (is_part)
        image->fields[2].state = PH_FIELD_UNCHANGED;
}

static void
only_key(struct image *image)
{
    image->fields[1].state = image->fields[2].state = PH_FIELD_ABSENT;
}

static void
add(struct run *run, const struct state *before, const struct state *after, const struct step *step)
{
    bool is_part = step->what == UPDATE_PART || step->what == MOVE_PART;
    bool moves = step->what == MOVE || step->what == MOVE_PART;
    int key = moves ? step->to : step->key;
    bool is_full = run->setting->replica_identity == 'f';
    struct image new_image;
    struct image old_image;
    struct ph_change change = {
        .kind = step->what == INSERT   ? PH_CHANGE_INSERT
                : step->what == DELETE ? PH_CHANGE_DELETE
                                       : PH_CHANGE_UPDATE,
        .n_fields = 3,
    };

    make_image(run, &new_image, key, &after->rows[key], is_part);
    make_image(run, &old_image, step->key, &before->rows[step->key], false);
    if (!is_full)
        only_key(&old_image);
    if (change.kind != PH_CHANGE_DELETE)
        change.new_fields = new_image.fields;
    if (change.kind == PH_CHANGE_DELETE || moves || step->what == RESPELL ||
        (is_full && change.kind == PH_CHANGE_UPDATE)) {
        change.old_image = is_full ? PH_OLD_ROW : PH_OLD_KEY;
        change.old_fields = old_image.fields;
    }
    for (int i = 0; i < 2; i++)
        if (ph_fold_add(run->folds[i], run->table, &change, &err) != PH_OK)
            fail_msg("%s: %s", run->setting->name, err.message);
}

/* ---- the target ------------------------------------------------------------------------------ */

/* Element `row` of a parameter. */
static struct ph_span
element(const struct ph_apply_statement *statement, uint32_t param, uint32_t row)
{
    const uint8_t *at = statement->params[param].data + ARRAY_HEADER;

    assert_int_equal(ph_load_u32(statement->params[param].data), 1);
    assert_int_equal(ph_load_u32(statement->params[param].data + 12), statement->n_rows);
    for (; row > 0; row--)
        at += 4 + (ph_load_u32(at) == UINT32_MAX ? 0 : ph_load_u32(at));
    uint32_t len = ph_load_u32(at);
    return len == UINT32_MAX ? (struct ph_span){NULL, 0} : (struct ph_span){at + 4, len};
}

static int
number_of(struct ph_span value)
{
    return value.data == NULL ? 0 : (int)ph_load_u32(value.data);
}

static int
key_of(const struct run *run, struct ph_span value, int *spelling)
{
    *spelling = 0;
    if (run->setting->key_type == 23)
        return number_of(value) - 100;
    assert_int_equal(value.len, 10);
    *spelling = ph_load_u16(value.data + 6);
    return ph_load_u16(value.data + 8) - 100;
}

static bool
says(const struct ph_apply_statement *statement, const char *part)
{
    return strstr(statement->sql, part) != NULL;
}

/* Each UPDATE's parameters stand for what its text says. */
static bool
update_row(const struct run *run, const struct ph_apply_statement *statement, uint32_t i,
           struct state *state)
{
    int spelling;
    int key = key_of(run, element(statement, 0, i), &spelling);
    struct row *row = &state->rows[key];
    struct row newer = *row;
    uint32_t param = 1;
    int to = key;

    if (!row->is_there)
        return false;
    bool is_move = says(statement, "u.c0") || says(statement, "WITH old");
    if (is_move)
        to = key_of(run, element(statement, param++, i), &newer.spelling);
    newer.v = number_of(element(statement, param++, i));
    if (param < statement->n_params) {
        newer.big = number_of(element(statement, param++, i));
        if (run->setting->other_identity == 'a' && !is_move && newer.big != row->big)
            return false;
    }
    assert_int_equal(param, statement->n_params);
    assert_true(to == key || !state->rows[to].is_there);
    row->is_there = false;
    state->rows[to] = newer;
    return true;
}

static bool
carry_out_row(const struct run *run, const struct ph_apply_statement *statement, uint32_t i,
              struct state *state)
{
    int spelling;
    int key = key_of(run, element(statement, 0, i), &spelling);
    struct row *row = &state->rows[key];

    switch (statement->kind) {
    case PH_APPLY_DELETE:
        if (!row->is_there)
            return false;
        row->is_there = false;
        return true;
    case PH_APPLY_INSERT:
        if (row->is_there)
            return false;
        *row = (struct row){true, spelling, number_of(element(statement, 1, i)),
                            number_of(element(statement, 2, i))};
        return true;
    case PH_APPLY_UPDATE:
        return update_row(run, statement, i, state);
    case PH_APPLY_COPY:
    case PH_APPLY_NONE:
        break;
    }
    return false;
}

static bool
is_same(const struct state *a, const struct state *b)
{
    for (int i = 0; i < KEYS; i++) {
        const struct row *x = &a->rows[i];
        const struct row *y = &b->rows[i];
        if (x->is_there != y->is_there)
            return false;
        if (x->is_there && (x->spelling != y->spelling || x->v != y->v || x->big != y->big))
            return false;
    }
    return true;
}

/* ---- all sequences --------------------------------------------------------------------------- */

static void
fail_here(const struct run *run, int length, const char *why)
{
    static const char *const names[] = {"insert", "update",    "update part", "delete",
                                        "move",   "move part", "respell"};

    for (int i = 0; i < KEYS; i++)
        print_error("row %d %s\n", i, run->start.rows[i].is_there ? "is there" : "is not there");
    for (int i = 0; i < length; i++)
        print_error("%s %d -> %d\n", names[run->steps[i].what], run->steps[i].key,
                    run->steps[i].to);
    fail_msg("%s: %s", run->setting->name, why);
}

static void
check_fold(struct run *run, struct ph_fold *fold, int length, const struct state *end)
{
    struct state target = run->start;
    struct ph_apply_statement statement;

    assert_int_equal(ph_apply_statements_begin(run->statements, fold, &err), PH_OK);
    for (;;) {
        assert_int_equal(ph_apply_statements_next(run->statements, &statement, &err), PH_OK);
        if (statement.kind == PH_APPLY_NONE)
            break;
        run->n_singles += statement.is_single && fold == run->folds[0];
        assert_int_equal(statement.expected_rows, statement.n_rows);
        for (uint32_t i = 0; i < statement.n_rows; i++)
            if (!carry_out_row(run, &statement, i, &target))
                fail_here(run, length, statement.sql);
    }
    if (!is_same(&target, end))
        fail_here(run, length, "the end is another");
}

/* The model's states are walked again: adding must not depend on what was checked before. */
static void
check_steps(struct run *run, int length, const struct state *end)
{
    struct state before = run->start;

    for (int i = 0; i < length; i++) {
        struct state after = before;
        assert_true(take_step(&after, &run->steps[i], i + 1));
        add(run, &before, &after, &run->steps[i]);
        before = after;
    }
    for (int i = 0; i < 2; i++) {
        check_fold(run, run->folds[i], length, end);
        assert_int_equal(ph_fold_changes(run->folds[i]), length);
        ph_fold_clear(run->folds[i]);
    }
    run->n_checked++;
}

static void try_all(struct run *run, int length, const struct state *now);

static void
try_step(struct run *run, int length, const struct state *now, struct step step)
{
    struct state next = *now;

    if (!take_step(&next, &step, length + 1))
        return;
    run->steps[length] = step;
    check_steps(run, length + 1, &next);
    try_all(run, length + 1, &next);
}

static void
try_all(struct run *run, int length, const struct state *now)
{
    if (length == run->setting->length)
        return;
    for (int key = 0; key < run->setting->keys; key++) {
        for (enum what what = INSERT; what <= DELETE; what++)
            try_step(run, length, now, (struct step){what, key, key});
        if (run->setting->respells)
            try_step(run, length, now, (struct step){RESPELL, key, key});
        for (int to = 0; to < run->setting->keys; to++) {
            if (to == key)
                continue;
            try_step(run, length, now, (struct step){MOVE, key, to});
            try_step(run, length, now, (struct step){MOVE_PART, key, to});
        }
    }
}

static void
start_run(struct run *run, const struct setting *setting)
{
    const struct ph_apply_limits limits = {.rows = 2};
    const struct fake_column columns[] = {
        {.name = "k",
         .source_type = setting->key_type,
         .is_key = true,
         .identity = setting->identity},
        {.name = "v", .source_type = 23},
        {.name = "big", .source_type = 23, .identity = setting->other_identity},
        {.name = NULL},
    };

    *run = (struct run){.setting = setting};
    fake_apply_init(&run->fake, setting->replica_identity, columns);
    run->table = fake_apply_table(&run->fake);
    if (setting->never_splits) {
        struct ph_apply_table *table = (struct ph_apply_table *)(uintptr_t)run->table;
        table->may_split_moves = table->may_reinsert = false;
    }
    run->folds[0] = ph_fold_new(PH_FOLD_NET, 1 << 20);
    run->folds[1] = ph_fold_new(PH_FOLD_REPLAY, 1 << 20);
    run->statements = ph_apply_statements_new(&limits);
}

static void
run_setting(const struct setting *setting)
{
    struct run run;

    start_run(&run, setting);
    for (int there = 0; there < 1 << setting->keys; there++) {
        for (int i = 0; i < setting->keys; i++)
            run.start.rows[i] = (struct row){(there >> i & 1) != 0, 0, 90 + i, 80 + i};
        try_all(&run, 0, &run.start);
    }
    print_message("%s: %llu sequences, %llu changes by themselves\n", setting->name,
                  (unsigned long long)run.n_checked, (unsigned long long)run.n_singles);
    assert_true(run.n_checked > 100);
    ph_fold_free(run.folds[0]);
    ph_fold_free(run.folds[1]);
    ph_apply_statements_free(run.statements);
    fake_apply_free(&run.fake);
}

static void
sequences_end_as_the_source_did(void **context)
{
    static const struct setting settings[] = {
        {.name = "int key", .key_type = 23, .replica_identity = 'd', .keys = 2, .length = 5},
        {.name = "three keys", .key_type = 23, .replica_identity = 'd', .keys = 3, .length = 4},
        {.name = "full", .key_type = 23, .replica_identity = 'f', .keys = 2, .length = 5},
        {.name = "numeric key",
         .key_type = 1700,
         .replica_identity = 'd',
         .keys = 2,
         .length = 5,
         .respells = true},
        {.name = "numeric key, full",
         .key_type = 1700,
         .replica_identity = 'f',
         .keys = 2,
         .length = 4,
         .respells = true},
        {.name = "identity key",
         .key_type = 23,
         .replica_identity = 'd',
         .identity = 'a',
         .keys = 2,
         .length = 4},
        {.name = "referenced key",
         .key_type = 1700,
         .replica_identity = 'd',
         .never_splits = true,
         .keys = 2,
         .length = 4,
         .respells = true},
    };

    (void)context;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        run_setting(&settings[i]);
}

/* ---- by row ---------------------------------------------------------------------------------- */

#define IMAGES 3

struct row_run {
    struct fake_apply fake;
    const struct ph_apply_table *table;
    struct ph_fold *folds[2];
    struct ph_apply_statements *statements;
    int start[IMAGES];
    struct step steps[MAX_LENGTH];
    uint64_t n_checked;
};

static void
add_image(struct row_run *run, const struct step *step)
{
    struct ph_field fields[2][2];
    uint8_t bytes[2][4];
    struct ph_change change = {
        .kind = step->what == INSERT   ? PH_CHANGE_INSERT
                : step->what == DELETE ? PH_CHANGE_DELETE
                                       : PH_CHANGE_UPDATE,
        .n_fields = 2,
    };

    for (int i = 0; i < 2; i++) {
        ph_store_u32(bytes[i], (uint32_t)(i == 0 ? step->key : step->to));
        fields[i][0] = (struct ph_field){{bytes[i], 4}, PH_FIELD_BINARY};
        fields[i][1] = (struct ph_field){{NULL, 0}, PH_FIELD_NULL};
    }
    if (step->what == MOVE_PART) /* what did not come is in the old image */
        fields[1][1].state = PH_FIELD_UNCHANGED;
    if (change.kind != PH_CHANGE_DELETE)
        change.new_fields = fields[change.kind == PH_CHANGE_UPDATE];
    if (change.kind != PH_CHANGE_INSERT) {
        change.old_image = PH_OLD_ROW;
        change.old_fields = fields[0];
    }
    for (int i = 0; i < 2; i++)
        if (ph_fold_add(run->folds[i], run->table, &change, &err) != PH_OK)
            fail_msg("%s", err.message);
}

static void
carry_out_images(const struct ph_apply_statement *statement, int counts[IMAGES])
{
    uint64_t hit = 0;

    for (uint32_t i = 0; i < statement->n_rows; i++) {
        int image = number_of(element(statement, 0, i));
        assert_null(element(statement, 1, i).data);
        if (statement->kind == PH_APPLY_INSERT) {
            counts[image]++;
            hit++;
            continue;
        }
        assert_int_equal(statement->kind, PH_APPLY_DELETE);
        assert_int_equal(statement->n_params, 4);
        assert_int_equal(ph_load_u64(element(statement, 3, i).data), i);
        int n = (int)ph_load_u64(element(statement, 2, i).data);
        assert_true(n > 0 && counts[image] >= n);
        counts[image] -= n;
        hit += (uint64_t)n;
    }
    assert_int_equal(hit, statement->expected_rows);
}

static void
check_images(struct row_run *run, int length, const int end[IMAGES])
{
    struct ph_apply_statement statement;

    for (int i = 0; i < length; i++)
        add_image(run, &run->steps[i]);
    for (int i = 0; i < 2; i++) {
        int target[IMAGES];
        memcpy(target, run->start, sizeof target);
        assert_int_equal(ph_apply_statements_begin(run->statements, run->folds[i], &err), PH_OK);
        for (;;) {
            assert_int_equal(ph_apply_statements_next(run->statements, &statement, &err), PH_OK);
            if (statement.kind == PH_APPLY_NONE)
                break;
            carry_out_images(&statement, target);
        }
        assert_memory_equal(target, end, sizeof target);
        ph_fold_clear(run->folds[i]);
    }
    run->n_checked++;
}

static void
try_images(struct row_run *run, int length, const int now[IMAGES])
{
    if (length > 0)
        check_images(run, length, now);
    if (length == 4)
        return;
    for (int key = 0; key < IMAGES; key++) {
        for (int to = 0; to <= IMAGES + 1; to++) {
            int next[IMAGES];
            memcpy(next, now, sizeof next);
            enum what what = to == IMAGES ? INSERT : to == IMAGES + 1 ? DELETE : MOVE_PART;
            if (what != INSERT && next[key]-- == 0)
                continue;
            if (what != DELETE)
                next[what == INSERT ? key : to]++;
            run->steps[length] = (struct step){what, key, to};
            try_images(run, length + 1, next);
        }
    }
}

static void
rows_without_a_key_are_counted(void **context)
{
    const struct ph_apply_limits limits = {.rows = 2};
    const struct fake_column columns[] = {
        {.name = "k", .source_type = 23}, {.name = "v", .source_type = 25}, {.name = NULL}};
    struct row_run run = {.start = {1, 0, 2}};

    (void)context;
    fake_apply_init(&run.fake, 'f', columns);
    run.table = fake_apply_table(&run.fake);
    assert_int_equal(run.table->way, PH_APPLY_BY_ROW);
    run.folds[0] = ph_fold_new(PH_FOLD_NET, 1 << 20);
    run.folds[1] = ph_fold_new(PH_FOLD_REPLAY, 1 << 20);
    run.statements = ph_apply_statements_new(&limits);
    try_images(&run, 0, run.start);
    print_message("%llu sequences\n", (unsigned long long)run.n_checked);
    ph_fold_free(run.folds[0]);
    ph_fold_free(run.folds[1]);
    ph_apply_statements_free(run.statements);
    fake_apply_free(&run.fake);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void
hot_rows_take_the_memory_of_one(void **context)
{
    const struct setting setting = {.key_type = 23, .replica_identity = 'd', .keys = 1};
    struct run run;
    struct state state = {.rows = {{true, 0, 1, 1}}};
    struct state next;
    size_t bytes = 0;

    (void)context;
    start_run(&run, &setting);
    for (int i = 0; i < 100000; i++) {
        const struct step step = {i % 3 == 0 ? UPDATE_PART : UPDATE, 0, 0};
        next = state;
        take_step(&next, &step, i + 1);
        if (run.folds[1] != NULL && i == 100) {
            ph_fold_free(run.folds[1]);
            run.folds[1] = ph_fold_new(PH_FOLD_NET, 1 << 20);
        }
        add(&run, &state, &next, &step);
        if (i == 0)
            bytes = ph_fold_bytes(run.folds[0]);
        state = next;
    }
    assert_true(ph_fold_bytes(run.folds[0]) < bytes + 100);
    assert_false(ph_fold_is_full(run.folds[0]));
    run.start = (struct state){.rows = {{true, 0, 1, 1}}};
    check_fold(&run, run.folds[0], 0, &state);
    ph_fold_free(run.folds[0]);
    ph_fold_free(run.folds[1]);
    ph_apply_statements_free(run.statements);
    fake_apply_free(&run.fake);
}

/* One table after the other has its burst: what is kept of them stays within a quarter. */
static void
room_that_is_kept_is_bounded(void **context)
{
    const struct setting setting = {.key_type = 23, .replica_identity = 'd', .keys = 1};
    const size_t limit = 200000;
    struct ph_fold *fold = ph_fold_new(PH_FOLD_NET, limit);
    struct ph_apply_table tables[60];
    struct image image;
    struct run run;

    (void)context;
    start_run(&run, &setting);
    for (uint32_t i = 0; i < 60; i++) {
        tables[i] = *run.table;
        tables[i].index = i;
        for (int key = 0; !ph_fold_is_full(fold); key++) {
            const struct row row = {true, 0, 1, 1};
            make_image(&run, &image, key, &row, false);
            const struct ph_change change = {
                .kind = PH_CHANGE_INSERT, .new_fields = image.fields, .n_fields = 3};
            assert_int_equal(ph_fold_add(fold, &tables[i], &change, &err), PH_OK);
        }
        assert_true(ph_fold_changes(fold) > 500);
        ph_fold_clear(fold);
        assert_true(ph_fold_bytes(fold) <= limit / 4);
    }
    ph_fold_free(fold);
    ph_fold_free(run.folds[0]);
    ph_fold_free(run.folds[1]);
    ph_apply_statements_free(run.statements);
    fake_apply_free(&run.fake);
}

/* Changes that do not fit stand by themselves, and the table goes on behind them. */
static void
what_does_not_fit_is_left_to_the_server(void **context)
{
    const struct setting setting = {.key_type = 23, .replica_identity = 'd', .keys = 1};
    const struct state there = {.rows = {{true, 0, 1, 1}}};
    const struct state gone = {.rows = {{false, 0, 1, 1}}};
    const enum ph_apply_kind kinds[] = {PH_APPLY_DELETE, PH_APPLY_UPDATE, PH_APPLY_DELETE,
                                        PH_APPLY_INSERT, PH_APPLY_INSERT, PH_APPLY_UPDATE,
                                        PH_APPLY_UPDATE};
    const bool singles[] = {false, true, true, false, true, false, true};
    struct ph_apply_statement statement;
    struct run run;

    (void)context;
    start_run(&run, &setting);
    add(&run, &there, &gone, &(struct step){DELETE, 0, 0});
    add(&run, &there, &there, &(struct step){UPDATE, 0, 0}); /* of what is gone */
    add(&run, &there, &gone, &(struct step){DELETE, 0, 0});  /* first of a new part: folds */
    add(&run, &there, &gone, &(struct step){DELETE, 0, 0});  /* again */
    add(&run, &gone, &there, &(struct step){INSERT, 0, 0});
    add(&run, &gone, &there, &(struct step){INSERT, 0, 0}); /* again */
    add(&run, &there, &there, &(struct step){UPDATE, 0, 0});
    add(&run, &there, &there, &(struct step){MOVE, 1, 0}); /* to where a row is */
    assert_int_equal(ph_apply_statements_begin(run.statements, run.folds[0], &err), PH_OK);
    for (size_t i = 0, seen = 0; i < 8; i++) {
        assert_int_equal(ph_apply_statements_next(run.statements, &statement, &err), PH_OK);
        if (i == 2) { /* the DELETE that begins the second part */
            assert_int_equal(statement.kind, PH_APPLY_DELETE);
            assert_false(statement.is_single);
            continue;
        }
        assert_int_equal(statement.kind, kinds[seen]);
        assert_int_equal(statement.is_single, singles[seen]);
        seen++;
    }
    assert_int_equal(ph_apply_statements_next(run.statements, &statement, &err), PH_OK);
    assert_int_equal(statement.kind, PH_APPLY_NONE);
    ph_fold_free(run.folds[0]);
    ph_fold_free(run.folds[1]);
    ph_apply_statements_free(run.statements);
    fake_apply_free(&run.fake);
}

static void
refuse(struct ph_fold *fold, const struct ph_apply_table *table, const struct ph_change *change)
{
    assert_int_equal(ph_fold_add(fold, table, change, &err), PH_E_PROTOCOL);
    ph_fold_clear(fold);
}

static void
broken_changes_are_refused(void **context)
{
    const struct fake_column columns[] = {{.name = "k", .source_type = 23, .is_key = true},
                                          {.name = "v", .source_type = 25},
                                          {.name = NULL}};
    const uint8_t bytes[] = {0, 0, 0, 1};
    const struct ph_field key = {{bytes, 4}, PH_FIELD_BINARY};
    const struct ph_field missing = {{NULL, 0}, PH_FIELD_UNCHANGED};
    const struct ph_field text = {{bytes, 4}, PH_FIELD_TEXT};
    struct ph_fold *fold = ph_fold_new(PH_FOLD_NET, 1000);
    struct fake_apply fake;

    (void)context;
    fake_apply_init(&fake, 'd', columns);
    const struct ph_apply_table *table = fake_apply_table(&fake);
    struct ph_field fields[] = {key, key};
    struct ph_change change = {.kind = PH_CHANGE_INSERT, .new_fields = fields, .n_fields = 2};
    assert_int_equal(ph_fold_add(fold, table, &change, &err), PH_OK);
    assert_true(ph_fold_takes(fold, table));
    ph_fold_clear(fold);
    fields[1] = missing;
    refuse(fold, table, &change);
    fields[1] = text;
    refuse(fold, table, &change);
    change.kind = PH_CHANGE_UPDATE;
    fields[0] = missing;
    fields[1] = key;
    refuse(fold, table, &change);
    change.kind = PH_CHANGE_DELETE;
    refuse(fold, table, &change);
    change.old_image = PH_OLD_KEY;
    change.old_fields = fields;
    refuse(fold, table, &change);
    change.n_fields = 3;
    refuse(fold, table, &change);
    change.kind = PH_CHANGE_TRUNCATE;
    assert_int_equal(ph_fold_add(fold, table, &change, &err), PH_E_INTERNAL);
    ph_fold_free(fold);
    fake_apply_free(&fake);
}

/* What the target has does not matter. */
static void
conflicts_are_overwritten(void **context)
{
    const struct fake_column columns[] = {
        {.name = "k", .source_type = 23, .is_key = true},
        {.name = "v", .source_type = 25},
        {.name = NULL},
    };
    static const enum ph_apply_kind kinds[] = {
        PH_APPLY_DELETE, PH_APPLY_INSERT,                  /* INSERT */
        PH_APPLY_UPDATE,                                   /* UPDATE without a value */
        PH_APPLY_DELETE, PH_APPLY_DELETE, PH_APPLY_INSERT, /* UPDATE of the key */
        PH_APPLY_DELETE,                                   /* DELETE */
    };
    const uint8_t bytes[] = {0, 0, 0, 1, 0, 0, 0, 2};
    const struct ph_field keys[] = {{{bytes, 4}, PH_FIELD_BINARY},
                                    {{bytes + 4, 4}, PH_FIELD_BINARY}};
    const struct ph_field missing = {{NULL, 0}, PH_FIELD_UNCHANGED};
    const struct ph_field whole[] = {keys[0], keys[1]};
    const struct ph_field part[] = {keys[0], missing};
    const struct ph_field old[] = {keys[1], missing};
    const struct ph_change changes[] = {
        {.kind = PH_CHANGE_INSERT, .new_fields = whole, .n_fields = 2},
        {.kind = PH_CHANGE_UPDATE, .new_fields = part, .n_fields = 2},
        {.kind = PH_CHANGE_UPDATE,
         .new_fields = whole,
         .old_fields = old,
         .old_image = PH_OLD_KEY,
         .n_fields = 2},
        {.kind = PH_CHANGE_DELETE, .old_fields = old, .old_image = PH_OLD_KEY, .n_fields = 2},
    };
    const struct ph_apply_limits limits = {.rows = 0};
    struct ph_apply_statements *statements = ph_apply_statements_new(&limits);
    struct ph_fold *fold = ph_fold_new(PH_FOLD_REPLAY, 1000);
    struct ph_apply_statement statement;
    struct fake_apply fake;

    (void)context;
    fake_apply_init(&fake, 'd', columns);
    const struct ph_apply_table *table = fake_apply_table(&fake);
    for (int i = 0; i < 4; i++)
        assert_int_equal(ph_fold_overwrite(fold, table, &changes[i], &err), PH_OK);
    assert_int_equal(ph_apply_statements_begin(statements, fold, &err), PH_OK);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(ph_apply_statements_next(statements, &statement, &err), PH_OK);
        assert_int_equal(statement.kind, kinds[i]);
        assert_int_equal(statement.may_miss, statement.kind != PH_APPLY_INSERT);
        if (statement.kind == PH_APPLY_INSERT)
            assert_int_equal(number_of(element(&statement, 1, 0)), 2);
        assert_int_equal(number_of(element(&statement, 0, 0)), i == 4 || i == 6 ? 2 : 1);
    }
    assert_int_equal(ph_apply_statements_next(statements, &statement, &err), PH_OK);
    assert_int_equal(statement.kind, PH_APPLY_NONE);
    ph_apply_statements_free(statements);
    ph_fold_free(fold);
    fake_apply_free(&fake);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_end_as_the_source_did),
        cmocka_unit_test(rows_without_a_key_are_counted),
        cmocka_unit_test(hot_rows_take_the_memory_of_one),
        cmocka_unit_test(room_that_is_kept_is_bounded),
        cmocka_unit_test(what_does_not_fit_is_left_to_the_server),
        cmocka_unit_test(broken_changes_are_refused),
        cmocka_unit_test(conflicts_are_overwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
