/*
 * The tables of tests/data/workload.sql as the random workload sees them: one line per column, one
 * per statement that only some table has. In the texts k is a small number that a row is known by,
 * n any number that its values are made of.
 */
#ifndef PH_TEST_WORKLOAD_TABLES_H
#define PH_TEST_WORKLOAD_TABLES_H

#include <stdbool.h>

enum workload_column_kind {
    WORKLOAD_KEY,    /* made of k, not updated by most statements */
    WORKLOAD_VALUE,  /* made of n, sometimes NULL */
    WORKLOAD_ALWAYS, /* made of n, never NULL */
    WORKLOAD_BIG     /* as VALUE; kilobytes, left alone by most updates */
};

struct workload_column {
    const char *name;
    const char *value;
    enum workload_column_kind kind;
};

struct workload_table {
    const char *name;
    const struct workload_column *columns; /* ends with a name that is NULL */
    const char *hit;                       /* condition that a row t is the one of v.k */
    const char *move;       /* SET list that gives a row the key of v.k2; NULL: keys stay */
    const char *conflict;   /* columns of ON CONFLICT, or NULL */
    const char *overriding; /* clause of INSERT, or NULL */
    const char *truncate;   /* all tables of its TRUNCATE, or NULL */
    bool fixed;             /* rows are neither inserted nor deleted at random */
};

/* Ends with a name that is NULL. */
extern const struct workload_table workload_tables[];

/*
 * Whole statements, NULL at the end; {k} {j} are keys, {n} any number, {l} one from 0 to 9.
 */
extern const char *const workload_statements[];

#endif
