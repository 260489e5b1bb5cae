/*
 * The only mutable state is `state` below, guarded by its lock (docs/shared-state.md). Rejected: a
 * log object handed through every layer; there is one stderr.
 */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"

#define LINE_MAX_BYTES ((size_t)96 * 1024)
#define MESSAGE_MAX_BYTES 2048

static struct {
    pthread_mutex_t lock;
    enum ph_log_format format;
    enum ph_log_level level;
    int fd;
    void (*clear)(void *context);
    void *context;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = PH_LOG_INFO, .fd = STDERR_FILENO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static void
put_time(struct ph_buf *line, char between, const char *zone)
{
    struct timespec now;
    struct tm utc;
    char text[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(text, sizeof text, "%Y-%m-%d", &utc);
    ph_buf_puts(line, text);
    ph_buf_putc(line, between);
    strftime(text, sizeof text, "%H:%M:%S", &utc);
    ph_buf_printf(line, "%s.%03ld%s", text, now.tv_nsec / 1000000, zone);
}

static void
put_member(struct ph_buf *line, const char *key, const char *value)
{
    ph_buf_putc(line, line->len > 0 ? ',' : '{');
    ph_json_put_string(line, key, strlen(key));
    ph_buf_putc(line, ':');
    ph_json_put_string(line, value, strlen(value));
}

/* Everything up to the message; the caller adds more members and the closing brace. */
static void
put_json_head(struct ph_buf *line, enum ph_log_level level, const char *event, const char *message)
{
    ph_buf_puts(line, "{\"time\":\"");
    put_time(line, 'T', "Z\"");
    put_member(line, "level", level_names[level]);
    put_member(line, "event", event);
    put_member(line, "message", message);
}

/* Under the lock. A log that cannot be written is not worth failing for. */
static void
write_line(struct ph_buf *line)
{
    ph_buf_putc(line, '\n');
    if (!ph_buf_ok(line))
        return;
    if (state.clear != NULL)
        state.clear(state.context);
    for (size_t done = 0; done < line->len;) {
        ssize_t n = write(state.fd, line->data + done, line->len - done);
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
}

enum newlines { DROP_NEWLINES, KEEP_NEWLINES };

/* Names come from servers: nothing of them may steer a terminal. */
static void
make_plain(char *text, enum newlines newlines)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n' && newlines == KEEP_NEWLINES)
            continue;
        if (*text == '\n' || *text == '\r' || *text == '\t')
            *text = ' ';
        else if ((unsigned char)*text < 0x20 || *text == 0x7F)
            *text = '?';
    }
}

void
ph_log_init(enum ph_log_format format, enum ph_log_level level)
{
    pthread_mutex_lock(&state.lock);
    state.format = format;
    state.level = level;
    pthread_mutex_unlock(&state.lock);
}

void
ph_log_set_fd(int fd)
{
    pthread_mutex_lock(&state.lock);
    state.fd = fd;
    pthread_mutex_unlock(&state.lock);
}

static void
log_message(enum ph_log_level level, const char *event, const char *json, char *message)
{
    struct ph_buf line;

    ph_buf_init(&line, LINE_MAX_BYTES);
    pthread_mutex_lock(&state.lock);
    if (level <= state.level) {
        if (state.format == PH_LOG_JSON) {
            put_json_head(&line, level, event, message);
            if (json != NULL)
                ph_buf_printf(&line, ",\"data\":%s", json);
            ph_buf_putc(&line, '}');
        } else {
            make_plain(message, DROP_NEWLINES);
            put_time(&line, ' ', "");
            ph_buf_printf(&line, " %-5s %s", level_names[level], message);
        }
        write_line(&line);
    }
    pthread_mutex_unlock(&state.lock);
    ph_buf_free(&line);
}

void
ph_log(enum ph_log_level level, const char *event, const char *format, ...)
{
    char message[MESSAGE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_message(level, event, NULL, message);
}

void
ph_log_data(enum ph_log_level level, const char *event, const char *json, const char *format, ...)
{
    char message[MESSAGE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_message(level, event, json, message);
}

void
ph_log_failure(enum ph_log_level level, const struct ph_error *err)
{
    char text[3072];
    struct ph_buf line;

    ph_buf_init(&line, LINE_MAX_BYTES);
    pthread_mutex_lock(&state.lock);
    if (level <= state.level) {
        if (state.format == PH_LOG_JSON) {
            put_json_head(&line, level, level == PH_LOG_ERROR ? "error" : "warning", err->message);
            put_member(&line, "code", ph_code_text(err->code));
            put_member(&line, "sqlstate", err->sqlstate);
            put_member(&line, "object", err->object);
            put_member(&line, "notes", err->notes);
            put_member(&line, "way_out",
                       err->hint[0] != '\0' ? err->hint : ph_code_way_out(err->code));
            ph_buf_putc(&line, '}');
        } else {
            ph_error_format(err, text, sizeof text);
            make_plain(text, KEEP_NEWLINES);
            ph_buf_printf(&line, "pghaul: %s%s", level == PH_LOG_ERROR ? "" : "warning: ", text);
        }
        write_line(&line);
    }
    pthread_mutex_unlock(&state.lock);
    ph_buf_free(&line);
}

void
ph_log_set_display(void (*clear)(void *context), void *context)
{
    pthread_mutex_lock(&state.lock);
    state.clear = clear;
    state.context = context;
    pthread_mutex_unlock(&state.lock);
}

void
ph_log_hold(void)
{
    pthread_mutex_lock(&state.lock);
}

void
ph_log_release(void)
{
    pthread_mutex_unlock(&state.lock);
}
