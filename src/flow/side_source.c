#include "flow/side_source.h"

void
ph_side_source_init(struct ph_side_source *source, const struct ph_endpoint *from_source,
                    const char *source_purpose, const struct ph_endpoint *from_target,
                    const char *target_purpose)
{
    source->reading = NULL;
    ph_copy_source_init(&source->sides[PH_SOURCE], from_source, source_purpose);
    ph_copy_source_init(&source->sides[PH_TARGET], from_target, target_purpose);
}

void
ph_side_source_free(struct ph_side_source *source)
{
    ph_copy_source_free(&source->sides[PH_SOURCE]);
    ph_copy_source_free(&source->sides[PH_TARGET]);
}

static ph_code
open_side(void *state, const struct ph_task *task, struct ph_error *err)
{
    struct ph_side_source *source = state;

    source->reading = &source->sides[task->side];
    return ph_copy_source_ops.open(source->reading, task, err);
}

static ph_code
read_side(void *state, uint8_t *into, size_t size, size_t *len, struct ph_error *err)
{
    struct ph_side_source *source = state;

    return ph_copy_source_ops.read(source->reading, into, size, len, err);
}

static void
abandon_side(void *state)
{
    struct ph_side_source *source = state;

    if (source->reading != NULL)
        ph_copy_source_ops.abandon(source->reading);
}

const struct ph_source_ops ph_side_source_ops = {open_side, read_side, abandon_side};
