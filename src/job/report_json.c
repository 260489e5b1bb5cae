/* The report for machines. The keys are a contract; job/report.h lists them. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "job/report.h"

/* jansson refuses what is not UTF-8; names from a server with another encoding must not lose the
 * report, so such bytes become U+FFFD. */
static json_t *
text_value(const char *text)
{
    json_t *value = json_string(text);
    struct ph_buf quoted;

    if (value != NULL)
        return value;
    ph_buf_init(&quoted, (size_t)64 * 1024);
    ph_json_put_string(&quoted, text, strlen(text));
    value = json_loads(ph_buf_text(&quoted), JSON_DECODE_ANY, NULL);
    ph_buf_free(&quoted);
    return value != NULL ? value : json_null();
}

static void
put_text(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, text_value(text));
}

static void
put_number(json_t *object, const char *key, uint64_t number)
{
    json_object_set_new(object, key, json_integer((json_int_t)number));
}

/* Milliseconds are enough, and 0.1 stays 0.1. */
static void
put_seconds(json_t *object, const char *key, double seconds)
{
    json_object_set_new(object, key, json_real((double)(int64_t)(seconds * 1000 + 0.5) / 1000));
}

static void
put_rate(json_t *object, const char *key, uint64_t amount, double seconds)
{
    if (seconds > 0)
        put_number(object, key, (uint64_t)((double)amount / seconds));
    else
        json_object_set_new(object, key, json_null());
}

static void
put_digest(json_t *object, const char *key, bool known, const struct ph_digest *digest)
{
    char text[PH_DIGEST_TEXT_SIZE];

    if (!known) {
        json_object_set_new(object, key, json_null());
        return;
    }
    ph_digest_text(digest, text);
    put_text(object, key, text);
}

static void
put_time(json_t *object, const char *key, struct timespec at, double later_s)
{
    char text[40];
    struct tm utc;
    time_t seconds = at.tv_sec + (time_t)(later_s + (double)at.tv_nsec / 1e9);

    gmtime_r(&seconds, &utc);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    put_text(object, key, text);
}

static json_t *
table_value(const struct ph_report_table *table)
{
    json_t *object = json_object();

    put_text(object, "table", table->table);
    put_number(object, "rows", table->rows_source);
    put_number(object, "rows_source", table->rows_source);
    put_number(object, "rows_target", table->rows_target);
    put_number(object, "rows_left_out", table->rows_left_out);
    put_number(object, "bytes", table->bytes);
    put_digest(object, "digest_source", table->has_source_digest, &table->source_digest);
    put_digest(object, "digest_target", table->has_target_digest, &table->target_digest);
    put_seconds(object, "seconds", table->seconds);
    put_rate(object, "rows_per_second", table->rows_source, table->seconds);
    put_rate(object, "bytes_per_second", table->bytes, table->seconds);
    put_text(object, "verdict", ph_table_verdict_name(table->verdict));
    put_text(object, "note", table->note != NULL ? table->note : "");
    return object;
}

static json_t *
tables_value(const struct ph_report *report, uint64_t *rows, uint64_t *bytes)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < report->n_tables; i++) {
        json_array_append_new(list, table_value(&report->tables[i]));
        *rows += report->tables[i].rows_source;
        *bytes += report->tables[i].bytes;
    }
    return list;
}

static json_t *
phases_value(const struct ph_report *report)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < report->n_phases; i++) {
        json_t *object = json_object();
        put_text(object, "phase", report->phases[i].name);
        put_seconds(object, "seconds", report->phases[i].seconds);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *
findings_value(const struct ph_report *report)
{
    static const char *const severities[] = {"error", "warning", "note"};
    json_t *list = json_array();

    for (uint32_t i = 0; i < report->n_findings; i++) {
        const struct ph_report_finding *finding = &report->findings[i];
        json_t *object = json_object();
        put_text(object, "severity", severities[finding->severity]);
        put_text(object, "kind", finding->kind);
        put_text(object, "object", finding->object);
        put_text(object, "text", finding->text);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *
leaks_value(const struct ph_report *report)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < report->n_leaks; i++) {
        const struct ph_report_leak *leak = &report->leaks[i];
        json_t *object = json_object();
        json_t *rows = json_array();
        put_text(object, "source", leak->source);
        put_text(object, "target", leak->target);
        put_number(object, "values", leak->values);
        put_number(object, "values_looked_for", leak->looked_for);
        put_number(object, "rows", leak->rows);
        for (size_t k = 0; k < sizeof leak->rows_named / sizeof leak->rows_named[0]; k++) {
            if (leak->rows_named[k] != NULL)
                json_array_append_new(rows, text_value(leak->rows_named[k]));
        }
        json_object_set_new(object, "rows_named", rows);
        put_text(object, "how", leak->how);
        json_array_append_new(list, object);
    }
    return list;
}

static json_t *
failure_value(const struct ph_error *failure)
{
    json_t *object;

    if (failure == NULL || failure->code == PH_OK)
        return json_null();
    object = json_object();
    put_text(object, "code", ph_code_text(failure->code));
    put_text(object, "sqlstate", failure->sqlstate);
    put_text(object, "object", failure->object);
    put_text(object, "message", failure->message);
    put_text(object, "notes", failure->notes);
    put_text(object, "way_out",
             failure->hint[0] != '\0' ? failure->hint : ph_code_way_out(failure->code));
    return object;
}

static char *
report_text(const struct ph_report *report, const struct ph_error *failure)
{
    json_t *root = json_object();
    uint64_t rows = 0;
    uint64_t bytes = 0;
    json_t *tables = tables_value(report, &rows, &bytes);

    put_text(root, "pghaul", PH_VERSION);
    put_text(root, "command", report->command);
    put_text(root, "job", report->job);
    put_text(root, "source", report->source);
    put_text(root, "target", report->target);
    put_time(root, "started", report->started, 0);
    put_time(root, "ended", report->started, report->seconds);
    put_seconds(root, "seconds", report->seconds);
    put_text(root, "verdict", ph_verdict_name(report->verdict));
    put_text(root, "verdict_line", report->verdict_line);
    put_number(root, "rows", rows);
    put_number(root, "bytes", bytes);
    json_object_set_new(root, "tables", tables);
    json_object_set_new(root, "phases", phases_value(report));
    json_object_set_new(root, "findings", findings_value(report));
    put_number(root, "findings_left_out", report->findings_left_out);
    json_object_set_new(root, "leaks", leaks_value(report));
    json_object_set_new(root, "incomplete", json_boolean(report->incomplete));
    json_object_set_new(root, "error", failure_value(failure));
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    json_decref(root);
    return text;
}

/* 0, or the errno of what failed. */
static int
write_all(int fd, const char *text)
{
    size_t len = strlen(text);

    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, text + done, len - done);
        if (n < 0 && errno != EINTR)
            return errno;
        done += n > 0 ? (size_t)n : 0;
    }
    if (write(fd, "\n", 1) != 1)
        return errno;
    return fsync(fd) != 0 && errno != EINVAL ? errno : 0;
}

static int
write_beside(const char *path, const char *text)
{
    char *beside = NULL;
    int cause = 0;

    if (asprintf(&beside, "%s.XXXXXX", path) < 0)
        return ENOMEM;
    int fd = mkstemp(beside); /* 0600 */
    if (fd < 0) {
        cause = errno;
        free(beside);
        return cause;
    }
    cause = write_all(fd, text);
    if (close(fd) != 0 && cause == 0)
        cause = errno;
    if (cause == 0 && rename(beside, path) != 0)
        cause = errno;
    if (cause != 0)
        unlink(beside);
    free(beside);
    return cause;
}

ph_code
ph_report_write(const struct ph_report *report, const struct ph_error *failure, const char *path,
                struct ph_error *err)
{
    char *text = report_text(report, failure);

    if (text == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory for the report");
    int cause = write_beside(path, text);
    free(text);
    if (cause == 0)
        return PH_OK;
    PH_FAIL(err, PH_E_DISK, "cannot write the report: %s", strerror(cause));
    ph_error_object(err, "%s", path);
    return PH_E_DISK;
}
