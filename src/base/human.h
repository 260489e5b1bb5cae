/* Figures as people read them. Pure, any thread. */
#ifndef PH_BASE_HUMAN_H
#define PH_BASE_HUMAN_H

#include <stdint.h>

#define PH_HUMAN_SIZE 28 /* enough for each of these */

/* "999 B", "1.5 kB", "812 MB", "3.2 TB": powers of 1024. Returns out. */
const char *ph_human_bytes(uint64_t bytes, char out[PH_HUMAN_SIZE]);
/* "12,345,678". Returns out. */
const char *ph_human_count(uint64_t count, char out[PH_HUMAN_SIZE]);
/* "999", "12.3k", "4.5M". Returns out. */
const char *ph_human_short(double number, char out[PH_HUMAN_SIZE]);
/* "0.42 s", "12.3 s", "3:07 min", "1:02:03 h". Returns out. */
const char *ph_human_seconds(double seconds, char out[PH_HUMAN_SIZE]);

#endif
