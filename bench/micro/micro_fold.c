/*
 * What folding a change and making its statement costs, without any server: `ninja micro_fold`,
 * release build. Groups of 20,000 changes; nanoseconds per change, median and spread of 15 runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply/statement.h"
#include "base/clock.h"

#define RUNS 15
#define GROUPS 20
#define CHANGES 20000u
#define MAX_COLUMNS 20

enum keys { ASCENDING, RANDOM, HOT };

struct sample {
    const char *name;
    enum ph_change_kind kind;
    enum keys keys;
    bool leaves_out_last; /* the last column is not sent */
    uint32_t n_columns;
    uint32_t widths[MAX_COLUMNS]; /* the first is the key */
};

static const struct sample samples[] = {
    {"accounts: update, random key", PH_CHANGE_UPDATE, RANDOM, false, 4, {4, 4, 4, 84}},
    {"branches: update, 50 keys", PH_CHANGE_UPDATE, HOT, false, 3, {4, 4, 88}},
    {"history: insert", PH_CHANGE_INSERT, ASCENDING, false, 6, {8, 4, 4, 4, 4, 8}},
    {"accounts: delete", PH_CHANGE_DELETE, ASCENDING, false, 4, {4, 4, 4, 84}},
    {"20 columns: update, last not sent", PH_CHANGE_UPDATE, RANDOM, true, 20, {16, 8,  8,   8, 4,
                                                                               4,  4,  1,   1, 20,
                                                                               30, 8,  8,   4, 4,
                                                                               12, 40, 100, 8, 12}},
};

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void
fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

struct bench {
    const struct sample *sample;
    struct ph_rel rel;
    struct ph_apply_column columns[MAX_COLUMNS];
    struct ph_apply_table table;
    struct ph_field fields[MAX_COLUMNS];
    uint8_t bytes[MAX_COLUMNS][128];
    uint32_t state;
};

static void
make_table(struct bench *bench, const struct sample *sample)
{
    *bench = (struct bench){.sample = sample, .state = 1};
    bench->rel = (struct ph_rel){.schema = "s", .name = "t", .kind = PH_REL_TABLE};
    for (uint32_t i = 0; i < sample->n_columns; i++) {
        bench->columns[i] = (struct ph_apply_column){
            .name = "c",
            .field = i,
            .is_key = i == 0,
            .element_oid = 23,
            .param_sql = "int4[]",
            .cast_sql = "",
            .equals = "=",
        };
        bench->fields[i] = (struct ph_field){{bench->bytes[i], sample->widths[i]}, PH_FIELD_BINARY};
        if (sample->leaves_out_last && i + 1 == sample->n_columns)
            bench->fields[i].state = PH_FIELD_UNCHANGED;
    }
    bench->table = (struct ph_apply_table){
        .target = &bench->rel,
        .label = "s.t",
        .target_sql = "ONLY s.t",
        .way = PH_APPLY_BY_KEY,
        .columns = bench->columns,
        .n_columns = sample->n_columns,
        .n_keys = 1,
        .n_stream_fields = sample->n_columns,
        .key_is_bytes = true,
        .may_split_moves = true,
        .insert_sql = "",
        .delete_sql = "",
        .copy_sql = "",
    };
}

static void
add_group(struct bench *bench, struct ph_fold *fold)
{
    struct ph_change change = {.kind = bench->sample->kind, .n_fields = bench->sample->n_columns};

    if (change.kind == PH_CHANGE_DELETE) {
        change.old_fields = bench->fields;
        change.old_image = PH_OLD_KEY;
    } else {
        change.new_fields = bench->fields;
    }
    for (uint32_t i = 0; i < CHANGES; i++) {
        uint32_t key = i;
        if (bench->sample->keys != ASCENDING)
            key = (bench->state = bench->state * 1664525u + 1013904223u) >> 8;
        if (bench->sample->keys == HOT)
            key %= 50;
        ph_store_u32(bench->bytes[0], key);
        if (ph_fold_add(fold, &bench->table, &change, NULL) != PH_OK)
            fail("fold");
    }
}

static size_t
make_statements(struct ph_apply_statements *statements, struct ph_fold *fold)
{
    struct ph_apply_statement statement;
    size_t bytes = 0;

    if (ph_apply_statements_begin(statements, fold, NULL) != PH_OK)
        fail("begin");
    for (;;) {
        if (ph_apply_statements_next(statements, &statement, NULL) != PH_OK)
            fail("next");
        if (statement.kind == PH_APPLY_NONE)
            return bytes;
        for (uint32_t i = 0; i < statement.n_params; i++)
            bytes += statement.params[i].len;
    }
}

static void
print(const char *what, double *nanoseconds)
{
    qsort(nanoseconds, RUNS, sizeof *nanoseconds, by_value);
    printf("  %s %6.1f (%.1f to %.1f)", what, nanoseconds[RUNS / 2], nanoseconds[0],
           nanoseconds[RUNS - 1]);
}

static void
run(const struct sample *sample)
{
    const struct ph_apply_limits limits = {.rows = 1000};
    struct ph_fold *fold = ph_fold_new(PH_FOLD_NET, (size_t)1 << 30);
    struct ph_apply_statements *statements = ph_apply_statements_new(&limits);
    double folding[RUNS] = {0};
    double making[RUNS] = {0};
    size_t bytes = 0;
    struct bench bench;

    if (fold == NULL || statements == NULL)
        fail("no memory");
    make_table(&bench, sample);
    for (int r = 0; r < RUNS; r++) {
        for (int g = 0; g < GROUPS; g++) {
            uint64_t start = ph_clock_ns();
            add_group(&bench, fold);
            uint64_t folded = ph_clock_ns();
            bytes = make_statements(statements, fold);
            making[r] += (double)(ph_clock_ns() - folded) / CHANGES / GROUPS;
            folding[r] += (double)(folded - start) / CHANGES / GROUPS;
            ph_fold_clear(fold);
        }
    }
    printf("%-36s", sample->name);
    print("fold", folding);
    print("statements", making);
    printf("  %.0f bytes a change\n", (double)bytes / CHANGES);
    ph_apply_statements_free(statements);
    ph_fold_free(fold);
}

int
main(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++)
        run(&samples[i]);
    return 0;
}
