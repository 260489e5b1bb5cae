#include "job/memory.h"

#include "flow/lane.h"

#define MB ((size_t)1 << 20)
#define WITHOUT_ROWS (16 * MB)
#define LOOKUPS_SHARE 4u
#define PROOF_SHARE 2u
/*
 * A group is gathered while another is sent: its values, entries and the arrays of its statements,
 * which libpq copies. A large transaction has a session and a group of its own beside these.
 */
#define GROUP_SHARE 8u
/* Sessions of a lane read by 128 kB each, three of them; and there are two stacks. */
#define LANE_BYTES (MB / 2)
/* Beside its pools the program has a batch for what it makes, and one for what the target keeps. */
#define LANE_BATCHES (PH_LANE_BATCHES + PH_LANE_MORE + 2u)

static size_t
room(const struct ph_options *options)
{
    size_t memory = (size_t)options->memory_bytes;

    return memory > WITHOUT_ROWS ? memory - WITHOUT_ROWS : 0;
}

size_t
ph_memory_of_lookups(const struct ph_options *options)
{
    return (size_t)options->memory_bytes / LOOKUPS_SHARE;
}

size_t
ph_memory_of_batch(const struct ph_options *options, uint32_t n_lanes)
{
    size_t left = room(options);
    size_t lookups = options->rules != NULL ? ph_memory_of_lookups(options) : 0;

    left = left > lookups ? left - lookups : 0;
    left /= n_lanes;
    left = left > LANE_BYTES ? left - LANE_BYTES : 0;
    return ph_lane_batch_bytes(left / (options->rules != NULL ? LANE_BATCHES : PH_LANE_BATCHES));
}

size_t
ph_memory_of_proof(const struct ph_options *options)
{
    return room(options) / PROOF_SHARE;
}

size_t
ph_memory_of_group(const struct ph_options *options)
{
    return room(options) / GROUP_SHARE;
}

uint64_t
ph_memory_for_lanes(uint32_t n_lanes)
{
    size_t lane = LANE_BYTES + LANE_BATCHES * ph_lane_batch_bytes(0);

    /* the lookups' quarter is not theirs, whether the job has any or not */
    return (WITHOUT_ROWS + (uint64_t)n_lanes * lane) * LOOKUPS_SHARE / (LOOKUPS_SHARE - 1);
}
