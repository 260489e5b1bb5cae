/*
 * Patterns for names as psql's \d takes them. Pure; any thread.
 *
 *   name          schema and name are parted by a dot: schema.table
 *   * and ?       any characters, any one character (of UTF-8)
 *   [a-z0-9]      one of these characters, [^...] none of these
 *   Foo           letters A to Z outside double quotes are folded to a to z
 *   "Foo.*"       inside double quotes everything stands for itself, "" for one quote
 *
 * psql's other regular-expression characters, | + ( ) { } ^ and \, are refused outside quotes
 * instead of being taken for something else; $ stands for itself.
 */
#ifndef PH_JOB_PATTERN_H
#define PH_JOB_PATTERN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"

struct ph_name_pattern; /* one part: of a schema or of a name */

struct ph_pattern {
    const char *text;                     /* as given */
    const struct ph_name_pattern *schema; /* NULL: any schema */
    const struct ph_name_pattern *name;
};

/* A table pattern: "name" or "schema.name". In `arena`. PH_E_SELECTION names what is wrong. */
ph_code ph_pattern_parse_table(struct ph_arena *arena, const char *text, struct ph_pattern *out,
                               struct ph_error *err);
/* A schema pattern: one part, in `name`. */
ph_code ph_pattern_parse_schema(struct ph_arena *arena, const char *text, struct ph_pattern *out,
                                struct ph_error *err);
bool ph_pattern_matches(const struct ph_name_pattern *pattern, const char *name);

#endif
