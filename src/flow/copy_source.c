#include "flow/copy_source.h"

#include <stdio.h>

#include "base/failpoint.h"
#include "pg/snapshot.h"

/* Each table copied keeps a lock until the transaction ends, and the lock table is shared. */
#define TABLES_PER_TRANSACTION 200

static void
forget_connection(struct ph_copy_source *source)
{
    ph_conn_free(source->conn);
    source->conn = NULL;
    source->epoch = 0;
    source->tables = 0;
    source->checked_oid = 0;
}

static ph_code
import_snapshot(struct ph_copy_source *source, const struct ph_epoch *epoch, struct ph_error *err)
{
    if (source->epoch != 0)
        PH_TRY(ph_conn_exec(source->conn, "COMMIT", err));
    source->epoch = 0;
    source->tables = 0;
    source->checked_oid = 0;
    PH_TRY(ph_snapshot_import(source->conn, epoch->snapshot_id, err));
    PH_FAILPOINT(after_import);
    PH_TRY(ph_snapshot_check(source->conn, &epoch->mark, err));
    source->epoch = epoch->number;
    return PH_OK;
}

static ph_code
prepare_session(struct ph_copy_source *source, const struct ph_task *task, struct ph_error *err)
{
    if (source->conn != NULL && !ph_conn_is_alive(source->conn))
        forget_connection(source);
    if (source->conn == NULL)
        PH_TRY(ph_conn_open(source->endpoint, source->purpose, &source->conn, err));
    if (task->epoch->number == 0)
        return PH_OK;
    if (source->epoch != task->epoch->number || source->tables >= TABLES_PER_TRANSACTION)
        return import_snapshot(source, task->epoch, err);
    return PH_OK;
}

static ph_code
lock_and_check(struct ph_copy_source *source, const struct ph_rel *rel, struct ph_error *err)
{
    if (source->checked_oid == rel->oid)
        return PH_OK;
    PH_TRY(ph_snapshot_lock(source->conn, rel, err));
    source->checked_oid = rel->oid;
    source->tables++;
    return PH_OK;
}

static ph_code
open_task(void *state, const struct ph_task *task, struct ph_error *err)
{
    struct ph_copy_source *source = state;

    PH_TRY(prepare_session(source, task, err));
    if (task->epoch->number != 0)
        PH_TRY(lock_and_check(source, task->table->source, err));
    return ph_conn_copy_out_begin(source->conn, task->read_sql, err);
}

static ph_code
read_task(void *state, uint8_t *into, size_t size, size_t *len, struct ph_error *err)
{
    struct ph_copy_source *source = state;

    PH_FAILPOINT(before_source_read);
    return ph_conn_copy_out_read(source->conn, into, size, len, err);
}

/* A COPY that is given up half way leaves its connection in the middle of it. */
static void
abandon_task(void *state)
{
    forget_connection(state);
}

const struct ph_source_ops ph_copy_source_ops = {open_task, read_task, abandon_task};

void
ph_copy_source_init(struct ph_copy_source *source, const struct ph_endpoint *endpoint,
                    const char *purpose)
{
    *source = (struct ph_copy_source){.endpoint = endpoint};
    snprintf(source->purpose, sizeof source->purpose, "%s", purpose);
}

void
ph_copy_source_free(struct ph_copy_source *source)
{
    forget_connection(source);
}
