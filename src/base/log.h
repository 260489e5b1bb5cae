/*
 * The log: one line per event on stderr, text for people or JSON for machines.
 *
 * Any thread. Row values never go into a message. Passwords neither: whoever names a server uses
 * its label. A line is written with one write(2), so that lines of several threads never mix.
 *
 *   text   2026-11-20 13:01:10.123 info  table public.t: copied
 *   json   {"time":"2026-11-20T13:01:10.123Z","level":"info","event":"table.copied","message":"…"}
 */
#ifndef PH_BASE_LOG_H
#define PH_BASE_LOG_H

#include <stddef.h>

#include "base/error.h"

enum ph_log_format { PH_LOG_TEXT, PH_LOG_JSON };
enum ph_log_level { PH_LOG_ERROR, PH_LOG_WARN, PH_LOG_INFO, PH_LOG_DEBUG };

/* Before other threads exist. Lines less important than `level` are not written. */
void ph_log_init(enum ph_log_format format, enum ph_log_level level);
/* Where lines go; 2 unless told. Tests and the terminal display. */
void ph_log_set_fd(int fd);

/*
 * `event` is a short stable word with dots ("table.copied"), for machines; the text format leaves
 * it out. A newline inside the message is written as a blank in the text format.
 */
void ph_log(enum ph_log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with "data": `json`, whole and valid, in the JSON format; the text format leaves it out.
 */
void ph_log_data(enum ph_log_level level, const char *event, const char *json, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
/*
 * The record of a failure. Text: the lines of ph_error_format, as they are. JSON: "event":"error"
 * or "warning" with code, sqlstate, object, notes, way_out.
 */
void ph_log_failure(enum ph_log_level level, const struct ph_error *err);

/*
 * A live display below the log: `clear` is called with the log held before a line is written, and
 * must leave the cursor at the start of an empty line. NULL: no display.
 */
void ph_log_set_display(void (*clear)(void *context), void *context);
/* Keep log lines out while the display is drawn. Do not log in between. */
void ph_log_hold(void);
void ph_log_release(void);

#endif
