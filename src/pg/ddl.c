/*
 * Pre-data entries in batches (see ddl.h).
 *
 * A batch is one multi-statement query: 5,000 tables cost some dozens of round trips. When a batch
 * fails it is run again entry by entry, each in a transaction of its own: that names the entry, and
 * it also gets past a server whose lock table is too small for a batch.
 */
#include "pg/ddl.h"

#include <string.h>

#include "base/failpoint.h"
#include "base/stop.h"

#define BATCH_ENTRIES 300
#define BATCH_BYTES (1u << 20)
#define SCRIPT_LIMIT_BYTES ((size_t)1 << 30)

/* Cannot be part of a larger query: its failure is forgiven. */
static bool
may_fail(const struct ph_archive_entry *entry)
{
    return strcmp(entry->desc, "COMMENT") == 0 && strncmp(entry->tag, "EXTENSION ", 10) == 0;
}

static bool
is_pre_data(const struct ph_archive_entry *entry)
{
    return entry->selected && entry->part == PH_PART_PRE_DATA;
}

static bool
is_away(ph_code code)
{
    return code == PH_E_CONNECT || code == PH_E_STOPPED || code == PH_E_AUTH ||
           code == PH_E_TARGET_FULL;
}

ph_code
ph_ddl_begin(struct ph_conn *conn, struct ph_error *err)
{
    return ph_conn_exec(conn, PH_DDL_BEGIN, err);
}

void
ph_ddl_name_error(const struct ph_archive_entry *entry, struct ph_error *err)
{
    char label[200];

    if (err == NULL || is_away(err->code))
        return;
    ph_archive_label(entry, label, sizeof label);
    ph_error_object(err, "%s", label);
    if (err->code == PH_E_SQL)
        err->code = PH_E_SCHEMA;
    if (err->code == PH_E_RIGHTS && err->hint[0] == '\0' &&
        strstr(entry->sql, " OWNER TO ") != NULL)
        ph_error_hint(err,
                      "grant the target's role membership in %s, or leave owners out with "
                      "--no-owner",
                      entry->owner);
}

void
ph_ddl_put_settings(struct ph_buf *script, const char *settings)
{
    while (*settings != '\0') {
        size_t len = strcspn(settings, "\n");

        ph_buf_puts(script, "SET LOCAL ");
        ph_buf_append(script, settings + strlen("SET "), len - strlen("SET "));
        ph_buf_putc(script, '\n');
        settings += len + (settings[len] == '\n');
    }
}

ph_code
ph_ddl_run_entry(struct ph_conn *conn, const struct ph_archive_entry *entry, struct ph_error *err)
{
    struct ph_buf script;
    ph_code rc;

    if (entry->sql[0] == '\0')
        return PH_OK;
    ph_buf_init(&script, SCRIPT_LIMIT_BYTES);
    ph_ddl_put_settings(&script, entry->settings);
    ph_buf_puts(&script, entry->sql);
    if (ph_buf_ok(&script))
        rc = ph_conn_exec(conn, ph_buf_text(&script), err);
    else
        rc = PH_FAIL(err, PH_E_MEMORY, "the text of an entry is too large");
    ph_buf_free(&script);
    if (rc != PH_OK)
        ph_ddl_name_error(entry, err);
    return err != NULL && rc != PH_OK ? err->code : rc;
}

static ph_code
run_forgiven(struct ph_conn *conn, const struct ph_archive_entry *entry,
             const struct ph_ddl_hooks *hooks, struct ph_error *err)
{
    struct ph_error warning;
    ph_code rc;

    PH_TRY(ph_conn_exec(conn, "SAVEPOINT entry", err));
    ph_error_reset(&warning);
    rc = ph_ddl_run_entry(conn, entry, &warning);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "RELEASE SAVEPOINT entry", err);
    if (is_away(rc)) {
        if (err != NULL)
            *err = warning;
        return rc;
    }
    PH_TRY(ph_conn_exec(conn, "ROLLBACK TO SAVEPOINT entry; RELEASE SAVEPOINT entry", err));
    if (hooks->on_warning != NULL)
        hooks->on_warning(hooks->arg, &warning);
    return PH_OK;
}

/* Entries [first, end) of a transaction under way, as few queries as possible. */
static ph_code
run_span(struct ph_conn *conn, const struct ph_archive *archive, uint32_t first, uint32_t end,
         const struct ph_ddl_hooks *hooks, struct ph_error *err)
{
    struct ph_buf script;
    const char *settings = "";
    ph_code rc = PH_OK;

    ph_buf_init(&script, SCRIPT_LIMIT_BYTES);
    for (uint32_t i = first; i <= end && rc == PH_OK; i++) {
        const struct ph_archive_entry *entry = i < end ? &archive->entries[i] : NULL;
        bool alone = entry == NULL || (is_pre_data(entry) && may_fail(entry));

        if (alone && script.len > 0) {
            rc = ph_buf_ok(&script) ? ph_conn_exec(conn, ph_buf_text(&script), err)
                                    : PH_FAIL(err, PH_E_MEMORY, "a batch of entries is too large");
            ph_buf_clear(&script);
        }
        if (rc != PH_OK || entry == NULL || !is_pre_data(entry))
            continue;
        if (alone) {
            rc = run_forgiven(conn, entry, hooks, err);
            continue;
        }
        if (strcmp(entry->settings, settings) != 0)
            ph_ddl_put_settings(&script, entry->settings);
        settings = entry->settings;
        ph_buf_puts(&script, entry->sql);
        ph_buf_putc(&script, '\n');
    }
    ph_buf_free(&script);
    return rc;
}

static ph_code
run_batch(struct ph_conn *conn, const struct ph_archive *archive, uint32_t first, uint32_t end,
          const struct ph_ddl_hooks *hooks, struct ph_error *err)
{
    ph_code rc;

    PH_TRY(ph_ddl_begin(conn, err));
    rc = run_span(conn, archive, first, end, hooks, err);
    if (rc == PH_OK && hooks->on_batch != NULL)
        rc = hooks->on_batch(hooks->arg, conn, end, err);
    PH_FAILPOINT(ddl_before_batch_commit);
    if (rc == PH_OK)
        return ph_conn_exec(conn, "COMMIT", err);
    if (ph_conn_is_alive(conn))
        (void)ph_conn_exec(conn, "ROLLBACK", NULL);
    return rc;
}

/* Where the batch that starts at `first` ends. */
static uint32_t
batch_end(const struct ph_archive *archive, uint32_t first)
{
    uint32_t end = first;
    uint32_t n = 0;
    size_t bytes = 0;

    while (end < archive->n_entries && n < BATCH_ENTRIES && bytes < BATCH_BYTES) {
        if (is_pre_data(&archive->entries[end])) {
            bytes += strlen(archive->entries[end].sql);
            n++;
        }
        end++;
    }
    return end;
}

static ph_code
run_singly(struct ph_conn *conn, const struct ph_archive *archive, uint32_t first, uint32_t end,
           const struct ph_ddl_hooks *hooks, struct ph_error *err)
{
    for (uint32_t i = first; i < end; i++) {
        ph_code rc;

        if (!is_pre_data(&archive->entries[i]))
            continue;
        rc = run_batch(conn, archive, i, i + 1, hooks, err);
        if (rc != PH_OK) {
            ph_ddl_name_error(&archive->entries[i], err);
            return err != NULL ? err->code : rc;
        }
    }
    return PH_OK;
}

ph_code
ph_ddl_pre_data(struct ph_conn *conn, const struct ph_archive *archive, uint32_t first,
                const struct ph_ddl_hooks *hooks, struct ph_error *err)
{
    while (first < archive->n_entries) {
        uint32_t end = batch_end(archive, first);
        ph_code rc;

        PH_TRY(ph_stop_check(err));
        rc = run_batch(conn, archive, first, end, hooks, err);
        if (rc != PH_OK) {
            if (is_away(rc) || !ph_conn_is_alive(conn))
                return rc;
            ph_error_reset(err);
            PH_TRY(run_singly(conn, archive, first, end, hooks, err));
        }
        PH_FAILPOINT(ddl_after_batch);
        first = end;
    }
    return PH_OK;
}
