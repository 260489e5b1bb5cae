/*
 * How the values of one column travel to the target (table.h): the form they come in, the type of
 * the parameter's elements, and the domains that stand in for array types. Pure functions of two
 * immutable catalogs.
 */
#ifndef PH_APPLY_CARRY_H
#define PH_APPLY_CARRY_H

#include "apply/table.h"

struct ph_carry_params {
    const struct ph_catalog *source;
    const struct ph_catalog *target;
    enum ph_format stream;
};

/* PH_E_UNSUPPORTED: not with a stream in binary. PH_E_TYPES: not at all. */
ph_code ph_carry_choose(const struct ph_carry_params *params, const struct ph_plan_column *column,
                        enum ph_carry *out, struct ph_error *err) PH_MUST_CHECK;

/* The type whose values are sent: an OID of the target's catalog. */
ph_oid ph_carry_type(const struct ph_plan_column *column, enum ph_carry carry);

/* Whether values of that type need a domain to be elements of an array. */
bool ph_carry_needs_domain(const struct ph_type *type);
/* The domain of pghaul over that type, or NULL when the catalog does not have it. */
const struct ph_type *ph_carry_domain(const struct ph_catalog *target, const struct ph_type *type);
/* Append the statement that makes it. */
void ph_carry_put_domain(const struct ph_type *type, struct ph_buf *out);

/* Fill element_oid, param_sql, open_sql and cast_sql of a column whose `carry` is chosen.
 * PH_E_LEDGER. */
ph_code ph_carry_fill(const struct ph_carry_params *params, const struct ph_plan_column *from,
                      struct ph_arena *arena, struct ph_apply_column *column,
                      struct ph_error *err) PH_MUST_CHECK;

#endif
