/* Routes that make several rows of one: how many, and which value is whose. */
#include "rules/generate_parts.h"

void
ph_generate_shape(const struct ph_generator *generator)
{
    (void)generator;
}
