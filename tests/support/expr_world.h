/* A relation with a column of every kind, for conditions without a server. Header only, so that
 * unit tests and fuzzers have it without the rest. */
#ifndef PH_TEST_EXPR_WORLD_H
#define PH_TEST_EXPR_WORLD_H

#include "model/catalog.h"

static const char *const expr_labels[] = {"sad", "glad"};
static struct ph_type expr_types[] = {
    {.oid = 16, .schema = "pg_catalog", .name = "bool", .kind = 'b'},
    {.oid = 20, .schema = "pg_catalog", .name = "int8", .kind = 'b'},
    {.oid = 21, .schema = "pg_catalog", .name = "int2", .kind = 'b'},
    {.oid = 23, .schema = "pg_catalog", .name = "int4", .kind = 'b'},
    {.oid = 25, .schema = "pg_catalog", .name = "text", .kind = 'b'},
    {.oid = 701, .schema = "pg_catalog", .name = "float8", .kind = 'b'},
    {.oid = 1042, .schema = "pg_catalog", .name = "bpchar", .kind = 'b'},
    {.oid = 1043, .schema = "pg_catalog", .name = "varchar", .kind = 'b'},
    {.oid = 1082, .schema = "pg_catalog", .name = "date", .kind = 'b'},
    {.oid = 1184, .schema = "pg_catalog", .name = "timestamptz", .kind = 'b'},
    {.oid = 1700, .schema = "pg_catalog", .name = "numeric", .kind = 'b'},
    {.oid = 2950, .schema = "pg_catalog", .name = "uuid", .kind = 'b'},
    {.oid = 20000,
     .schema = "app",
     .name = "mood",
     .kind = 'e',
     .labels = expr_labels,
     .n_labels = 2},
    {.oid = 20001, .schema = "app", .name = "pair", .kind = 'c'},
    {.oid = 20002, .schema = "app", .name = "count", .kind = 'd', .base_oid = 20003, .typmod = -1},
    {.oid = 20003, .schema = "app", .name = "small", .kind = 'd', .base_oid = 23, .typmod = -1},
};
static const struct ph_column expr_columns[] = {
    {.name = "id", .attnum = 1, .type_oid = 23, .type_text = "integer"},
    {.name = "name", .attnum = 2, .type_oid = 25, .type_text = "text"},
    {.name = "Mixed \"x\"", .attnum = 3, .type_oid = 20, .type_text = "bigint"},
    {.name = "active", .attnum = 4, .type_oid = 16, .type_text = "boolean"},
    {.name = "price", .attnum = 5, .type_oid = 1700, .typmod = 9, .type_text = "numeric(5,2)"},
    {.name = "ratio", .attnum = 6, .type_oid = 701, .type_text = "double precision"},
    {.name = "code", .attnum = 7, .type_oid = 1042, .type_text = "character(5)"},
    {.name = "day", .attnum = 8, .type_oid = 1082, .type_text = "date"},
    {.name = "at", .attnum = 9, .type_oid = 1184, .type_text = "timestamp with time zone"},
    {.name = "mood", .attnum = 10, .type_oid = 20000, .type_text = "app.mood"},
    {.name = "pair", .attnum = 11, .type_oid = 20001, .type_text = "app.pair"},
    {.name = "n", .attnum = 12, .type_oid = 20002, .type_text = "app.count"},
    {.name = "loose", .attnum = 13, .type_oid = 25, .type_text = "text", .nondeterministic = true},
    {.name = "v", .attnum = 14, .type_oid = 1043, .type_text = "character varying(9)"},
    {.name = "key", .attnum = 15, .type_oid = 2950, .type_text = "uuid"},
    {.name = "small", .attnum = 16, .type_oid = 21, .type_text = "smallint"},
};
static const struct ph_rel expr_rel = {.schema = "public",
                                       .name = "posts",
                                       .columns = expr_columns,
                                       .n_columns = sizeof expr_columns / sizeof expr_columns[0]};
static struct ph_catalog expr_catalog = {
    .encoding = "UTF8", .types = expr_types, .n_types = sizeof expr_types / sizeof expr_types[0]};

#endif
