/*
 * What the target needs besides the database's own objects: roles, extensions, tablespaces,
 * sessions. Reads only, but for ph_roles_create. Strings live in the arena given.
 */
#ifndef PH_PG_READINESS_H
#define PH_PG_READINESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/catalog.h"
#include "pg/conn.h"

struct ph_needs_params {
    struct ph_conn *source;
    struct ph_conn *target;
    struct ph_arena *arena;
    const ph_oid *rels; /* relations that are in; NULL: the whole database */
    uint32_t n_rels;
    bool no_owner;
    bool no_acl;
    bool no_tablespaces;
};

/* Something the target lacks. */
struct ph_need {
    const char *name;
    const char *sql; /* what makes it; NULL: no statement can */
    const char *why; /* a phrase, e.g. the version that is missing; "" */
};

struct ph_need_list {
    struct ph_need *items;
    uint32_t n;
};

/*
 * Roles that owners, grants and policies of the source name and the target lacks, with CREATE ROLE
 * (without password) and, at the end, the GRANTs of membership among them.
 */
ph_code ph_needs_roles(const struct ph_needs_params *params, struct ph_need_list *out,
                       struct ph_error *err);
/* Extensions of the source that the target's server does not offer in that version or a newer. */
ph_code ph_needs_extensions(const struct ph_needs_params *params, struct ph_need_list *out,
                            struct ph_error *err);
/* Tablespaces that objects of the source lie in and the target lacks. */
ph_code ph_needs_tablespaces(const struct ph_needs_params *params, struct ph_need_list *out,
                             struct ph_error *err);

/* Makes the missing roles on the target, one statement each; *n is how many statements ran. */
ph_code ph_roles_create(const struct ph_needs_params *params, uint32_t *n, struct ph_error *err);

#endif
