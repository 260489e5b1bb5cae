/*
 * The plan of a copy: which tables, in which order, format and chunks. Made by the planner from two
 * catalogs and the selection (or read back from the ledger on resume), then immutable and shared.
 */
#ifndef PH_MODEL_PLAN_H
#define PH_MODEL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "model/catalog.h"
#include "model/lsn.h"
#include "model/side.h"

struct ph_oid_remap; /* wire/oid_remap.h */
struct ph_route;     /* rules/ruleset.h */
struct ph_rules_in_use;

enum ph_format { PH_FORMAT_BINARY, PH_FORMAT_TEXT };

enum ph_chunk_kind {
    PH_CHUNK_WHOLE, /* COPY table */
    PH_CHUNK_CTID,  /* heap blocks [lo, hi); hi NULL: open end */
    PH_CHUNK_KEY    /* range [lo, hi) as literals of column key_fields[0]; NULL: open */
};

struct ph_chunk {
    uint32_t table;  /* index in plan->tables */
    uint32_t number; /* within the table, from 0 */
    uint32_t lot;    /* chunks of one lot are loaded in one transaction */
    enum ph_chunk_kind kind;
    const char *lo; /* text: block number or key literal; NULL open */
    const char *hi;
    uint64_t bytes; /* estimate */
};

enum ph_fill { PH_FILL_NONE, PH_FILL_CONSTANT, PH_FILL_UNKNOWN };

/* A column that was added while the job follows: earlier changes do not bring it. */
struct ph_late {
    bool is_taken;        /* the job has taken it up */
    enum ph_fill fill;    /* what rows of before have in it on the source */
    const char *constant; /* with PH_FILL_CONSTANT, as text */
    /* The column was there: a transaction that ended by then and does not bring it is from before
     * it, one that ended later from after it has gone again. */
    ph_lsn until;
};

struct ph_plan_column {
    const char *source_name;
    const char *target_name;
    const struct ph_column *source; /* not owned */
    const struct ph_column *target;
    const struct ph_late *late; /* NULL: it is none */
};

struct ph_preserved {        /* columns of the target that keep their values where it had the row */
    const uint32_t *columns; /* positions in columns[], ascending */
    uint32_t n_columns;
    const uint32_t *key; /* likewise: by which its row is found */
    uint32_t n_key;
    const char *const *equals; /* by column of the key: the operator, `OPERATOR("s".=)` */
    const char *rows;          /* condition of its rows that stay as they are; NULL: none */
};

struct ph_table_plan {
    uint32_t index; /* in plan->tables */
    const struct ph_rel *source;
    const struct ph_rel *target; /* where COPY goes: leaf, or the root when partitioning differs */
    const struct ph_plan_column *columns; /* in target column order; generated ones left out */
    uint32_t n_columns;
    enum ph_format format;
    const char *format_reason; /* one phrase for `plan` */
    bool may_change; /* column types differ so that the target may write a value in another form */
    const struct ph_oid_remap *remap; /* wire/oid_remap.h; NULL: bytes pass through */
    const uint16_t *key_fields; /* positions in columns[], ascending: the key of the buckets */
    uint32_t n_key_fields;      /* 0: keyless, bucket by the row's own hash */
    uint32_t n_buckets;
    bool freeze;
    bool ordered_by_fk; /* level counts (foreign keys are enforced while loading) */
    uint32_t level;     /* FK level, 0 = no parents */
    uint32_t group;     /* of tables that refer to each other in a ring; parents have lower ones */
    bool refers_to_itself;
    bool in_one_lot; /* with all of its group: their foreign keys wait for the commit */
    uint32_t first_chunk;
    uint32_t n_chunks;
    uint64_t bytes; /* estimate, TOAST included */
    uint64_t rows;  /* estimate */
    /*
     * By enum ph_side, "WHERE ..." or NULL: which rows of the source are copied, and which of the
     * target's are what was copied. Of an extension's configuration table both are its own text, of
     * a route conditions in parentheses that ranges may be added to.
     */
    const char *where[2];
    uint32_t filenode; /* of the source at a moment at which it had no column outside of the plan */
    const struct ph_late *late; /* by source->columns: late ones that the job has taken up; NULL:
                                   none is */
    const char *join; /* behind the source's name in FROM, " JOIN (...) AS x ON ..."; NULL: none.
                         All rows are read by one SELECT then */
    const struct ph_route *route;        /* that the job's rules make; NULL: rows go as they are */
    const struct ph_rules_in_use *rules; /* what the route is of, or what other tables have; NULL:
                                            there are no rules */
    const char *route_name;              /* with a route: "public.posts -> public.posts_core" */
    const char *const *inputs; /* SQL of what is read on the source for the route's program, instead
                                  of the columns; NULL: the columns. `source` of a column that a
                                  rule makes is the target's own column */
    uint32_t n_inputs;
    const struct ph_preserved *preserved; /* NULL: no columns of the target are */
    bool is_beside; /* while tables are added to a job: its target has rows of the others, which
                       stay (job/join_beside.c) */
};

struct ph_omitted { /* what is selected but not copied, or not copied at all, and why */
    const char *object;
    const char *reason;
};

struct ph_plan {
    struct ph_arena *arena;       /* owner of all strings and arrays; not owned */
    struct ph_table_plan *tables; /* in copy order: largest first, or by FK level */
    uint32_t n_tables;
    struct ph_chunk *chunks; /* grouped by table */
    uint32_t n_chunks;
    uint32_t n_lots;
    struct ph_omitted *omitted;
    uint32_t n_omitted;
    const char *const *rings; /* of foreign keys, for people: "a -> b -> a" */
    uint32_t n_rings;
    uint64_t bytes;
    uint64_t rows;
};

/* The statements of a chunk, appended to `out`. */
void ph_plan_copy_out_sql(const struct ph_table_plan *table, const struct ph_chunk *chunk,
                          struct ph_buf *out);
void ph_plan_copy_in_sql(const struct ph_table_plan *table, const struct ph_chunk *chunk,
                         struct ph_buf *out);
/*
 * Reading back what was loaded: the same columns and format from the target relation, or from a
 * range of its blocks (a table with `where` is read whole).
 */
void ph_plan_read_back_sql(const struct ph_table_plan *table, const struct ph_chunk *chunk,
                           struct ph_buf *out);
/* The condition of a range of keys of that column, without WHERE: `"id" >= '5' AND "id" < '9'`. */
void ph_plan_put_key_range(const char *column, const struct ph_chunk *chunk, struct ph_buf *out);
/* How many rows the target has. */
void ph_plan_count_sql(const struct ph_table_plan *table, struct ph_buf *out);
/* A configuration table of an extension: of its rows those are copied that the extension did not
 * ship. */
static inline bool
ph_plan_is_config(const struct ph_table_plan *table)
{
    return table->route == NULL && table->where[PH_SOURCE] != NULL;
}

/*
 * Whether it is the first table of the plan with its source, which several routes may share: for
 * what is said or done of the source's table once.
 */
bool ph_plan_is_first_of_source(const struct ph_plan *plan, uint32_t table);

/*
 * Whether the table's rows are made of that column of its source. Where rules say what becomes of
 * it, that is each one.
 */
bool ph_plan_reads(const struct ph_table_plan *table, const char *source_name);

/*
 * Whether it is one of the target's own: the job does not fill it, nor does the target compute it.
 * What somebody has put there stays as long as its row does, so rows that change must not go.
 */
bool ph_plan_is_own(const struct ph_table_plan *table, const struct ph_column *column);
/* The first that is; NULL: none. */
const struct ph_column *ph_plan_first_own(const struct ph_table_plan *table);

/* "schema.name" of the source table, or its route when that leads elsewhere, for messages; in
 * `out`, always terminated. */
void ph_plan_table_label(const struct ph_table_plan *table, char *out, size_t size);

#endif
