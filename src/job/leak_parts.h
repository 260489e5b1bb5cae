/* Inside job/leak*.c only: what a leak scan works with. */
#ifndef PH_JOB_LEAK_PARTS_H
#define PH_JOB_LEAK_PARTS_H

#include "job/leak_search.h"
#include "job/pattern.h"
#include "job/verify_parts.h"

/* ---- leak_columns.c: what there is to look for, and where ---- */

enum ph_leak_form { /* of a type's values */
                    PH_LEAK_TEXT,
                    PH_LEAK_BYTES,   /* bytea: as they are */
                    PH_LEAK_JSON,    /* its strings */
                    PH_LEAK_PARTS,   /* arrays and rows: strings and numbers in them */
                    PH_LEAK_ADDRESS, /* of the internet */
                    PH_LEAK_NUMBER,
                    PH_LEAK_UUID,
                    PH_LEAK_TIME,  /* a point in time, with the fraction of its second */
                    PH_LEAK_CHANCE /* so few values that they are everywhere: not looked for */
};
enum ph_leak_form ph_leak_form_of(const struct ph_catalog *catalog, ph_oid type_oid);

struct ph_leak_column { /* of the source: a mask hides it */
    const struct ph_rel *rel;
    const struct ph_column *column;
    const char *label; /* "public.users.email" */
    enum ph_leak_form form;
    struct ph_leak_sample sample;
};

struct ph_leak_field { /* of the target: is searched */
    const char *name;
    enum ph_leak_form form;
    const char *only; /* condition on the rows in which it is; NULL: all */
    const char *how;  /* how the column is filled, for the finding */
};

struct ph_leak_key {
    const char *name;
    bool is_short; /* may have a masked value, also one that is not among those looked for */
};

struct ph_leak_table { /* of the target */
    const char *schema;
    const char *name;
    bool is_plain; /* rows of tables that inherit from it are not its own */
    struct ph_leak_field *fields;
    uint32_t n_fields;
    struct ph_leak_key *keys; /* columns that name a row; n_keys 0: none do */
    uint32_t n_keys;
};

struct ph_leak_skip { /* of --leak-skip */
    struct ph_pattern table;
    const struct ph_name_pattern *column; /* NULL: all of them */
};

struct ph_leak_scan {
    struct ph_verify *verify;
    struct ph_arena *arena;   /* verify's */
    struct ph_conn *conns[2]; /* by enum ph_side, read only */
    struct ph_budget budget;  /* of reading the source */
    struct ph_leak_column *columns;
    uint32_t n_columns;
    struct ph_leak_skip *skips;
    uint32_t n_skips;
    struct ph_leak_search search;
    bool is_one_database;
    bool omits_listed; /* a mask of the job draws from the built-in lists */
    bool has_numbers;  /* among what is looked for */
    bool has_uuids;
    bool has_times;
    uint64_t values;
    uint64_t fields;         /* that were searched */
    uint64_t searched_bytes; /* what came of them */
    uint64_t to_read_bytes;  /* estimate; it and the number of tables are fixed before the display
                                looks */
    uint32_t to_search;
    _Atomic uint32_t tables; /* that were searched; these two are for the display as well */
    _Atomic uint64_t bytes;  /* that came from both sides */
};

/* Fills columns: what masks of the job's rules read. */
ph_code ph_leak_find_columns(struct ph_leak_scan *scan, struct ph_error *err) PH_MUST_CHECK;
/* What is searched of a table of the target; n_fields 0: nothing. */
ph_code ph_leak_make_table(struct ph_leak_scan *scan, const struct ph_rel *rel,
                           struct ph_leak_table *out, struct ph_error *err) PH_MUST_CHECK;
/* Whether rows of the job are in that table of the target. */
bool ph_leak_is_filled(const struct ph_verify *verify, const struct ph_rel *rel);

/* ---- leak_source.c ---- */

/* Takes values of all columns and makes the search of them. */
ph_code ph_leak_take_values(struct ph_leak_scan *scan, struct ph_error *err) PH_MUST_CHECK;

/* ---- leak_target.c ---- */

/* Searches a table; what is found goes into the report, *n are the findings. */
ph_code ph_leak_search_table(struct ph_leak_scan *scan, const struct ph_leak_table *table,
                             uint32_t *n, struct ph_error *err) PH_MUST_CHECK;

#endif
