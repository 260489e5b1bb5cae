/* The patterns of a selection as a text that the ledger keeps, and what stands for it. */
#ifndef PH_JOB_SELECTION_TEXT_H
#define PH_JOB_SELECTION_TEXT_H

#include "base/arena.h"
#include "base/buf.h"
#include "job/options.h"

/* Appended to `out`. */
void ph_selection_write(const struct ph_options *options, struct ph_buf *out);
/* Fills the four lists of `out`, which refer to `arena`. PH_E_LEDGER, PH_E_MEMORY. */
ph_code ph_selection_read(const char *text, struct ph_arena *arena, struct ph_options *out,
                          struct ph_error *err);
/* 32 hexadecimal digits of what was written. */
#define PH_SELECTION_ID 33
void ph_selection_id(const struct ph_buf *written, char out[PH_SELECTION_ID]);

#endif
