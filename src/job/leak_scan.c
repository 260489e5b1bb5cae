#include "job/leak_scan.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/stop.h"
#include "job/leak_parts.h"
#include "pg/database.h"

#define NO_SUCH_TABLE "42P01" /* somebody's that has gone since the catalog was read */

/* ---- whether there is something to look for ---- */

ph_code
ph_leak_check(const struct ph_verify *verify, struct ph_error *err)
{
    const struct ph_ruleset *set = verify->rules.set;

    if (!verify->options->leak_scan)
        return PH_OK;
    for (uint32_t i = 0; set != NULL && i < ph_ruleset_count(set); i++) {
        const struct ph_route *route = ph_ruleset_route(set, i);
        for (uint32_t k = 0; k < route->n_outputs; k++) {
            if (route->outputs[k].mask != NULL)
                return PH_OK;
        }
    }
    PH_FAIL(err, PH_E_USAGE,
            "--leak-scan: no rule of the job is a mask, so there is nothing to look for");
    ph_error_hint(
        err, "%s",
        "leave --leak-scan out, or give the job file that masks; columns that are dropped "
        "or set to constants are not looked for");
    return PH_E_USAGE;
}

/* ---- what may hold such values ---- */

static uint32_t
count_dots(const char *text, const char **last)
{
    uint32_t n = 0;
    bool quoted = false;

    for (; *text != '\0'; text++) {
        quoted ^= *text == '"';
        if (*text == '.' && !quoted) {
            n++;
            *last = text;
        }
    }
    return n;
}

static ph_code
parse_skip(struct ph_leak_scan *scan, const char *text, struct ph_leak_skip *out,
           struct ph_error *err)
{
    const char *last = NULL;
    const char *table = text;
    struct ph_pattern column;

    *out = (struct ph_leak_skip){0};
    if (count_dots(text, &last) == 2) {
        table = ph_arena_strndup(scan->arena, text, (size_t)(last - text));
        if (table == NULL)
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
        PH_TRY(ph_pattern_parse_schema(scan->arena, last + 1, &column, err));
        out->column = column.name;
    }
    return ph_pattern_parse_table(scan->arena, table, &out->table, err);
}

static ph_code
parse_skips(struct ph_leak_scan *scan, struct ph_error *err)
{
    const struct ph_string_list *list = &scan->verify->options->leak_skips;

    scan->skips = PH_ARENA_ARRAY(scan->arena, struct ph_leak_skip, (size_t)list->n + 1);
    if (scan->skips == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < list->n; i++) {
        ph_code rc = parse_skip(scan, list->items[i], &scan->skips[i], err);
        if (rc != PH_OK) {
            ph_error_note(err, "--leak-skip");
            return rc;
        }
        scan->n_skips++;
    }
    return PH_OK;
}

/* ---- tables ---- */

/* Why a table cannot be searched; "" when it can. */
static ph_code
why_not(struct ph_leak_scan *scan, const struct ph_rel *rel, char *out, size_t size,
        struct ph_error *err)
{
    char oid[16];
    const char *params[] = {oid};
    struct ph_result *r;

    out[0] = '\0';
    if (rel->can_read && rel->kind != PH_REL_MATVIEW && !rel->rls_hides)
        return PH_OK;
    snprintf(oid, sizeof oid, "%u", rel->oid);
    PH_TRY(ph_conn_query(
        scan->conns[PH_TARGET],
        "SELECT CASE WHEN NOT (pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE') AND"
        " pg_catalog.has_table_privilege(c.oid, 'SELECT')) THEN 'no right to read it'"
        " WHEN NOT c.relispopulated THEN '-'"
        " WHEN c.relrowsecurity AND pg_catalog.row_security_active(c.oid)"
        " THEN 'row level security hides rows from this role' ELSE '' END"
        " FROM pg_catalog.pg_class c WHERE c.oid = $1::oid",
        1, params, &r, err));
    snprintf(out, size, "%s", ph_result_rows(r) > 0 ? ph_result_text(r, 0, 0) : "-");
    ph_result_free(r);
    return PH_OK;
}

static ph_code
search_rel(struct ph_leak_scan *scan, const struct ph_rel *rel, struct ph_error *err)
{
    struct ph_leak_table table;
    char label[160];
    char why[80];

    PH_TRY(ph_leak_make_table(scan, rel, &table, err));
    if (table.n_fields == 0)
        return PH_OK;
    PH_TRY(why_not(scan, rel, why, sizeof why, err));
    if (why[0] == '\0') {
        ph_code rc = ph_leak_search_table(scan, &table, &scan->verify->leaks, err);
        if (rc != PH_E_SQL || strcmp(err->sqlstate, NO_SUCH_TABLE) != 0 ||
            ph_leak_is_filled(scan->verify, rel))
            return rc;
        ph_error_reset(err);
        return PH_OK;
    }
    snprintf(label, sizeof label, "%s.%s", rel->schema, rel->name);
    if (strcmp(why, "-") != 0) /* a materialized view without rows, a table that has gone */
        ph_report_add_finding(scan->verify->report, PH_FINDING_WARNING, "leak scan", label,
                              "was not searched: %s", why);
    return PH_OK;
}

/* Partitions that are elsewhere would be read over there. */
static bool
has_foreign_parts(const struct ph_catalog *catalog, const struct ph_rel *root)
{
    const struct ph_rel *rel;
    uint32_t at = 0;

    while ((rel = ph_catalog_tree_next(catalog, root, &at)) != NULL) {
        if (rel->kind == PH_REL_FOREIGN)
            return true;
    }
    return false;
}

static bool
is_source(const struct ph_verify *verify, const struct ph_rel *rel)
{
    for (uint32_t i = 0; i < verify->plan.n_tables; i++) {
        const struct ph_rel *source = verify->plan.tables[i].source;
        if (source->oid == rel->oid || source->root_oid == rel->oid)
            return true;
    }
    return false;
}

static bool
is_searched(const struct ph_leak_scan *scan, const struct ph_rel *rel)
{
    const struct ph_catalog *target = &scan->verify->catalogs[PH_TARGET];
    const struct ph_rel *root = ph_catalog_rel(target, rel->root_oid);
    bool is_in_parts = root != NULL && has_foreign_parts(target, root);

    if ((rel->extension != NULL && !rel->is_config) || rel->persistence == 't')
        return false;
    if (rel->kind == PH_REL_PARTITIONED && (rel->is_partition || is_in_parts))
        return false;
    if (rel->kind == PH_REL_TABLE && rel->is_partition && !is_in_parts)
        return false;
    if (rel->kind != PH_REL_TABLE && rel->kind != PH_REL_PARTITIONED && rel->kind != PH_REL_MATVIEW)
        return false;
    return !scan->is_one_database ||
           (ph_leak_is_filled(scan->verify, rel) && !is_source(scan->verify, rel));
}

static void
count_tables(struct ph_leak_scan *scan)
{
    const struct ph_catalog *target = &scan->verify->catalogs[PH_TARGET];

    for (uint32_t i = 0; i < target->n_rels; i++) {
        if (!is_searched(scan, &target->rels[i]))
            continue;
        const struct ph_rel *rel;
        uint32_t at = 0;
        scan->to_search++;
        while ((rel = ph_catalog_tree_next(target, &target->rels[i], &at)) != NULL)
            scan->to_read_bytes += rel->bytes;
    }
}

static ph_code
search_rels(struct ph_leak_scan *scan, struct ph_error *err)
{
    const struct ph_catalog *target = &scan->verify->catalogs[PH_TARGET];

    for (uint32_t i = 0; i < target->n_rels; i++) {
        if (is_searched(scan, &target->rels[i]))
            PH_TRY(search_rel(scan, &target->rels[i], err));
    }
    return PH_OK;
}

/* ---- what pghaul itself has written down of rows ---- */

/* Ledgers of other versions may not have it. */
static ph_code
can_read_ledger(struct ph_leak_scan *scan, const struct ph_leak_table *table, bool *out,
                struct ph_error *err)
{
    struct ph_result *r;
    const char *params[] = {table->name, table->fields[0].name, table->fields[1].name};

    PH_TRY(ph_conn_query(scan->conns[PH_TARGET],
                         "SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON"
                         " n.oid = c.relnamespace WHERE n.nspname = 'pghaul' AND c.relname = $1"
                         " AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
                         " AND pg_catalog.has_table_privilege(c.oid, 'SELECT')"
                         " AND (SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute a WHERE"
                         " a.attrelid = c.oid AND a.attname IN ($2, $3)) = 2",
                         3, params, &r, err));
    *out = ph_result_rows(r) > 0;
    ph_result_free(r);
    return PH_OK;
}

/* Keys of rows that stayed behind, of rows that differed, and where chunks begin and end. */
static ph_code
search_ledger(struct ph_leak_scan *scan, struct ph_error *err)
{
    static const char how[] = "the job's ledger; `pghaul clean` removes it";
    static const char *const tables[][4] = {{"quarantine", "n", "row_key", "reason"},
                                            {"finding", "n", "object", "finding"},
                                            {"chunk", "chunk", "lo", "hi"}};

    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        struct ph_leak_field fields[] = {{.name = tables[i][2], .how = how},
                                         {.name = tables[i][3], .how = how}};
        struct ph_leak_key keys[] = {{.name = "job"}, {.name = tables[i][1]}};
        const struct ph_leak_table table = {.schema = "pghaul",
                                            .name = tables[i][0],
                                            .is_plain = true,
                                            .fields = fields,
                                            .n_fields = 2,
                                            .keys = keys,
                                            .n_keys = 2};
        bool can;
        PH_TRY(can_read_ledger(scan, &table, &can, err));
        if (can)
            PH_TRY(ph_leak_search_table(scan, &table, &scan->verify->leaks, err));
    }
    return PH_OK;
}

/* ---- all of it ---- */

static ph_code
open_both(struct ph_leak_scan *scan, struct ph_error *err)
{
    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++) {
        PH_TRY(ph_conn_open(&scan->verify->endpoints[side], "leak scan", &scan->conns[side], err));
        PH_TRY(ph_conn_exec(scan->conns[side], "SET default_transaction_read_only = on", err));
    }
    return ph_database_is_one(scan->conns[PH_SOURCE], scan->conns[PH_TARGET],
                              &scan->is_one_database, err);
}

/* A stop that is wished ends what the rate makes wait. */
static void
set_budget(struct ph_verify *verify, struct ph_budget *budget)
{
    pthread_mutex_lock(&verify->watch_lock);
    verify->budget = budget;
    pthread_mutex_unlock(&verify->watch_lock);
}

static ph_code
take_values(struct ph_leak_scan *scan, struct ph_error *err)
{
    ph_budget_init(&scan->budget, scan->verify->options->max_rate_bytes);
    set_budget(scan->verify, &scan->budget);
    ph_code rc = ph_leak_take_values(scan, err);
    set_budget(scan->verify, NULL);
    ph_budget_destroy(&scan->budget);
    return rc;
}

/* ---- the display ---- */

static void
read_progress(void *arg, struct ph_progress *out)
{
    struct ph_leak_scan *scan = arg;

    snprintf(out->phase, sizeof out->phase, "leak scan");
    out->tables = scan->to_search;
    out->tables_done = atomic_load(&scan->tables);
    out->bytes = scan->to_read_bytes;
    out->bytes_done = atomic_load(&scan->bytes);
    out->elapsed_s = ph_clock_seconds_since(scan->verify->started_ns);
}

static ph_code
take_and_search(struct ph_leak_scan *scan, struct ph_error *err)
{
    PH_TRY(take_values(scan, err));
    uint64_t taken_bytes = atomic_load(&scan->bytes);
    if (scan->values > 0) {
        PH_TRY(search_rels(scan, err));
        PH_TRY(search_ledger(scan, err));
    }
    scan->searched_bytes = atomic_load(&scan->bytes) - taken_bytes;
    return PH_OK;
}

static void
report_searched(const struct ph_leak_scan *scan)
{
    char values[PH_HUMAN_SIZE];
    char fields[PH_HUMAN_SIZE];
    char tables[PH_HUMAN_SIZE];
    char bytes[PH_HUMAN_SIZE];

    ph_report_add_finding(
        scan->verify->report, PH_FINDING_NOTE, "leak scan", "",
        "%s values of %u masked columns were looked for in %s columns of %s "
        "tables (%s)%s",
        ph_human_count(scan->values, values), scan->n_columns, ph_human_count(scan->fields, fields),
        ph_human_count(atomic_load(&scan->tables), tables),
        ph_human_bytes(scan->searched_bytes, bytes),
        scan->is_one_database ? "; source and target are one database: only tables that the job "
                                "fills were searched"
                              : "");
}

static ph_code
run(struct ph_leak_scan *scan, struct ph_error *err)
{
    const struct ph_observer *observer = &scan->verify->run->observer;

    PH_TRY(parse_skips(scan, err));
    PH_TRY(ph_leak_find_columns(scan, err));
    if (scan->n_columns == 0) /* masks of what is no column of a table */
        return PH_OK;
    PH_TRY(open_both(scan, err));
    count_tables(scan);
    if (observer->started != NULL)
        observer->started(observer->context, read_progress, scan);
    ph_code rc = take_and_search(scan, err);
    if (observer->ended != NULL)
        observer->ended(observer->context);
    PH_TRY(rc);
    report_searched(scan);
    return PH_OK;
}

ph_code
ph_leak_scan(struct ph_verify *verify, struct ph_error *err)
{
    struct ph_leak_scan scan = {.verify = verify, .arena = &verify->arena};
    ph_code rc = run(&scan, err);

    for (uint32_t i = 0; i < scan.n_columns; i++)
        ph_leak_sample_free(&scan.columns[i].sample);
    ph_leak_search_free(&scan.search);
    for (enum ph_side side = PH_SOURCE; side <= PH_TARGET; side++)
        ph_conn_free(scan.conns[side]);
    return rc;
}
