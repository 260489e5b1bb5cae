#include "job/lookups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/digest.h"
#include "flow/lookup_cache.h"
#include "flow/lookup_read.h"
#include "job/memory.h"
#include "pg/catalog.h"
#include "pg/snapshot.h"
#include "rules/lookup.h"

/* What is asked for has what the tables that are read whole leave, or a quarter of it all. */
#define LEAST_BYTES ((size_t)256 << 10)

struct ph_lookup_source {
    const char *conninfo; /* of the job file; NULL: the source */
    struct ph_rule_place place;
    struct ph_endpoint endpoint;
    struct ph_conn *conn;
    struct ph_catalog catalog; /* not of the source, which the caller has */
    char snapshot_id[64];      /* of `conn`, exported: what is read is read under it */
    bool is_kept;              /* for threads that ask under it */
    struct ph_conn *reader;    /* given up in the middle of a table that is too large */
};

/* ---- opening ---- */

/* The lines that the job's rules need, once each: first the source's own, if it is looked into. */
static bool
has_source(const struct ph_lookup_sources *sources, const char *conninfo)
{
    for (uint32_t i = 0; i < sources->n_items; i++) {
        const char *have = sources->items[i].conninfo;
        if (have == NULL || conninfo == NULL ? have == conninfo : strcmp(have, conninfo) == 0)
            return true;
    }
    return false;
}

static ph_code
note_column(struct ph_lookup_sources *sources, const struct ph_rule_column *column,
            struct ph_error *err)
{
    const struct ph_rule_lookup *lookup = &column->lookup;

    if (column->kind != PH_RULE_LOOKUP || (lookup->database == NULL && !lookup->is_constant) ||
        has_source(sources, lookup->database))
        return PH_OK;
    size_t n = (size_t)sources->n_items + 1;
    struct ph_lookup_source *items = realloc(sources->items, n * sizeof *items);
    if (items == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    sources->items = items;
    sources->items[sources->n_items++] =
        (struct ph_lookup_source){.conninfo = lookup->database, .place = lookup->table.place};
    return PH_OK;
}

static ph_code
note_all(struct ph_lookup_sources *sources, struct ph_error *err)
{
    const struct ph_job_rules *rules = sources->options->rules;

    for (uint32_t t = 0; t < rules->n_tables; t++) {
        for (uint32_t r = 0; r < rules->tables[t].n_routes; r++) {
            const struct ph_rule_route *route = &rules->tables[t].routes[r];
            for (uint32_t i = 0; i < route->n_columns; i++)
                PH_TRY(note_column(sources, &route->columns[i], err));
        }
    }
    return PH_OK;
}

static ph_code
about(const struct ph_lookup_sources *sources, const struct ph_lookup_source *source, ph_code rc,
      struct ph_error *err)
{
    if (rc != PH_OK)
        ph_error_note(err, "the database of the lookup at %s:%u:%u", sources->options->rules->file,
                      source->place.line, source->place.column);
    return rc;
}

/* Its messages speak of what it is for. */
static ph_code
init_endpoint(const struct ph_lookup_sources *sources, struct ph_lookup_source *source,
              const char *conninfo, struct ph_error *err)
{
    struct ph_endpoint *endpoint = &source->endpoint;
    char label[600];

    ph_code rc = ph_endpoint_init(endpoint, PH_SOURCE, conninfo, sources->options->name, err);
    if (rc == PH_E_USAGE && source->conninfo != NULL) {
        ph_error_reset(err);
        PH_FAIL(err, PH_E_RULES, "database: not a libpq connection string or URI");
        ph_error_object(err, "%s:%u:%u", sources->options->rules->file, source->place.line,
                        source->place.column);
        ph_error_hint(err, "write it as --source is written, e.g. \"service=other\"; in a URI "
                           "write %%40 for @ and %%2F for / in user and password");
        return PH_E_RULES;
    }
    if (rc != PH_OK || source->conninfo == NULL)
        return rc;
    snprintf(label, sizeof label, "lookup%s", endpoint->label + strlen(ph_side_name(PH_SOURCE)));
    free(endpoint->label);
    endpoint->label = strdup(label);
    return endpoint->label != NULL ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

static ph_code
begin_reading(const struct ph_lookup_sources *sources, struct ph_lookup_source *source,
              const struct ph_endpoint *like, struct ph_error *err)
{
    const char *conninfo = source->conninfo != NULL ? source->conninfo : sources->options->source;

    PH_TRY(init_endpoint(sources, source, conninfo, err));
    ph_endpoint_cancel_with(&source->endpoint, like);
    if (like->encoding != NULL && (source->endpoint.encoding = strdup(like->encoding)) == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(ph_conn_open(&source->endpoint, "lookup", &source->conn, err));
    return ph_snapshot_export(source->conn, source->snapshot_id, err);
}

static ph_code
open_one(struct ph_lookup_sources *sources, struct ph_lookup_source *source,
         const struct ph_endpoint *like, struct ph_error *err)
{
    PH_TRY(begin_reading(sources, source, like, err));
    if (source->conninfo == NULL)
        return PH_OK;
    PH_TRY(ph_catalog_read(source->conn, &source->catalog, err));
    sources->databases[sources->n_databases++] =
        (struct ph_rule_database){source->conninfo, &source->catalog};
    return PH_OK;
}

ph_code
ph_lookup_sources_open(struct ph_lookup_sources *sources, const struct ph_options *options,
                       const struct ph_endpoint *like, struct ph_error *err)
{
    *sources = (struct ph_lookup_sources){.options = options};
    PH_TRY(note_all(sources, err));
    sources->databases = calloc((size_t)sources->n_items + 1, sizeof *sources->databases);
    if (sources->databases == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < sources->n_items; i++) {
        struct ph_lookup_source *source = &sources->items[i];
        PH_TRY(about(sources, source, open_one(sources, source, like, err), err));
    }
    return PH_OK;
}

void
ph_lookup_sources_close(struct ph_lookup_sources *sources)
{
    for (uint32_t i = 0; i < sources->n_items; i++) {
        ph_conn_free(sources->items[i].conn);
        ph_conn_free(sources->items[i].reader);
        ph_endpoint_reset(&sources->items[i].endpoint);
        ph_catalog_reset(&sources->items[i].catalog);
    }
    free(sources->items);
    free(sources->databases);
    free(sources->access);
    free(sources->ways);
    *sources = (struct ph_lookup_sources){0};
}

/* ---- reading ---- */

static struct ph_lookup_source *
source_of(const struct ph_lookup_sources *sources, const struct ph_lookup *lookup)
{
    for (uint32_t i = 0; i < sources->n_items; i++) {
        const char *conninfo = sources->items[i].conninfo;
        if (conninfo == NULL || lookup->database == NULL ? conninfo == lookup->database
                                                         : strcmp(conninfo, lookup->database) == 0)
            return &sources->items[i];
    }
    return NULL;
}

/*
 * Under the snapshot. The session that keeps it locks the table first: a TRUNCATE after the
 * snapshot would show an empty one (pg/snapshot.h), now and to whoever asks later.
 */
static ph_code
read_lookup(struct ph_lookup_source *source, const struct ph_lookup *lookup,
            struct ph_lookups *lookups, uint32_t number, struct ph_error *err)
{
    PH_TRY(ph_snapshot_lock(source->conn, lookup->table, err));
    if (source->reader == NULL) {
        PH_TRY(ph_conn_open(&source->endpoint, "lookup", &source->reader, err));
        PH_TRY(ph_snapshot_import(source->reader, source->snapshot_id, err));
    }
    ph_code rc = ph_lookup_read(source->reader, lookup->sql, ph_lookups_add, lookups, number, err);
    if (rc == PH_OK)
        return PH_OK;
    ph_conn_free(source->reader);
    source->reader = NULL;
    if (rc != PH_E_LOOKUP)
        ph_error_note(err, "reading %s, in which values are looked up", lookup->label);
    return rc;
}

/* ---- asking ---- */

/* Lanes, and with a stream the applier's two sessions. `taken`: of the share. */
static size_t
bytes_of_thread(const struct ph_options *options, size_t taken)
{
    size_t share = ph_memory_of_lookups(options);
    size_t left = taken < share - share / 4 ? share - taken : share / 4;
    size_t bytes = left / (ph_options_lanes(options) + (options->follow ? 2u : 0u));

    return bytes < LEAST_BYTES ? LEAST_BYTES : bytes;
}

static ph_code
make_access(struct ph_lookup_sources *sources, const struct ph_ruleset *set, struct ph_error *err)
{
    if (sources->access != NULL)
        return PH_OK;
    sources->access = calloc(1, sizeof *sources->access);
    sources->ways = calloc((size_t)ph_ruleset_count_lookups(set) + 1, sizeof *sources->ways);
    if (sources->access == NULL || sources->ways == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    *sources->access = (struct ph_lookup_access){.ways = sources->ways};
    return PH_OK;
}

/* No other snapshot, here or in another run, may be taken for this one. */
static uint64_t
state_of(const struct ph_lookup_source *source)
{
    char text[160];

    snprintf(text, sizeof text, "%s %d %llu %d", source->snapshot_id,
             ph_conn_backend_pid(source->conn), (unsigned long long)ph_clock_ns(), (int)getpid());
    return ph_digest_key(0, (struct ph_span){(const uint8_t *)text, strlen(text)});
}

static ph_code
make_way(struct ph_lookup_sources *sources, const struct ph_ruleset *set,
         struct ph_lookup_source *source, struct ph_lookups *lookups, uint32_t number,
         struct ph_error *err)
{
    bool is_constant = ph_ruleset_lookup(set, number)->is_constant;

    PH_TRY(make_access(sources, set, err));
    sources->ways[number] =
        (struct ph_lookup_way){&source->endpoint, is_constant ? NULL : source->snapshot_id};
    source->is_kept |= !is_constant;
    ph_lookups_ask(lookups, number, state_of(source));
    return PH_OK;
}

/* ---- all of it ---- */

static ph_code
make_lookup(struct ph_lookup_sources *sources, const struct ph_ruleset *set,
            struct ph_lookups *lookups, uint32_t number, struct ph_error *err)
{
    const struct ph_lookup *lookup = ph_ruleset_lookup(set, number);
    struct ph_lookup_source *source = source_of(sources, lookup);

    if (source == NULL)
        return PH_FAIL(err, PH_E_INTERNAL, "a lookup's database was not opened");
    ph_code rc = read_lookup(source, lookup, lookups, number, err);
    if (rc != PH_E_LOOKUP || ph_lookup_key_type(lookup->key) == NULL)
        return about(sources, source, rc, err);
    ph_error_reset(err);
    return make_way(sources, set, source, lookups, number, err);
}

static bool
reads_any(const struct ph_ruleset *set)
{
    for (uint32_t i = 0; i < ph_ruleset_count_lookups(set); i++) {
        if (ph_ruleset_lookup(set, i)->sql != NULL)
            return true;
    }
    return false;
}

ph_code
ph_lookup_sources_read(struct ph_lookup_sources *sources, const struct ph_ruleset *set,
                       struct ph_lookups **out, struct ph_error *err)
{
    ph_code rc = PH_OK;

    *out = NULL;
    if (!reads_any(set))
        return PH_OK;
    struct ph_lookups *lookups = ph_lookups_new(set, ph_memory_of_lookups(sources->options));
    if (lookups == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; rc == PH_OK && i < ph_ruleset_count_lookups(set); i++) {
        if (ph_ruleset_lookup(set, i)->sql != NULL)
            rc = make_lookup(sources, set, lookups, i, err);
    }
    if (rc == PH_OK && sources->access != NULL)
        sources->access->limit_bytes = bytes_of_thread(sources->options, ph_lookups_bytes(lookups));
    if (rc == PH_OK)
        *out = lookups;
    else
        ph_lookups_free(lookups);
    return rc;
}

void
ph_lookup_sources_settle(struct ph_lookup_sources *sources)
{
    for (uint32_t i = 0; i < sources->n_items; i++) {
        struct ph_lookup_source *source = &sources->items[i];
        ph_conn_free(source->reader);
        source->reader = NULL;
        ph_catalog_reset(&source->catalog);
        if (source->is_kept)
            continue;
        ph_conn_free(source->conn);
        source->conn = NULL;
    }
    sources->n_databases = 0;
}

bool
ph_lookup_sources_live(struct ph_lookup_sources *sources)
{
    for (uint32_t i = 0; i < sources->n_items; i++) {
        if (sources->items[i].is_kept &&
            ph_conn_exec(sources->items[i].conn, "SELECT 1", NULL) != PH_OK)
            return false;
    }
    return true;
}
