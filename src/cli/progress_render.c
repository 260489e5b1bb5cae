/* The pictures of a running job. No state, no output: text for a given width. */
#include <string.h>

#include "base/human.h"
#include "base/json.h"
#include "cli/progress.h"

#define WINDOW_S 10.0
#define BAR_MAX 30u

struct ph_rates
ph_rate_window_add(struct ph_rate_window *window, const struct ph_progress *progress)
{
    struct ph_rates rates = {.rows = -1, .bytes = -1, .eta_s = -1};
    uint32_t now = window->n % PH_RATE_SAMPLES;
    uint32_t first = now;

    if (window->n == 0 || progress->bytes_done < window->first_bytes) {
        window->first_at_s = progress->elapsed_s;
        window->first_bytes = progress->bytes_done;
    }
    window->samples[now].at_s = progress->elapsed_s;
    window->samples[now].rows = progress->rows_done;
    window->samples[now].bytes = progress->bytes_done;
    for (uint32_t back = 1; back <= window->n && back < PH_RATE_SAMPLES; back++) {
        uint32_t i = (window->n - back) % PH_RATE_SAMPLES;
        /* figures fall when a chunk is done again: the window starts anew */
        if (window->samples[i].bytes > window->samples[first].bytes ||
            progress->elapsed_s - window->samples[i].at_s > WINDOW_S)
            break;
        first = i;
    }
    window->n++;
    double span = progress->elapsed_s - window->samples[first].at_s;
    if (span > 0) {
        rates.rows = (double)(progress->rows_done - window->samples[first].rows) / span;
        rates.bytes = (double)(progress->bytes_done - window->samples[first].bytes) / span;
    }
    double since_first = progress->elapsed_s - window->first_at_s;
    if (since_first >= 3 && progress->bytes_done > window->first_bytes &&
        progress->bytes > progress->bytes_done)
        rates.eta_s = (double)(progress->bytes - progress->bytes_done) * since_first /
                      (double)(progress->bytes_done - window->first_bytes);
    return rates;
}

static bool
rows_are_in(const struct ph_progress *progress)
{
    return progress->chunks > 0 && progress->chunks_done >= progress->chunks;
}

/*
 * Of the rows while they are copied, then of the indexes and tables to prove. Estimates may be too
 * low: less than all is never shown as all.
 */
static unsigned
percent_of(const struct ph_progress *progress)
{
    uint32_t all = progress->index_steps + progress->verify_tables;
    double part = 0;

    if (rows_are_in(progress) && all == 0)
        return 100;
    if (rows_are_in(progress))
        part = (double)(progress->index_steps_done + progress->verify_tables_done) / (double)all;
    else if (progress->bytes > 0)
        part = (double)progress->bytes_done / (double)progress->bytes;
    if (rows_are_in(progress) && part >= 1)
        return 100;
    return part >= 0.99 ? 99 : (unsigned)(part * 100);
}

static void
put_count(struct ph_buf *out, const char *what, uint32_t done, uint32_t all)
{
    if (all > 0)
        ph_buf_printf(out, ", %u/%u %s", done, all, what);
}

/* What both pictures say behind the bar. */
static void
put_figures(struct ph_buf *out, const struct ph_progress *progress, const struct ph_rates *rates)
{
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];

    if (rows_are_in(progress))
        ph_buf_puts(out, "rows are in");
    else if (rates->rows < 0)
        ph_buf_puts(out, "no rate yet");
    else
        ph_buf_printf(out, "%s rows/s, %s/s", ph_human_short(rates->rows, a),
                      ph_human_bytes((uint64_t)rates->bytes, b));
    if (rates->eta_s >= 0 && !rows_are_in(progress))
        ph_buf_printf(out, ", ETA %s", ph_human_seconds(rates->eta_s, a));
    if (progress->waiting_for != PH_WAIT_NONE)
        ph_buf_printf(out, ", waits for %s", ph_wait_name(progress->waiting_for));
    put_count(out, "tables", progress->tables_done, progress->tables);
    put_count(out, "steps", progress->index_steps_done, progress->index_steps);
    put_count(out, "proven", progress->verify_tables_done, progress->verify_tables);
    if (progress->retries > 0)
        ph_buf_printf(out, ", %llu retries", (unsigned long long)progress->retries);
}

static void
put_unheard(struct ph_buf *out, double heard_s)
{
    char text[PH_HUMAN_SIZE];

    if (heard_s >= 0)
        ph_buf_printf(out, ", source not heard for %s", ph_human_seconds(heard_s, text));
    else
        ph_buf_puts(out, ", source not heard yet");
}

/* "at 0/1B79640, 12.0 kB behind (0.20 s), …" */
static void
put_follow(struct ph_buf *out, const struct ph_follow_progress *follow)
{
    char lsn[PH_LSN_TEXT];
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];
    char c[PH_HUMAN_SIZE];

    ph_buf_printf(out, "at %s, %s behind (", ph_lsn_print(follow->applied, lsn),
                  ph_human_bytes(follow->lag_bytes, a));
    if (follow->lag_s >= 0)
        ph_buf_printf(out, "%s, ", ph_human_seconds(follow->lag_s, b));
    ph_buf_printf(out, "%s transactions%s), %s transactions/s",
                  ph_human_count(follow->lag_transactions, b), follow->has_older ? " or more" : "",
                  ph_human_short(follow->transactions_s, c));
    if (follow->drain_s > 1)
        ph_buf_printf(out, ", caught up in %s", ph_human_seconds(follow->drain_s, a));
    if (follow->workers > 0)
        ph_buf_printf(out, ", catching up with %u workers, not consistent until they meet at %s",
                      follow->workers, ph_lsn_print(follow->meet, lsn));
    else if (!follow->is_consistent)
        ph_buf_puts(out, ", not consistent yet");
    if (!follow->is_heard)
        put_unheard(out, follow->heard_s);
    if (strcmp(follow->receiver, "streaming") != 0)
        ph_buf_printf(out, ", receiver %s", follow->receiver);
    if (follow->conflicts > 0)
        ph_buf_printf(out, ", %s conflicts", ph_human_count(follow->conflicts, a));
}

/* Changes are applied; before that they are only received, and rows say more. */
static bool
is_applying(const struct ph_progress *progress)
{
    return progress->follow.is_on && !progress->follow.is_waiting;
}

void
ph_progress_put_line(struct ph_buf *out, const struct ph_progress *progress,
                     const struct ph_rates *rates)
{
    char rows[PH_HUMAN_SIZE];
    char bytes[PH_HUMAN_SIZE];

    if (is_applying(progress)) {
        ph_buf_puts(out, "follow: ");
        put_follow(out, &progress->follow);
        return;
    }
    ph_buf_printf(out, "%s: %u%%, %s rows, %s, ",
                  progress->phase[0] != '\0' ? progress->phase : "starting", percent_of(progress),
                  ph_human_count(progress->rows_done, rows),
                  ph_human_bytes(progress->bytes_done, bytes));
    put_figures(out, progress, rates);
}

/* Append at most `columns` characters; what could steer a terminal becomes '?'. */
static void
put_cut(struct ph_buf *out, const char *text, unsigned columns)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t left = strlen(text);

    for (unsigned used = 0; left > 0 && used < columns; used++) {
        size_t len = ph_utf8_len(at, left);
        if (len == 0 || at[0] < 0x20 || at[0] == 0x7F ||
            (len == 2 && at[0] == 0xC2 && at[1] < 0xA0))
            ph_buf_putc(out, '?');
        else
            ph_buf_append(out, at, len);
        at += len == 0 ? 1 : len;
        left -= len == 0 ? 1 : len;
    }
}

static void
put_bar(struct ph_buf *out, unsigned percent, unsigned columns)
{
    unsigned width = columns < 60 ? 10 : columns / 4 < BAR_MAX ? columns / 4 : BAR_MAX;
    unsigned full = width * percent / 100;

    ph_buf_putc(out, '[');
    for (unsigned i = 0; i < width; i++)
        ph_buf_putc(out, i < full ? '=' : i == full ? '>' : ' ');
    ph_buf_putc(out, ']');
}

static void
put_overall(struct ph_buf *out, const struct ph_progress *progress, const struct ph_rates *rates,
            unsigned columns)
{
    struct ph_buf line;
    unsigned percent = percent_of(progress);

    ph_buf_init(&line, 4096);
    if (is_applying(progress)) {
        ph_buf_puts(&line, "follow   ");
        put_follow(&line, &progress->follow);
        put_cut(out, ph_buf_text(&line), columns);
        ph_buf_free(&line);
        return;
    }
    ph_buf_printf(&line, "%-8s ", progress->phase[0] != '\0' ? progress->phase : "starting");
    put_bar(&line, percent, columns);
    ph_buf_printf(&line, " %3u%%  ", percent);
    put_figures(&line, progress, rates);
    put_cut(out, ph_buf_text(&line), columns);
    ph_buf_free(&line);
}

static void
put_lane(struct ph_buf *out, unsigned number, const struct ph_lane_progress *lane, unsigned columns)
{
    struct ph_buf line;
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];

    ph_buf_init(&line, 4096);
    ph_buf_printf(&line, "%3u %-7s", number, ph_lane_state_name(lane->state));
    if (lane->state != PH_LANE_IDLE) {
        ph_buf_printf(&line, " %s", lane->label);
        if (lane->chunk > 0 && lane->n_chunks > 1)
            ph_buf_printf(&line, " %u/%u", lane->chunk, lane->n_chunks);
        if (lane->rows > 0 || lane->bytes > 0)
            ph_buf_printf(&line, "  %s rows, %s", ph_human_count(lane->rows, a),
                          ph_human_bytes(lane->bytes, b));
        if (lane->waiting_for != PH_WAIT_NONE)
            ph_buf_printf(&line, "  waits for %s", ph_wait_name(lane->waiting_for));
    }
    put_cut(out, ph_buf_text(&line), columns);
    ph_buf_free(&line);
}

void
ph_progress_put_terminal(struct ph_buf *out, const struct ph_progress *progress,
                         const struct ph_rates *rates, unsigned columns, unsigned lines)
{
    unsigned shown = 1;
    unsigned hidden = 0;

    put_overall(out, progress, rates, columns);
    for (unsigned i = 0; i < progress->n_lanes && i < PH_PROGRESS_LANES; i++) {
        if (shown >= lines) {
            hidden++;
            continue;
        }
        ph_buf_putc(out, '\n');
        put_lane(out, i + 1, &progress->lanes[i], columns);
        shown++;
    }
    if (hidden > 0 && columns > 40)
        ph_buf_printf(out, " +%u", hidden);
}
