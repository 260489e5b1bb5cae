/*
 * How --memory is dealt out.
 *
 *   without rows   16 MB: libraries (11 MB are pages of files), catalogs, plan, sessions
 *   lookups        a quarter of --memory, where the job has any
 *   lanes          what is left; each has sessions, stacks and batches
 *
 * Before the lanes and behind them the same room is the proof's (the rows of both sides that
 * differ, the values a leak is looked for by) and the stream's (groups of changes). All functions
 * are pure.
 */
#ifndef PH_JOB_MEMORY_H
#define PH_JOB_MEMORY_H

#include <stddef.h>

#include "job/options.h"

/* Of tables that values are looked up in: those read whole, and what was asked of the others. */
size_t ph_memory_of_lookups(const struct ph_options *options);
/* Of one of a lane's batches. */
size_t ph_memory_of_batch(const struct ph_options *options, uint32_t n_lanes);
/* Of what is compared or searched when no rows are on their way. */
size_t ph_memory_of_proof(const struct ph_options *options);
/* Of a group of changes, as its values are counted; several are under way. */
size_t ph_memory_of_group(const struct ph_options *options);
/* The least --memory that so many lanes fit into. */
uint64_t ph_memory_for_lanes(uint32_t n_lanes);

#endif
