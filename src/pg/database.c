#include "pg/database.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pg/conninfo.h"

#define SQL_LIMIT_BYTES ((size_t)16 << 20)

/* Behind the string or identifier that starts with the quote at `text`. */
static const char *
skip_quoted(const char *text)
{
    char quote = *text++;

    while (*text != '\0') {
        if (*text == quote && text[1] == quote)
            text += 2;
        else if (*text++ == quote)
            break;
    }
    return text;
}

/* The identifier at `text`, unquoted, into `name`; returns where it ends. */
static const char *
read_identifier(const char *text, char *name, size_t size)
{
    const char *end = text;
    size_t len = 0;

    if (*text != '"') {
        while (isalnum((unsigned char)*end) || *end == '_' || *end == '$' ||
               (unsigned char)*end >= 0x80)
            end++;
        snprintf(name, size, "%.*s", (int)(end - text), text);
        return end;
    }
    end = skip_quoted(text);
    for (const char *p = text + 1; p + 1 < end && len + 1 < size; p++) {
        name[len++] = *p;
        if (*p == '"')
            p++;
    }
    name[len] = '\0';
    return end;
}

void
ph_database_put_renamed(struct ph_buf *out, const char *sql, const char *from, const char *to)
{
    static const char word[] = "DATABASE ";

    while (*sql != '\0') {
        const char *end = sql + 1;

        if (*sql == '\'' || *sql == '"') {
            end = skip_quoted(sql);
        } else if (strncmp(sql, word, strlen(word)) == 0) {
            char name[256];
            const char *behind = read_identifier(sql + strlen(word), name, sizeof name);

            if (strcmp(name, from) == 0) {
                ph_buf_puts(out, word);
                ph_buf_put_ident(out, to);
                sql = behind;
                continue;
            }
            end = sql + strlen(word);
        }
        ph_buf_append(out, sql, (size_t)(end - sql));
        sql = end;
    }
}

/* Behind the `;` that ends the first statement. */
static const char *
first_statement_end(const char *sql)
{
    while (*sql != '\0') {
        if (*sql == '\'' || *sql == '"')
            sql = skip_quoted(sql);
        else if (*sql++ == ';')
            break;
    }
    return sql;
}

static const struct ph_archive_entry *
find_database(const struct ph_archive *archive)
{
    for (uint32_t i = 0; i < archive->n_entries; i++) {
        if (strcmp(archive->entries[i].desc, "DATABASE") == 0)
            return &archive->entries[i];
    }
    return NULL;
}

static ph_code
open_maintenance(const struct ph_database_params *params, struct ph_endpoint *endpoint,
                 struct ph_conn **conn, struct ph_error *err)
{
    static const char *const databases[] = {"postgres", "template1"};
    ph_code rc = PH_OK;

    for (size_t i = 0; i < sizeof databases / sizeof *databases; i++) {
        char *conninfo = NULL;

        rc = ph_conninfo_with_database(params->target, databases[i], &conninfo, err);
        if (rc == PH_OK)
            rc = ph_endpoint_init(endpoint, PH_TARGET, conninfo, params->job, err);
        if (conninfo != NULL)
            explicit_bzero(conninfo, strlen(conninfo));
        free(conninfo);
        PH_TRY(rc);
        ph_error_reset(err);
        rc = ph_conn_open(endpoint, "create", conn, err);
        if (rc == PH_OK || rc == PH_E_AUTH)
            return rc;
        if (i == 0)
            ph_endpoint_reset(endpoint);
    }
    return rc;
}

static ph_code
exists(struct ph_conn *conn, const char *name, bool *there, struct ph_error *err)
{
    struct ph_result *result;
    const char *values[] = {name};

    PH_TRY(ph_conn_query(conn, "SELECT FROM pg_catalog.pg_database WHERE datname = $1", 1, values,
                         &result, err));
    *there = ph_result_rows(result) > 0;
    ph_result_free(result);
    return PH_OK;
}

static ph_code
create_from_archive(struct ph_conn *conn, const struct ph_archive *archive, const char *name,
                    struct ph_error *err)
{
    const struct ph_archive_entry *entry = find_database(archive);
    struct ph_arena arena;
    struct ph_buf sql;
    ph_code rc;

    if (entry == NULL)
        return PH_FAIL(err, PH_E_TOOL, "pg_dump told nothing of the database");
    ph_arena_init(&arena, SQL_LIMIT_BYTES);
    ph_buf_init(&sql, SQL_LIMIT_BYTES);
    const char *first = ph_arena_strndup(&arena, entry->sql,
                                         (size_t)(first_statement_end(entry->sql) - entry->sql));
    if (first != NULL)
        ph_database_put_renamed(&sql, first, archive->database, name);
    if (first != NULL && ph_buf_ok(&sql))
        rc = ph_conn_exec(conn, ph_buf_text(&sql), err);
    else
        rc = PH_FAIL(err, PH_E_MEMORY, "no memory for a statement");
    if (rc != PH_OK)
        ph_ddl_name_error(entry, err);
    ph_buf_free(&sql);
    ph_arena_reset(&arena);
    return rc != PH_OK && err != NULL ? err->code : rc;
}

static ph_code
dump_and_create(const struct ph_database_params *params, struct ph_conn *target, const char *name,
                struct ph_error *err)
{
    struct ph_endpoint source;
    struct ph_conn *conn = NULL;
    struct ph_archive archive = {.n_entries = 0};
    struct ph_archive_params dump = {.source = &source,
                                     .target_version = ph_conn_version(target),
                                     .path = params->path,
                                     .database_only = true,
                                     .no_owner = params->no_owner,
                                     .no_tablespaces = params->no_tablespaces};

    PH_TRY(ph_endpoint_init(&source, PH_SOURCE, params->source, params->job, err));
    ph_code rc = ph_conn_open(&source, "create", &conn, err);
    if (rc == PH_OK) {
        dump.source_version = ph_conn_version(conn);
        rc = ph_archive_dump(&dump, err);
    }
    if (rc == PH_OK)
        rc = ph_archive_open(&dump, &archive, err);
    if (rc == PH_OK)
        rc = create_from_archive(target, &archive, name, err);
    ph_archive_reset(&archive);
    unlink(params->path);
    ph_conn_free(conn);
    ph_endpoint_reset(&source);
    return rc;
}

ph_code
ph_database_create(const struct ph_database_params *params, bool *created, struct ph_error *err)
{
    struct ph_endpoint endpoint = {.side = PH_TARGET};
    struct ph_conn *conn = NULL;
    bool there = false;
    char name[256];
    ph_code rc;

    *created = false;
    PH_TRY(ph_conninfo_database(params->target, name, sizeof name, err));
    rc = open_maintenance(params, &endpoint, &conn, err);
    if (rc == PH_OK)
        rc = exists(conn, name, &there, err);
    if (rc == PH_OK && !there) {
        rc = dump_and_create(params, conn, name, err);
        *created = rc == PH_OK;
    }
    ph_conn_free(conn);
    ph_endpoint_reset(&endpoint);
    if (rc != PH_OK)
        ph_error_note(err, "creating database %s", name);
    return rc;
}

static ph_code
apply_entry(struct ph_conn *conn, const struct ph_archive *archive,
            const struct ph_archive_entry *entry, const char *name,
            const struct ph_ddl_hooks *hooks, struct ph_error *err)
{
    struct ph_archive_entry renamed = *entry;
    const char *sql = entry->sql;
    struct ph_error warning;
    struct ph_buf buf;
    ph_code rc;

    if (strcmp(entry->desc, "DATABASE") == 0)
        sql = first_statement_end(sql);
    ph_buf_init(&buf, SQL_LIMIT_BYTES);
    ph_database_put_renamed(&buf, sql, archive->database, name);
    renamed.sql = ph_buf_text(&buf);
    ph_error_reset(&warning);
    rc = ph_conn_exec(conn, "SAVEPOINT entry", err);
    if (rc == PH_OK) {
        rc = ph_buf_ok(&buf) ? ph_ddl_run_entry(conn, &renamed, &warning)
                             : PH_FAIL(&warning, PH_E_MEMORY, "no memory for a statement");
        if (rc == PH_E_RIGHTS) {
            rc = ph_conn_exec(conn, "ROLLBACK TO SAVEPOINT entry", err);
            if (rc == PH_OK && hooks->on_warning != NULL)
                hooks->on_warning(hooks->arg, &warning);
        } else if (rc != PH_OK && err != NULL) {
            *err = warning;
        }
    }
    ph_buf_free(&buf);
    return rc;
}

ph_code
ph_database_apply(struct ph_conn *conn, const struct ph_archive *archive,
                  const struct ph_ddl_hooks *hooks, struct ph_error *err)
{
    char name[256];
    ph_code rc;

    PH_TRY(ph_conn_value(conn, "SELECT current_database()", name, sizeof name, err));
    rc = ph_ddl_begin(conn, err);
    for (uint32_t i = 0; i < archive->n_entries && rc == PH_OK; i++) {
        if (archive->entries[i].part == PH_PART_DATABASE)
            rc = apply_entry(conn, archive, &archive->entries[i], name, hooks, err);
    }
    if (rc == PH_OK && hooks->on_batch != NULL)
        rc = hooks->on_batch(hooks->arg, conn, 0, err);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    if (ph_conn_is_alive(conn))
        (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

/*
 * What a session of the source locks is to be seen on the target only when they are one database:
 * clones and promoted standbys have the same identifier and OIDs, and may have been started at the
 * same moment.
 */
ph_code
ph_database_is_one(struct ph_conn *source, struct ph_conn *target, bool *out, struct ph_error *err)
{
    static const char lock_sql[] =
        "SELECT k FROM (SELECT pg_catalog.floor(pg_catalog.random() * 2000000000)::int AS k"
        " OFFSET 0) r WHERE pg_catalog.pg_try_advisory_lock(5799, k)";
    char key[24];
    char found[24] = "";
    char sql[300];

    *out = false;
    PH_TRY(ph_conn_value(source, lock_sql, key, sizeof key, err));
    snprintf(sql, sizeof sql,
             "SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND classid = 5799"
             " AND objid = %s AND objsubid = 2 AND database = (SELECT oid FROM"
             " pg_catalog.pg_database WHERE datname = current_database())",
             key[0] != '\0' ? key : "0");
    ph_code rc = ph_conn_value(target, sql, found, sizeof found, err);
    if (key[0] != '\0')
        (void)ph_conn_execf(source, NULL, "SELECT pg_catalog.pg_advisory_unlock(5799, %s)", key);
    *out = rc == PH_OK && found[0] != '\0';
    return rc;
}
