/*
 * The schema of a database as pg_dump's archive gives it
 * (docs/decisions/0004-schema-by-archive-entries.md): every entry with the SQL text that pg_restore
 * makes of it. Nothing is composed here.
 *
 * The archive file (custom format, 0600, in the spool directory) is made once per job and read
 * again on resume. Its table of contents gives dump ids, catalog ids, sections and dependencies;
 * `pg_restore -f -` gives the text. Immutable once made but for `selected`; then shared by threads.
 */
#ifndef PH_PG_ARCHIVE_H
#define PH_PG_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/catalog.h"
#include "pg/conn.h"
#include "pg/tool.h"

enum ph_archive_part {
    PH_PART_DATABASE, /* CREATE DATABASE, its properties, comment and grants */
    PH_PART_PRE_DATA, /* before the rows */
    PH_PART_POST_DATA /* indexes, constraints, triggers, ..., grants, event triggers */
};

struct ph_archive_entry {
    uint32_t dump_id;
    ph_oid class_oid; /* catalog (1259: pg_class) and oid on the source; 0 for COMMENT, ACL, ... */
    ph_oid oid;
    const char *desc;   /* "TABLE", "FK CONSTRAINT", ... */
    const char *schema; /* "" when it lies in none */
    const char *tag;    /* name; for a constraint or trigger "table name" */
    const char *owner;  /* "" when it has none */
    enum ph_archive_part part;
    const uint32_t *deps; /* dump ids, not all of them in the archive */
    uint32_t n_deps;
    const char *settings; /* SETs that hold for it ("" none); equal pointers for equal text */
    const char *sql;      /* its statements, terminated by 0 */
    bool selected;        /* true for all until ph_archive_select */
};

struct ph_archive {
    struct ph_arena arena;            /* owns everything below */
    struct ph_buf script;             /* owns the text that entries point into */
    struct ph_archive_entry *entries; /* in the order in which they are to run */
    uint32_t n_entries;
    struct ph_archive_entry **by_id; /* sorted by dump id */
    const char *database;            /* name on the source, not quoted */
    uint64_t fingerprint; /* of ids, names and text: two archives of one state are equal */
};

struct ph_archive_params {
    const struct ph_endpoint *source;
    int source_version; /* server_version_num */
    int target_version;
    const char *snapshot;  /* exported on the source; NULL: pg_dump takes its own */
    const char *path;      /* of the archive file; its directory exists */
    bool database_only;    /* nothing but the database itself and its properties */
    const char *leave_out; /* schema that is not dumped (the ledger's) or NULL */
    /* Tables of the source that are not dumped: pg_dump locks what it dumps, which needs a right.
     */
    const struct ph_rel *const *hidden;
    uint32_t n_hidden;
    bool no_owner;
    bool no_acl;
    bool no_comments;
    bool no_tablespaces;
    bool publications;
    bool subscriptions;
};

/*
 * Run pg_dump --schema-only into params->path (written under another name first, so that a file
 * of this name is whole). PH_E_TOOL, PH_E_VERSION, PH_E_DISK, PH_E_STOPPED.
 */
ph_code ph_archive_dump(const struct ph_archive_params *params, struct ph_error *err);
/* Read the file that is there. `out` is the caller's: ph_archive_reset, also after a failure. */
ph_code ph_archive_open(const struct ph_archive_params *params, struct ph_archive *out,
                        struct ph_error *err);
void ph_archive_reset(struct ph_archive *archive);

/* NULL when absent. */
const struct ph_archive_entry *ph_archive_find(const struct ph_archive *archive, uint32_t dump_id);
/* "INDEX app.customers_expr" in `out`, always terminated. For messages. */
void ph_archive_label(const struct ph_archive_entry *entry, char *out, size_t size);

#endif
