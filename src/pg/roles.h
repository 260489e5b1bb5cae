/*
 * Roles that a database's owners, grants, policies and settings name, and that the target's server
 * lacks. Passwords are never read.
 */
#ifndef PH_PG_ROLES_H
#define PH_PG_ROLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "pg/conn.h"

struct ph_role {
    const char *name;
    const char *create_sql; /* CREATE ROLE ... and its settings, `;` at the end of each */
};

struct ph_roles {
    struct ph_role *roles; /* by name */
    uint32_t n;
    const char *memberships_sql; /* GRANT ... TO ...; for roles that are missing; "" none */
};

struct ph_roles_params {
    struct ph_conn *source;
    struct ph_conn *target;
    bool no_owner; /* owners do not count */
    bool no_acl;   /* grants do not count */
};

/*
 * Roles that are needed, and those they are members of, as far as the target lacks them. All in
 * `arena`. What belongs to the whole database is looked at, also when a part of it is selected.
 */
ph_code ph_roles_missing(const struct ph_roles_params *params, struct ph_arena *arena,
                         struct ph_roles *out, struct ph_error *err);
/* Creates them in one transaction, without passwords. PH_E_RIGHTS when the target's role may not.
 */
ph_code ph_roles_create(struct ph_conn *target, const struct ph_roles *roles, struct ph_error *err);

#endif
