/*
 * Floats as PostgreSQL 12 and later print them: the fewest digits that read back as the same
 * number. Pure, any thread; the locale's decimal point must be ".".
 */
#ifndef PH_RULES_SHORTEST_H
#define PH_RULES_SHORTEST_H

#include <stddef.h>

#define PH_SHORTEST_MAX 40

/* Both return the length; `out` is terminated. */
size_t ph_shortest_f8(double value, char out[PH_SHORTEST_MAX]);
size_t ph_shortest_f4(float value, char out[PH_SHORTEST_MAX]);

#endif
