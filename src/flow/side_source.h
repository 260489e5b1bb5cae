/*
 * Source of a lane that reads either server, as the task says: the source's rows under a snapshot,
 * or what is in the target. A connection to each, opened when it is first needed.
 */
#ifndef PH_FLOW_SIDE_SOURCE_H
#define PH_FLOW_SIDE_SOURCE_H

#include "flow/copy_source.h"
#include "flow/lane.h"

struct ph_side_source {
    struct ph_copy_source sides[2]; /* by enum ph_side; the lane's source thread only */
    struct ph_copy_source *reading; /* likewise */
};

extern const struct ph_source_ops ph_side_source_ops;

/* Endpoints outlive it; purposes are copied. */
void ph_side_source_init(struct ph_side_source *source, const struct ph_endpoint *from_source,
                         const char *source_purpose, const struct ph_endpoint *from_target,
                         const char *target_purpose);
/* When the lane has stopped. */
void ph_side_source_free(struct ph_side_source *source);

#endif
