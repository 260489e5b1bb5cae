/*
 * Positions in a server's WAL as text, and the values of --until, `stop --at` and --ack. Pure; any
 * thread.
 */
#ifndef PH_MODEL_LSN_H
#define PH_MODEL_LSN_H

#include <stdbool.h>

#include "model/change.h"

#define PH_LSN_TEXT 18 /* "FFFFFFFF/FFFFFFFF" and the terminator */

/* "16/B374D848", one to eight hexadecimal digits on each side; false: not a position. */
bool ph_lsn_parse(const char *text, ph_lsn *out);
/* As the server prints it. Returns `out`. */
const char *ph_lsn_print(ph_lsn lsn, char out[PH_LSN_TEXT]);

/* What the source is told is safe: what lies in the spool, or what the target has. */
enum ph_ack { PH_ACK_SPOOLED, PH_ACK_APPLIED };

/* Where a follow ends by itself. */
enum ph_until_kind {
    PH_UNTIL_STOPPED,   /* only when it is told */
    PH_UNTIL_NOW,       /* at the source's insert position when the command was given */
    PH_UNTIL_CAUGHT_UP, /* when all that was committed at the copy's end is in, lag below 1 s */
    PH_UNTIL_LSN
};

struct ph_until {
    enum ph_until_kind kind;
    ph_lsn lsn; /* with PH_UNTIL_LSN */
};

#define PH_UNTIL_TEXT 24
/* As it is parsed; "" for PH_UNTIL_STOPPED. Returns `out`. */
const char *ph_until_print(const struct ph_until *until, char out[PH_UNTIL_TEXT]);
/* "now", "caught-up" or a position other than 0/0; false: none of these, *out untouched. */
bool ph_until_parse(const char *text, struct ph_until *out);

#endif
