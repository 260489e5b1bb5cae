/*
 * Showing a running job: a live display on a terminal, single log lines elsewhere.
 *
 * Terminal: one line per lane and an overall line, redrawn four times a second below the log. Else
 * one log line (event "progress") after 5, 15, 30 and 60 seconds and every minute from then on.
 */
#ifndef PH_CLI_PROGRESS_H
#define PH_CLI_PROGRESS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "job/progress.h"

struct ph_display;

enum ph_display_kind { PH_DISPLAY_NONE, PH_DISPLAY_LINES, PH_DISPLAY_TERMINAL };

/* What fits: TERMINAL when fd is a capable terminal. */
enum ph_display_kind ph_display_kind_of(int fd);

/* Draws on `fd` from a thread of its own while a job runs. NULL: no memory. */
struct ph_display *ph_display_new(enum ph_display_kind kind, int fd);
/* The job must have ended. NULL is fine. */
void ph_display_free(struct ph_display *display);
/* What to hand to the job; valid until ph_display_free. `display` NULL: nobody looks. */
struct ph_observer ph_display_observer(struct ph_display *display);

/* ---- the pictures, pure (progress_render.c) ---- */

struct ph_rates {
    double rows; /* a second, lately; negative: not known, of the first sample */
    double bytes;
    double eta_s; /* negative: not known */
};

/* Rates from samples of one run; add a sample with each snapshot. */
#define PH_RATE_SAMPLES 48
struct ph_rate_window {
    struct {
        double at_s;
        uint64_t rows;
        uint64_t bytes;
    } samples[PH_RATE_SAMPLES];
    uint32_t n;        /* ever added */
    double first_at_s; /* of the first sample: before that nothing moved */
    uint64_t first_bytes;
};
struct ph_rates ph_rate_window_add(struct ph_rate_window *window,
                                   const struct ph_progress *progress);

/* Lines parted by '\n', none wider than `columns`, at most `lines` of them, no newline at the end.
 */
void ph_progress_put_terminal(struct ph_buf *out, const struct ph_progress *progress,
                              const struct ph_rates *rates, unsigned columns, unsigned lines);
/* One line. */
void ph_progress_put_line(struct ph_buf *out, const struct ph_progress *progress,
                          const struct ph_rates *rates);

#endif
