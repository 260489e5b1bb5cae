/*
 * Types as operators know them: classes. `text` is every character type, name, citext and enums;
 * domains are what they are over; arrays are their element's class and "[]"; other built-in types
 * go by their short name. A type that no operator can know (composite, of an extension) is called
 * "schema.name", which only `any` fits. Pure, any thread.
 */
#ifndef PH_RULES_TYPE_CLASS_H
#define PH_RULES_TYPE_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "model/catalog.h"

#define PH_CLASS_SIZE 160

/* The class into `out`; false: the catalog does not have the type. */
bool ph_type_class(const struct ph_catalog *catalog, ph_oid oid, char out[PH_CLASS_SIZE]);
/* What people call it in a job file ("integer", "varchar(10)", "bigint[]") into `out`. */
void ph_type_class_named(const char *name, char out[PH_CLASS_SIZE]);
/* The built-in type that stands for a class, or NULL. */
const struct ph_type *ph_type_of_class(const struct ph_catalog *catalog, const char *class);

/*
 * Whether arguments of these classes fit "text, int4 -> text", and the class of the result then.
 */
bool ph_signature_fits(const char *signature, const char *const *args, uint32_t n_args,
                       char result[PH_CLASS_SIZE]);
/* How many constants "start, length?, more..." asks for at least and at most. */
void ph_params_count(const char *params, uint32_t *least, uint32_t *most);

#endif
