#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "cli/progress.h"

#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void
sample(void *job, struct ph_progress *out)
{
    (void)job;
    snprintf(out->phase, sizeof out->phase, "rows");
    out->tables = 12;
    out->tables_done = 3;
    out->chunks = 40;
    out->chunks_done = 9;
    out->rows = 4000000;
    out->rows_done = 1000000;
    out->bytes = 400u << 20;
    out->bytes_done = 100u << 20;
    out->elapsed_s = 10;
    out->index_steps = 7;
    out->index_steps_done = 2;
    out->waiting_for = PH_WAIT_TARGET_DISK;
    out->n_lanes = 3;
    out->lanes[0] = (struct ph_lane_progress){.label = "public.größe\x1b[31m",
                                              .chunk = 2,
                                              .n_chunks = 5,
                                              .rows = 123456,
                                              .bytes = 5u << 20,
                                              .state = PH_LANE_COPY,
                                              .waiting_for = PH_WAIT_SOURCE};
    out->lanes[1] = (struct ph_lane_progress){.label = "orders_pkey", .state = PH_LANE_INDEX};
}

static void
follow_picture(void **context)
{
    struct ph_progress progress = {.follow = {.is_on = true,
                                              .is_consistent = true,
                                              .receiver = "streaming",
                                              .is_heard = true,
                                              .heard_s = 0.5,
                                              .applied = 0x10002,
                                              .lag_bytes = 20480,
                                              .lag_transactions = 1500,
                                              .lag_s = 0.25,
                                              .transactions_s = 1200,
                                              .drain_s = 0.1}};
    struct ph_rates rates = {0};
    struct ph_buf out;

    (void)context;
    ph_buf_init(&out, 65536);
    ph_progress_put_line(&out, &progress, &rates);
    assert_string_equal(ph_buf_text(&out),
                        "follow: at 0/10002, 20.0 kB behind (0.25 s, 1,500 transactions), 1.2k "
                        "transactions/s");
    ph_buf_clear(&out);
    progress.follow.is_consistent = false;
    progress.follow.drain_s = 90;
    progress.follow.conflicts = 2;
    progress.follow.has_older = true;
    snprintf(progress.follow.warnings[PH_GUARD_DISK], PH_GUARD_TEXT, "little \"left\"");
    snprintf(progress.follow.receiver, sizeof progress.follow.receiver, "waiting");
    ph_progress_put_terminal(&out, &progress, &rates, 200, 24);
    assert_non_null(strstr(ph_buf_text(&out), "caught up in 1:30 min, not consistent yet, receiver "
                                              "waiting, 2 conflicts"));
    assert_non_null(strstr(ph_buf_text(&out), "1,500 transactions or more"));
    ph_buf_clear(&out);
    progress.follow.is_heard = false;
    progress.follow.heard_s = 3600;
    ph_progress_put_line(&out, &progress, &rates);
    assert_non_null(strstr(ph_buf_text(&out), ", source not heard for 1:00:00 h"));
    ph_buf_clear(&out);
    progress.follow.heard_s = -1;
    ph_progress_put_line(&out, &progress, &rates);
    assert_non_null(strstr(ph_buf_text(&out), ", source not heard yet"));
    ph_buf_clear(&out);
    progress.follow.lag_s = -1; /* nothing was applied yet */
    ph_progress_put_line(&out, &progress, &rates);
    assert_non_null(strstr(ph_buf_text(&out), "20.0 kB behind (1,500 transactions or more)"));
    ph_buf_clear(&out);
    ph_progress_put_json(&out, &progress);
    assert_non_null(
        strstr(ph_buf_text(&out),
               "\"warnings\":[{\"guard\":\"disk\",\"message\":\"little \\\"left\\\"\",\"action\":"
               "\"goes on; when it is full it waits for room\"}]"));
    assert_non_null(strstr(ph_buf_text(&out), "\"applied\":\"0/10002\""));
    assert_non_null(strstr(ph_buf_text(&out), "\"source_heard\":false,\"source_heard_s\":null"));
    assert_non_null(strstr(ph_buf_text(&out), "\"lag_s\":null"));
    assert_null(strstr(ph_buf_text(&out), "slot"));
    ph_buf_clear(&out);
    progress.follow.workers = 3;
    progress.follow.meet = 0x20003;
    ph_progress_put_json(&out, &progress);
    assert_non_null(strstr(ph_buf_text(&out), "\"meet\":\"0/20003\",\"workers\":3,"));
    ph_buf_clear(&out);
    ph_progress_put_line(&out, &progress, &rates);
    assert_non_null(strstr(ph_buf_text(&out), ", catching up with 3 workers, not consistent until "
                                              "they meet at 0/20003"));
    ph_buf_clear(&out);
    progress.follow.is_waiting = true; /* rows are copied: they are what is looked at */
    ph_progress_put_line(&out, &progress, &rates);
    assert_null(strstr(ph_buf_text(&out), "follow"));
    ph_buf_free(&out);
}

static void
pictures(void **context)
{
    struct ph_progress progress = {0};
    struct ph_rates rates = {.rows = 100000, .bytes = 10u << 20, .eta_s = 30};
    struct ph_buf out;

    (void)context;
    sample(NULL, &progress);
    ph_buf_init(&out, 65536);
    ph_progress_put_line(&out, &progress, &rates);
    assert_string_equal(ph_buf_text(&out),
                        "rows: 25%, 1,000,000 rows, 100 MB, 100k rows/s, 10.0 MB/s, ETA 30.0 s, "
                        "waits for target's disk, 3/12 tables, 2/7 steps");
    ph_buf_clear(&out);
    ph_progress_put_terminal(&out, &progress, &rates, 140, 20);
    assert_string_equal(
        ph_buf_text(&out),
        "rows     [=======>                      ]  25%  100k rows/s, 10.0 MB/s, ETA 30.0 s, "
        "waits for target's disk, 3/12 tables, 2/7 steps\n"
        "  1 copy    public.größe?[31m 2/5  123,456 rows, 5.0 MB  waits for source\n"
        "  2 index   orders_pkey\n"
        "  3 idle   ");
    ph_buf_clear(&out);
    ph_progress_put_terminal(&out, &progress, &rates, 30, 2);
    assert_string_equal(ph_buf_text(&out), "rows     [==>       ]  25%  10\n"
                                           "  1 copy    public.größe?[31m ");
    ph_buf_free(&out);
}

static void
nothing_known_yet(void **context)
{
    struct ph_progress progress = {0};
    struct ph_rate_window window = {0};
    struct ph_buf out;

    (void)context;
    struct ph_rates rates = ph_rate_window_add(&window, &progress);
    ph_buf_init(&out, 65536);
    ph_progress_put_line(&out, &progress, &rates);
    assert_string_equal(ph_buf_text(&out), "starting: 0%, 0 rows, 0 B, no rate yet");
    ph_buf_free(&out);
}

static void
less_than_all_is_never_all(void **context)
{
    struct ph_progress progress = {.bytes = 100, .bytes_done = 150, .chunks = 2, .chunks_done = 1};
    struct ph_rates rates = {.eta_s = -1};
    struct ph_buf out;

    (void)context;
    ph_buf_init(&out, 65536);
    ph_progress_put_line(&out, &progress, &rates);
    assert_non_null(strstr(ph_buf_text(&out), " 99%"));
    ph_buf_clear(&out);
    progress.chunks_done = 2;
    ph_progress_put_line(&out, &progress, &rates);
    assert_non_null(strstr(ph_buf_text(&out), " 100%"));
    ph_buf_clear(&out);
    progress.index_steps = 8;
    progress.verify_tables = 2;
    progress.index_steps_done = 4;
    ph_progress_put_line(&out, &progress, &rates);
    assert_string_equal(ph_buf_text(&out),
                        "starting: 40%, 0 rows, 150 B, rows are in, 4/8 steps, 0/2 proven");
    ph_buf_clear(&out);
    progress.index_steps_done = 8;
    progress.verify_tables_done = 2;
    ph_progress_put_line(&out, &progress, &rates);
    assert_non_null(strstr(ph_buf_text(&out), " 100%"));
    ph_buf_free(&out);
}

static void
rates_are_of_the_last_seconds(void **context)
{
    struct ph_rate_window window = {0};
    struct ph_progress progress = {.bytes = 100000};
    struct ph_rates rates = {0};

    (void)context;
    for (int i = 0; i <= 400; i++) { /* 100 s: slow, then ten times as fast */
        progress.elapsed_s = i * 0.25;
        progress.bytes_done += i < 200 ? 10 : 100;
        progress.rows_done += i < 200 ? 1 : 10;
        rates = ph_rate_window_add(&window, &progress);
    }
    assert_true(rates.bytes > 399 && rates.bytes < 401);
    assert_true(rates.rows > 39 && rates.rows < 41);
    assert_true(rates.eta_s > 340 && rates.eta_s < 370); /* of all samples: 221 a second */
    progress.bytes_done = 50;                            /* a chunk is done again */
    progress.elapsed_s += 0.25;
    rates = ph_rate_window_add(&window, &progress);
    assert_true(rates.bytes < 0 && rates.rows < 0);
}

/* What passed before the display began is no part of the estimate. */
static void
eta_starts_with_the_display(void **context)
{
    struct ph_rate_window window = {0};
    struct ph_progress progress = {.bytes = 3000, .elapsed_s = 1000, .bytes_done = 1000};

    (void)context;
    assert_true(ph_rate_window_add(&window, &progress).eta_s < 0);
    progress.elapsed_s = 1010;
    progress.bytes_done = 2000;
    struct ph_rates rates = ph_rate_window_add(&window, &progress);
    assert_true(rates.eta_s > 9.9 && rates.eta_s < 10.1);
}

static void
pause_ms(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&pause, NULL);
}

static void
terminal_is_drawn_and_left_clean(void **context)
{
    struct winsize size = {.ws_row = 24, .ws_col = 100};
    char seen[65536];
    int master;
    int slave;

    (void)context;
    assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
    setenv("TERM", "xterm", 1);
    assert_int_equal(ph_display_kind_of(slave), PH_DISPLAY_TERMINAL);
    setenv("TERM", "dumb", 1);
    assert_int_equal(ph_display_kind_of(slave), PH_DISPLAY_LINES);
    ph_log_init(PH_LOG_TEXT, PH_LOG_INFO);
    ph_log_set_fd(slave);
    struct ph_display *display = ph_display_new(PH_DISPLAY_TERMINAL, slave);
    struct ph_observer observer = ph_display_observer(display);
    observer.started(observer.context, sample, NULL);
    pause_ms(700);
    ph_log(PH_LOG_INFO, "x", "a line in between");
    pause_ms(400);
    observer.ended(observer.context);
    ph_display_free(display);
    ph_log_set_fd(2);
    fcntl(master, F_SETFL, O_NONBLOCK);
    size_t len = 0;
    for (ssize_t n; (n = read(master, seen + len, sizeof seen - 1 - len)) > 0;)
        len += (size_t)n;
    seen[len] = '\0';
    assert_non_null(strstr(seen, "orders_pkey"));
    assert_non_null(strstr(seen, "\x1b[3A\r")); /* redrawn over itself: four lines */
    char *line = strstr(seen, "a line in between");
    assert_non_null(line);
    while (line > seen && *line != '\r')
        line--;
    assert_true(strncmp(line, "\r\x1b[J", 4) == 0);  /* cleared before the log line */
    assert_string_equal(seen + len - 4, "\r\x1b[J"); /* and at the end */
    close(master);
    close(slave);
}

static void
nobody_looks(void **context)
{
    struct ph_observer none = ph_display_observer(NULL);

    (void)context;
    assert_null(none.started);
    struct ph_display *display = ph_display_new(PH_DISPLAY_NONE, 2);
    struct ph_observer observer = ph_display_observer(display);
    observer.started(observer.context, NULL, NULL);
    observer.ended(observer.context);
    ph_display_free(display);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures),
        cmocka_unit_test(follow_picture),
        cmocka_unit_test(nothing_known_yet),
        cmocka_unit_test(less_than_all_is_never_all),
        cmocka_unit_test(rates_are_of_the_last_seconds),
        cmocka_unit_test(eta_starts_with_the_display),
        cmocka_unit_test(terminal_is_drawn_and_left_clean),
        cmocka_unit_test(nobody_looks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
