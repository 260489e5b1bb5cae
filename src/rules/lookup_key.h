/*
 * Keys by which values are looked up apart from the SELECT: of which types, as which bytes they are
 * compared, and how they are written when a server is asked for them. A type is here when values
 * that PostgreSQL calls equal have, or can be given, the same bytes. Pure, any thread.
 */
#ifndef PH_RULES_LOOKUP_KEY_H
#define PH_RULES_LOOKUP_KEY_H

#include "base/buf.h"
#include "base/bytes.h"
#include "pghaul/rule.h"

enum ph_lookup_key {
    PH_BY_NONE, /* none of these: floats, intervals, … */
    PH_BY_TEXT,
    PH_BY_BPCHAR, /* without the blanks at its end */
    PH_BY_ENUM,   /* its label */
    PH_BY_INTEGER,
    PH_BY_NUMERIC, /* 1.0 is 1.00 */
    PH_BY_BOOL,
    PH_BY_UUID,
    PH_BY_BYTEA,
    PH_BY_DATE,
    PH_BY_TIME,
    PH_BY_TIMESTAMP,
    PH_BY_TIMESTAMPTZ
};

/* Of a type's class (type_class.h) and the name of what is behind its domains. */
enum ph_lookup_key ph_lookup_key_of(const char *class, const char *type_name, bool is_enum);
/* The type to ask as, qualified; NULL: such tables are never so large that they must be. */
const char *ph_lookup_key_type(enum ph_lookup_key key);

/* More of a numeric is no key; 2,000 digits. */
#define PH_LOOKUP_KEY_ROOM 1024u

/*
 * What is compared of a value that is not NULL: in `room` or the value's own bytes. data NULL: a
 * numeric that is too long, which no table here has.
 */
struct ph_span ph_lookup_key_bytes(enum ph_lookup_key key, struct ph_value value,
                                   uint8_t room[PH_LOOKUP_KEY_ROOM]);
/* As a literal of ph_lookup_key_type. */
void ph_lookup_key_put(enum ph_lookup_key key, struct ph_value value, struct ph_buf *out);

#endif
