/*
 * The display's thread. It wakes up, asks the job for a snapshot, and draws while it holds the log,
 * so that log lines and the picture never mix; the log clears the picture before it writes a line.
 */
#include "cli/progress.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define DRAW_MS 250
#define PICTURE_LIMIT ((size_t)64 * 1024)

struct ph_display {
    enum ph_display_kind kind;
    int fd;
    unsigned lines_drawn; /* of the picture on the terminal; under the log's hold */
    pthread_mutex_t lock; /* guards ending */
    pthread_cond_t wake;
    bool ending;
    bool running; /* main thread only */
    pthread_t thread;
    ph_progress_read *read;
    void *job;
    struct ph_progress snapshot; /* the thread's; large, so not on its stack */
    struct ph_rate_window window;
};

enum ph_display_kind
ph_display_kind_of(int fd)
{
    const char *term = getenv("TERM");

    if (!isatty(fd) || term == NULL || strcmp(term, "dumb") == 0 || term[0] == '\0')
        return PH_DISPLAY_LINES;
    return PH_DISPLAY_TERMINAL;
}

/* A terminal that does not take it is not worth failing for. */
static void
write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return;
        text += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

/* Under the log's hold: the picture goes, the cursor stands where it began. */
static void
clear_picture(void *context)
{
    struct ph_display *display = context;
    char text[32];

    if (display->lines_drawn == 0)
        return;
    struct ph_buf out;
    ph_buf_init(&out, sizeof text);
    if (display->lines_drawn > 1)
        ph_buf_printf(&out, "\x1b[%uA", display->lines_drawn - 1);
    ph_buf_puts(&out, "\r\x1b[J");
    write_all(display->fd, ph_buf_text(&out), out.len);
    ph_buf_free(&out);
    display->lines_drawn = 0;
}

static void
draw_picture(struct ph_display *display, const struct ph_rates *rates)
{
    struct winsize size = {0};
    struct ph_buf picture;
    struct ph_buf out;

    ioctl(display->fd, TIOCGWINSZ, &size);
    unsigned columns = size.ws_col > 20 ? size.ws_col - 1u : 79;
    unsigned lines = size.ws_row > 4 ? size.ws_row - 2u : 22;
    ph_buf_init(&picture, PICTURE_LIMIT);
    ph_progress_put_terminal(&picture, &display->snapshot, rates, columns, lines);
    ph_buf_init(&out, PICTURE_LIMIT);
    ph_log_hold();
    if (display->lines_drawn > 1)
        ph_buf_printf(&out, "\x1b[%uA", display->lines_drawn - 1);
    ph_buf_puts(&out, "\r");
    unsigned drawn = 1;
    for (const char *at = ph_buf_text(&picture); *at != '\0';) {
        size_t len = strcspn(at, "\n");
        ph_buf_append(&out, at, len);
        ph_buf_puts(&out, "\x1b[K");
        at += len;
        if (*at == '\n') {
            ph_buf_puts(&out, "\r\n");
            at++;
            drawn++;
        }
    }
    ph_buf_puts(&out, "\x1b[J"); /* lines of a taller picture before */
    write_all(display->fd, ph_buf_text(&out), out.len);
    display->lines_drawn = drawn;
    ph_log_release();
    ph_buf_free(&out);
    ph_buf_free(&picture);
}

static void
log_line(struct ph_display *display, const struct ph_rates *rates)
{
    struct ph_buf line;
    struct ph_buf data;

    ph_buf_init(&line, 4096);
    ph_buf_init(&data, PICTURE_LIMIT);
    ph_progress_put_line(&line, &display->snapshot, rates);
    ph_progress_put_json(&data, &display->snapshot);
    ph_log_data(PH_LOG_INFO, "progress", ph_buf_ok(&data) ? ph_buf_text(&data) : NULL, "%s",
                ph_buf_text(&line));
    ph_buf_free(&data);
    ph_buf_free(&line);
}

/* false: the job has ended. */
static bool
sleep_ms(struct ph_display *display, unsigned wait_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += (time_t)(wait_ms / 1000) + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&display->lock);
    while (!display->ending &&
           pthread_cond_timedwait(&display->wake, &display->lock, &until) != ETIMEDOUT)
        ;
    bool go_on = !display->ending;
    pthread_mutex_unlock(&display->lock);
    return go_on;
}

/* When a line is due: after so many seconds. */
static double
next_line_s(double last_s)
{
    static const double first[] = {5, 15, 30, 60};

    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        if (last_s < first[i])
            return first[i];
    }
    return last_s + 60;
}

static void *
run_display(void *context)
{
    struct ph_display *display = context;
    double due_s = next_line_s(0);

    while (sleep_ms(display, DRAW_MS)) {
        memset(&display->snapshot, 0, sizeof display->snapshot);
        display->read(display->job, &display->snapshot);
        struct ph_rates rates = ph_rate_window_add(&display->window, &display->snapshot);
        if (display->kind == PH_DISPLAY_TERMINAL) {
            draw_picture(display, &rates);
        } else if (display->snapshot.elapsed_s >= due_s) {
            log_line(display, &rates);
            due_s = next_line_s(display->snapshot.elapsed_s);
        }
    }
    return NULL;
}

static void
job_started(void *context, ph_progress_read *read, void *job)
{
    struct ph_display *display = context;

    if (display->running || display->kind == PH_DISPLAY_NONE)
        return;
    display->read = read;
    display->job = job;
    display->ending = false;
    memset(&display->window, 0, sizeof display->window);
    if (display->kind == PH_DISPLAY_TERMINAL)
        ph_log_set_display(clear_picture, display);
    display->running = pthread_create(&display->thread, NULL, run_display, display) == 0;
}

static void
job_ended(void *context)
{
    struct ph_display *display = context;

    if (!display->running)
        return;
    pthread_mutex_lock(&display->lock);
    display->ending = true;
    pthread_cond_signal(&display->wake);
    pthread_mutex_unlock(&display->lock);
    pthread_join(display->thread, NULL);
    display->running = false;
    ph_log_hold();
    clear_picture(display);
    ph_log_release();
    ph_log_set_display(NULL, NULL);
}

struct ph_display *
ph_display_new(enum ph_display_kind kind, int fd)
{
    struct ph_display *display = calloc(1, sizeof *display);
    pthread_condattr_t monotonic;

    if (display == NULL)
        return NULL;
    display->kind = kind;
    display->fd = fd;
    pthread_mutex_init(&display->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&display->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return display;
}

void
ph_display_free(struct ph_display *display)
{
    if (display == NULL)
        return;
    job_ended(display);
    pthread_cond_destroy(&display->wake);
    pthread_mutex_destroy(&display->lock);
    free(display);
}

struct ph_observer
ph_display_observer(struct ph_display *display)
{
    if (display == NULL)
        return (struct ph_observer){0};
    return (struct ph_observer){job_started, job_ended, display};
}
