/*
 * What rules cost without servers: `ninja micro_rules`, release build. Rows go through compiled
 * rules as a lane sends them; nanoseconds a row and column are the difference to the route that
 * does least, divided by the columns that have the rule. Then how long it takes to make the rules
 * of a job of 200 tables, first and from the cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../tests/unit/fake_tables.h"
#include "base/clock.h"
#include "rules/ruleset.h"

#define RUNS 15
#define ROWS 400000u
#define COLUMNS 10u
#define TABLES 200u
#define TABLE_COLUMNS 10u

struct kind { /* of rule, on all columns */
    const char *name;
    struct ph_rule_column rule;
};

struct world {
    struct fake_tables source;
    struct fake_tables target;
};

static const struct ph_rule_pair pairs[] = {
    {{"domain_generation", {0, 0}}, {"generation", {0, 0}}},
    {{"dns_validation", {0, 0}}, {"dns_validation", {0, 0}}},
    {{"http_keyword_validation", {0, 0}}, {"http_keyword_validation", {0, 0}}},
    {{"analysis", {0, 0}}, {"analysis", {0, 0}}},
    {{"lead_generation", {0, 0}}, {"extraction", {0, 0}}},
    {{"comprehensive", {0, 0}}, {"generation", {0, 0}}},
};
static const struct ph_rule_map map = {.name = "phase", .pairs = pairs, .n_pairs = 6};
static const struct ph_rule_step map_step = {.op = "map", .map = &map};
static const struct ph_rule_word hash_params[] = {{"", {0, 0}}};

static void
die(const struct ph_error *err)
{
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static int
by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Tables of an id and `n` texts on both sides. */
static void
add_tables(struct world *world, uint32_t tables, uint32_t n)
{
    char columns[1024] = "id int4*";
    char name[64];

    fake_tables_init(&world->source);
    fake_tables_init(&world->target);
    for (uint32_t i = 0; i < n; i++)
        snprintf(columns + strlen(columns), sizeof columns - strlen(columns), ", c%u text", i);
    for (uint32_t i = 0; i < tables; i++) {
        snprintf(name, sizeof name, "public.table_%u", i);
        fake_table(&world->source, name, columns);
        fake_table(&world->target, name, columns);
    }
}

static struct ph_rule_table *
make_rules(const struct world *world, struct ph_arena *arena, const struct ph_rule_column *rule,
           uint32_t tables, uint32_t n)
{
    struct ph_rule_table *out = PH_ARENA_ARRAY(arena, struct ph_rule_table, tables);

    for (uint32_t t = 0; t < tables; t++) {
        struct ph_rule_route *route = PH_ARENA_ARRAY(arena, struct ph_rule_route, 1);
        const struct ph_rel *rel = &world->source.rels[t];
        route->columns = PH_ARENA_ARRAY(arena, struct ph_rule_column, n);
        route->n_columns = n;
        for (uint32_t i = 0; i < n; i++) {
            route->columns[i] = *rule;
            route->columns[i].target.text = rel->columns[i + 1].name;
        }
        out[t] = (struct ph_rule_table){
            .source = {rel->schema, rel->name, {0, 0}}, .routes = route, .n_routes = 1};
    }
    return out;
}

static struct ph_ruleset *
make(const struct world *world, const struct ph_rule_table *tables, uint32_t n, const char *dir)
{
    const struct ph_job_rules rules = {
        .file = "bench", .secret_env = "X", .tables = tables, .n_tables = n};
    const struct ph_ruleset_params params = {.rules = &rules,
                                             .source = &world->source.catalog,
                                             .target = &world->target.catalog,
                                             .dir = dir,
                                             .constant = fake_constant};
    struct ph_ruleset *set;
    struct ph_error err;

    if (ph_ruleset_make(&params, &set, &err) != PH_OK)
        die(&err);
    return set;
}

/* Nanoseconds a row. */
static double
run_rows(struct ph_rule_machine *machine, const struct ph_route *route)
{
    struct ph_value rows[6][FAKE_COLUMNS];
    struct ph_value out[FAKE_COLUMNS];
    struct ph_rule_outcome outcome;
    struct ph_error err;
    static const uint8_t id[4] = {0, 0, 0, 1};
    uint64_t sum = 0;

    for (uint32_t r = 0; r < 6; r++) {
        for (uint32_t i = 0; i < route->n_inputs; i++) {
            const char *text = pairs[(r * 5 + i) % 6].from.text;
            rows[r][i] = route->inputs[i].column->type_oid == 23
                             ? (struct ph_value){id, 4}
                             : (struct ph_value){(const uint8_t *)text, (int32_t)strlen(text)};
        }
    }
    uint64_t begin = ph_clock_ns();
    for (uint32_t r = 0; r < ROWS; r++) {
        if (ph_rule_begin_row(machine, route, rows[r % 6], &outcome, &err) != PH_OK ||
            ph_rule_take_row(machine, 0, out, &outcome, &err) != PH_OK)
            die(&err);
        sum += (uint64_t)out[1].len;
    }
    uint64_t end = ph_clock_ns();
    if (sum == 0)
        puts("nothing came out");
    return (double)(end - begin) / ROWS;
}

static double
measure(const struct kind *kind, const char *dir, double *spread)
{
    static struct world world;
    struct ph_arena arena;
    struct ph_error err;
    struct ph_rule_machine *machine;
    double runs[RUNS];

    ph_arena_init(&arena, (size_t)64 << 20);
    add_tables(&world, 1, COLUMNS);
    struct ph_ruleset *set =
        make(&world, make_rules(&world, &arena, &kind->rule, 1, COLUMNS), 1, dir);
    if (ph_rule_machine_new(set, (const uint8_t *)"secret", 6, &machine, &err) != PH_OK)
        die(&err);
    for (int i = 0; i < RUNS; i++)
        runs[i] = run_rows(machine, ph_ruleset_route(set, 0));
    qsort(runs, RUNS, sizeof runs[0], by_value);
    *spread = (runs[RUNS - 3] - runs[2]) / COLUMNS;
    ph_rule_machine_free(machine);
    ph_ruleset_free(set);
    ph_arena_reset(&arena);
    return runs[RUNS / 2] / COLUMNS;
}

static void
measure_compiling(const struct kind *kind, const char *dir)
{
    static struct world world;
    struct ph_arena arena;
    uint64_t at[3];

    ph_arena_init(&arena, (size_t)256 << 20);
    add_tables(&world, TABLES, TABLE_COLUMNS);
    const struct ph_rule_table *tables =
        make_rules(&world, &arena, &kind->rule, TABLES, TABLE_COLUMNS);
    at[0] = ph_clock_ns();
    ph_ruleset_free(make(&world, tables, TABLES, dir));
    at[1] = ph_clock_ns();
    ph_ruleset_free(make(&world, tables, TABLES, dir));
    at[2] = ph_clock_ns();
    printf("%u tables of %u columns, %s: %.2f s, from the cache %.3f s\n", TABLES, TABLE_COLUMNS,
           kind->name, (double)(at[1] - at[0]) / 1e9, (double)(at[2] - at[1]) / 1e9);
    ph_arena_reset(&arena);
}

int
main(int argc, char **argv)
{
    static const struct ph_rule_step upper = {.op = "upper"};
    const struct ph_rule_step hash = {.op = argc > 1 ? argv[1] : "upper",
                                      .params = {hash_params, argc > 2 ? 1 : 0}};
    const struct kind kinds[] = {
        {"a constant", {.kind = PH_RULE_SET, .constant = {"generation", {0, 0}}}},
        {"a map of 6 values", {.kind = PH_RULE_TAKE, .steps = &map_step, .n_steps = 1}},
        {"upper", {.kind = PH_RULE_TAKE, .steps = &upper, .n_steps = 1}},
        {argc > 1 ? argv[1] : "upper again", {.kind = PH_RULE_TAKE, .steps = &hash, .n_steps = 1}},
    };
    char dir[] = "/tmp/micro_rules.XXXXXX";
    double spread;

    if (mkdtemp(dir) == NULL)
        return 1;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        double ns = measure(&kinds[i], dir, &spread);
        printf("%-20s %6.1f ns a row and column (± %.1f)\n", kinds[i].name, ns, spread / 2);
    }
    measure_compiling(&kinds[0], dir);
    measure_compiling(&kinds[1], dir);
    return 0;
}
