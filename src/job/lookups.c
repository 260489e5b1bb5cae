#include "job/lookups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/stop.h"
#include "pg/catalog.h"
#include "rules/lookup.h"
#include "wire/copy_binary.h"

#define SHARE 4u /* of --memory, for all of it */
#define READ_BYTES ((size_t)64 << 10)
#define SQL_LIMIT ((size_t)2 << 20)

struct ph_lookup_source {
    const char *conninfo; /* of the job file; NULL: the source */
    struct ph_rule_place place;
    struct ph_endpoint endpoint;
    struct ph_conn *conn;
    struct ph_catalog catalog; /* not of the source, which the caller has */
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
    if (like->encoding != NULL && (source->endpoint.encoding = strdup(like->encoding)) == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    PH_TRY(ph_conn_open(&source->endpoint, "lookup", &source->conn, err));
    return ph_conn_exec(source->conn, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", err);
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
        ph_endpoint_reset(&sources->items[i].endpoint);
        ph_catalog_reset(&sources->items[i].catalog);
    }
    free(sources->items);
    free(sources->databases);
    *sources = (struct ph_lookup_sources){0};
}

/* ---- reading ---- */

struct reading {
    struct ph_conn *conn;
    struct ph_lookups *lookups;
    uint32_t number;
    uint8_t *buffer;
    size_t capacity;
    size_t kept; /* bytes at its front that are a row cut short */
    bool has_header;
    bool has_ended;
    struct ph_error *err;
};

static struct ph_value
value_of(struct ph_span field)
{
    if (field.data == NULL)
        return (struct ph_value){NULL, PH_VALUE_NULL};
    return (struct ph_value){field.data, (int32_t)field.len};
}

static ph_code
take_rows(struct reading *reading, size_t len)
{
    const struct ph_copy_shape shape = {.n_fields = 2, .max_row_bytes = INT32_MAX};
    struct ph_span rest = {reading->buffer, reading->kept + len};
    struct ph_span fields[2];
    struct ph_copy_row row;
    size_t consumed = 0;

    if (!reading->has_header)
        PH_TRY(ph_copy_binary_header(rest, &consumed, reading->err));
    reading->has_header |= consumed > 0;
    rest = (struct ph_span){rest.data + consumed, rest.len - consumed};
    while (reading->has_header && !reading->has_ended) {
        PH_TRY(ph_copy_binary_next(&shape, rest, fields, &row, reading->err));
        if (row.item == PH_COPY_MORE)
            break;
        rest = (struct ph_span){rest.data + row.raw.len, rest.len - row.raw.len};
        reading->has_ended = row.item == PH_COPY_END;
        if (row.item == PH_COPY_ROW)
            PH_TRY(ph_lookups_add(reading->lookups, reading->number, value_of(fields[0]),
                                  value_of(fields[1]), reading->err));
    }
    memmove(reading->buffer, rest.data, rest.len);
    reading->kept = rest.len;
    return PH_OK;
}

static ph_code
make_room(struct reading *reading, size_t bytes)
{
    uint8_t *larger = realloc(reading->buffer, bytes);

    if (larger == NULL)
        return PH_FAIL(reading->err, PH_E_MEMORY, "no memory for a row of a lookup");
    reading->buffer = larger;
    reading->capacity = bytes;
    return PH_OK;
}

static ph_code
read_some(struct reading *reading, size_t *len)
{
    for (;;) {
        size_t room = reading->capacity - reading->kept;
        ph_code rc = ph_conn_copy_out_read(reading->conn, reading->buffer + reading->kept, room,
                                           len, reading->err);
        if (rc != PH_E_ROW_TOO_LARGE || *len <= room)
            return rc;
        ph_error_reset(reading->err);
        PH_TRY(make_room(reading, reading->kept + *len));
    }
}

static ph_code
read_all(struct reading *reading, const struct ph_lookup *lookup)
{
    struct ph_buf sql;
    size_t len = 1;

    ph_buf_init(&sql, SQL_LIMIT);
    ph_buf_printf(&sql, "COPY (%s) TO STDOUT (FORMAT binary)", lookup->sql);
    ph_code rc = ph_buf_ok(&sql)
                     ? ph_conn_copy_out_begin(reading->conn, ph_buf_text(&sql), reading->err)
                     : PH_FAIL(reading->err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    while (rc == PH_OK && len > 0) {
        rc = ph_stop_check(reading->err);
        if (rc == PH_OK)
            rc = read_some(reading, &len);
        if (rc == PH_OK && len > 0)
            rc = take_rows(reading, len);
    }
    if (rc == PH_OK && !reading->has_ended)
        rc = PH_FAIL(reading->err, PH_E_PROTOCOL, "the COPY stopped inside a row");
    return rc;
}

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

static ph_code
read_lookup(const struct ph_lookup_sources *sources, const struct ph_lookup *lookup,
            struct ph_lookups *lookups, uint32_t number, struct ph_error *err)
{
    struct ph_lookup_source *source = source_of(sources, lookup);
    struct reading reading = {.lookups = lookups, .number = number, .err = err};

    if (source == NULL)
        return PH_FAIL(err, PH_E_INTERNAL, "a lookup's database was not opened");
    reading.conn = source->conn;
    ph_code rc = make_room(&reading, READ_BYTES);
    if (rc == PH_OK)
        rc = read_all(&reading, lookup);
    if (rc != PH_OK)
        ph_error_note(err, "reading %s, in which values are looked up", lookup->label);
    free(reading.buffer);
    return about(sources, source, rc, err);
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
    struct ph_lookups *lookups =
        ph_lookups_new(set, (size_t)sources->options->memory_bytes / SHARE);
    if (lookups == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; rc == PH_OK && i < ph_ruleset_count_lookups(set); i++) {
        const struct ph_lookup *lookup = ph_ruleset_lookup(set, i);
        if (lookup->sql != NULL)
            rc = read_lookup(sources, lookup, lookups, i, err);
    }
    if (rc == PH_OK)
        *out = lookups;
    else
        ph_lookups_free(lookups);
    return rc;
}
