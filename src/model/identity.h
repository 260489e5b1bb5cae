/*
 * Replica identity: what of a row the stream says when it is updated or deleted. A table that is
 * published without a usable one makes the application's own UPDATE and DELETE fail, so this is
 * looked at before anything is published. Pure; any thread.
 */
#ifndef PH_MODEL_IDENTITY_H
#define PH_MODEL_IDENTITY_H

#include <stdbool.h>

#include "base/buf.h"
#include "model/catalog.h"

enum ph_identity {
    PH_IDENTITY_KEY,        /* DEFAULT, with a primary key */
    PH_IDENTITY_INDEX,      /* USING INDEX */
    PH_IDENTITY_FULL,       /* the whole row */
    PH_IDENTITY_NONE,       /* DEFAULT, without a primary key */
    PH_IDENTITY_NOTHING,    /* NOTHING */
    PH_IDENTITY_LOST_INDEX, /* USING INDEX, and the index is gone or not valid */
    PH_IDENTITY_DEFERRABLE, /* DEFAULT, with a primary key that is DEFERRABLE: as without */
    PH_IDENTITY_GENERATED   /* with a generated column, whose value the stream does not bring */
};

/*
 * `version` is the server's: 18 and later can publish stored generated columns, and then a table
 * under FULL must not have virtual ones. *index (may be NULL) is the index it goes by, or NULL.
 */
enum ph_identity ph_rel_identity(const struct ph_rel *rel, int version,
                                 const struct ph_index **index);
bool ph_identity_is_usable(enum ph_identity identity);
/* "it has no primary key", a phrase for people; "" when it is usable. */
const char *ph_identity_reason(enum ph_identity identity);

/* Whether its publication must bring stored generated columns (18 and later): they are part of it.
 */
bool ph_rel_identity_needs_generated(const struct ph_rel *rel, int version);

enum ph_identity_cure {
    PH_CURE_NONE, /* only another index or key helps */
    PH_CURE_KEY,  /* REPLICA IDENTITY DEFAULT */
    PH_CURE_INDEX,
    PH_CURE_FULL /* every update and delete writes the whole old row to the WAL */
};
enum ph_identity_need { PH_NEED_KEY, PH_NEED_WHOLE_ROW };
/* The statement that gives the table a usable identity, the cheapest one that tells as much,
 * appended to `sql`. */
enum ph_identity_cure ph_rel_identity_cure(const struct ph_rel *rel, int version,
                                           enum ph_identity_need need, struct ph_buf *sql);
/* The index by which the cure for PH_NEED_KEY would name rows; NULL: there is none. */
const struct ph_index *ph_rel_identity_candidate(const struct ph_rel *rel, int version);

#endif
