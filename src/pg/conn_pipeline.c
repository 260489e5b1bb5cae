/*
 * libpq's pipeline mode with a queue of our own beside libpq's: it says for each answer which
 * statement it belongs to.
 *
 * The socket does not block while the pipeline is on. Whoever has to wait (for room to send, for
 * an answer) waits for both directions at once and takes every answer that is there; only the
 * answer to a sync point is left for ph_pipeline_wait, since with it the next stretch begins.
 */
#include "pg/conn_pipeline.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pg/conn_pipeline_parts.h"
#include "pg/conn_socket.h"

/* So much may wait in libpq before it is sent to its end. */
#define UNSENT_BYTES ((size_t)65536)
#define MAX_DEALLOCATES 4
/* GSS may hold bytes that poll does not see: look again after a while. */
#define GSS_POLL_MS 20

ph_code
ph_pipeline_new(struct ph_conn *conn, uint32_t max_prepared, struct ph_pipeline **out,
                struct ph_error *err)
{
    struct ph_pipeline *pipeline = calloc(1, sizeof *pipeline);

    *out = pipeline;
    if (pipeline == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    pipeline->conn = conn;
    ph_prepared_init(&pipeline->prepared, max_prepared);
    ph_param_arrays_init(&pipeline->params);
    return PH_OK;
}

void
ph_pipeline_free(struct ph_pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    if (pipeline->on)
        pipeline->conn->broken = true;
    ph_prepared_reset(&pipeline->prepared);
    ph_param_arrays_reset(&pipeline->params);
    free(pipeline->entries);
    free(pipeline->misses.items);
    free(pipeline->reported.items);
    free(pipeline);
}

void
ph_pipeline_set_impatience(struct ph_pipeline *pipeline, int after_ms, void (*call)(void *arg),
                           void *arg)
{
    pipeline->impatience.call = call;
    pipeline->impatience.arg = arg;
    pipeline->impatience.after_ms = after_ms;
    pipeline->impatience.waited_ms = 0;
}

bool
ph_pipeline_is_idle(const struct ph_pipeline *pipeline)
{
    return pipeline->head == pipeline->tail;
}

void
ph_pipeline_forget(struct ph_pipeline *pipeline)
{
    ph_prepared_forget(&pipeline->prepared);
}

bool
ph_pipeline_is_prepared(struct ph_pipeline *pipeline, const struct ph_statement *statement)
{
    return ph_prepared_find(&pipeline->prepared, statement->sql, statement->types,
                            statement->n_params) != NULL;
}

/* Nothing can be learned from the connection any more. */
static ph_code
give_up(struct ph_pipeline *pipeline, struct ph_error *err)
{
    struct ph_conn *conn = pipeline->conn;

    pipeline->dead = true;
    conn->broken = true;
    if (atomic_load(&conn->cancelled))
        return ph_conn_fail(conn, NULL, err);
    /* The server's last words, such as that it shuts down, are the better cause. */
    if (pipeline->rc == PH_E_CONNECT) {
        if (err != NULL)
            *err = pipeline->first;
        return pipeline->rc;
    }
    return ph_conn_fail(conn, NULL, err);
}

/* How long poll may wait, in milliseconds; not at all when decrypted bytes are there already. */
static int
patience(PGconn *pg)
{
    struct ph_socket socket;

    if (!ph_socket_of(pg, &socket))
        return GSS_POLL_MS;
    return ph_socket_has_decrypted(&socket) ? 0 : -1;
}

/*
 * As poll, but calls for help when it takes long. *in_vain: that is all that has happened, with
 * nothing to read.
 */
static int
poll_patiently(struct ph_pipeline *pipeline, struct pollfd *fd, bool *in_vain)
{
    int wait_ms = patience(pipeline->conn->pg);
    int left_ms = pipeline->impatience.after_ms - pipeline->impatience.waited_ms;

    *in_vain = wait_ms < 0;
    if (pipeline->impatience.call == NULL || wait_ms == 0)
        return poll(fd, 1, wait_ms);
    if (wait_ms < 0 || wait_ms > left_ms)
        wait_ms = left_ms;
    int ready = poll(fd, 1, wait_ms);
    pipeline->impatience.waited_ms = ready == 0 ? pipeline->impatience.waited_ms + wait_ms : 0;
    if (ready == 0 && pipeline->impatience.waited_ms >= pipeline->impatience.after_ms) {
        pipeline->impatience.waited_ms = 0;
        pipeline->impatience.call(pipeline->impatience.arg);
    }
    return ready;
}

/*
 * Wait until something can be sent or read, and do it. `unsent` is what PQflush said; when it
 * failed there may be a reason to read.
 */
static ph_code
wait_socket(struct ph_pipeline *pipeline, int unsent, struct ph_error *err)
{
    PGconn *pg = pipeline->conn->pg;
    struct pollfd fd = {
        .fd = PQsocket(pg),
        .events = (short)(POLLIN | (unsent != 0 ? POLLOUT : 0)),
    };

    bool in_vain = false;

    if (fd.fd < 0)
        return give_up(pipeline, err);
    int ready = unsent < 0 ? 0 : poll_patiently(pipeline, &fd, &in_vain);
    if (ready == 0 && in_vain)
        return PH_OK;
    if ((ready == 0 || (ready > 0 && (fd.revents & ~POLLOUT) != 0)) && PQconsumeInput(pg) != 1) {
        ph_pipeline_take_answers(pipeline);
        return give_up(pipeline, err);
    }
    ph_pipeline_take_answers(pipeline);
    return pipeline->dead || unsent < 0 ? give_up(pipeline, err) : PH_OK;
}

/* Have all that was queued on its way. */
static ph_code
send_all(struct ph_pipeline *pipeline, struct ph_error *err)
{
    for (;;) {
        int unsent = PQflush(pipeline->conn->pg);
        if (unsent == 0) {
            pipeline->unsent = 0;
            return PH_OK;
        }
        PH_TRY(wait_socket(pipeline, unsent, err));
    }
}

static ph_code
turn_on(struct ph_pipeline *pipeline, struct ph_error *err)
{
    PGconn *pg = pipeline->conn->pg;

    if (pipeline->dead || pipeline->conn->broken || atomic_load(&pipeline->conn->cancelled))
        return give_up(pipeline, err);
    if (pipeline->on)
        return PH_OK;
    if (PQsetnonblocking(pg, 1) != 0 || PQenterPipelineMode(pg) != 1)
        return give_up(pipeline, err);
    pipeline->on = true;
    return PH_OK;
}

static ph_code
turn_off(struct ph_pipeline *pipeline, struct ph_error *err)
{
    PGconn *pg = pipeline->conn->pg;

    if (PQexitPipelineMode(pg) != 1 || PQsetnonblocking(pg, 0) != 0)
        return give_up(pipeline, err);
    pipeline->on = false;
    return PH_OK;
}

/* Room for what one statement may need: deallocations, prepare, run, and a sync point. */
static ph_code
reserve_entries(struct ph_pipeline *pipeline, struct ph_error *err)
{
    if (pipeline->cap - (pipeline->tail - pipeline->head) >= MAX_DEALLOCATES + 3)
        return PH_OK;
    uint64_t cap = pipeline->cap == 0 ? 64 : pipeline->cap * 2;
    struct ph_pipeline_entry *larger = malloc(cap * sizeof *larger);
    if (larger == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint64_t i = pipeline->head; i < pipeline->tail; i++)
        larger[i & (cap - 1)] = pipeline->entries[i & (pipeline->cap - 1)];
    free(pipeline->entries);
    pipeline->entries = larger;
    pipeline->cap = cap;
    return PH_OK;
}

static void
push(struct ph_pipeline *pipeline, struct ph_pipeline_entry entry)
{
    pipeline->entries[pipeline->tail++ & (pipeline->cap - 1)] = entry;
}

static void
name_of(uint32_t number, char *out, size_t size)
{
    snprintf(out, size, "ph_%u", number);
}

/*
 * Those that are there too many; only next to a preparation, so that they cost no failure of their
 * own. More than one at a time, so that what a failure left over gets less.
 */
static ph_code
send_deallocates(struct ph_pipeline *pipeline, struct ph_error *err)
{
    char sql[64];
    uint32_t number;

    for (int i = 0; i < MAX_DEALLOCATES && ph_prepared_let_go(&pipeline->prepared, &number); i++) {
        snprintf(sql, sizeof sql, "DEALLOCATE ph_%u", number);
        if (PQsendQueryParams(pipeline->conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0) != 1)
            return give_up(pipeline, err);
        push(pipeline, (struct ph_pipeline_entry){.kind = PH_ENTRY_DEALLOCATE,
                                                  .index = pipeline->queued,
                                                  .number = number});
    }
    return PH_OK;
}

/* Have the statement on the server, or on its way there. */
static ph_code
prepare(struct ph_pipeline *pipeline, const struct ph_statement *statement, uint32_t *number,
        struct ph_error *err)
{
    struct ph_prepared_set *set = &pipeline->prepared;
    struct ph_prepared *item =
        ph_prepared_find(set, statement->sql, statement->types, statement->n_params);
    char name[32];

    if (item != NULL && (item->confirmed || item->stretch == pipeline->stretch)) {
        *number = item->number;
        return PH_OK;
    }
    if (item != NULL)
        ph_prepared_renew(set, item, pipeline->stretch);
    else
        item = ph_prepared_add(set, statement->sql, statement->types, statement->n_params,
                               pipeline->stretch);
    if (item == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    *number = item->number;
    name_of(*number, name, sizeof name);
    PH_TRY(send_deallocates(pipeline, err));
    if (PQsendPrepare(pipeline->conn->pg, name, statement->sql,
                      statement->types != NULL ? (int)statement->n_params : 0,
                      statement->types) != 1)
        return give_up(pipeline, err);
    pipeline->unsent += strlen(statement->sql);
    push(pipeline, (struct ph_pipeline_entry){.kind = PH_ENTRY_PREPARE,
                                              .index = pipeline->queued,
                                              .number = *number,
                                              .tag = statement->tag});
    return PH_OK;
}

static ph_code
send_statement(struct ph_pipeline *pipeline, const struct ph_statement *statement,
               struct ph_error *err)
{
    const struct ph_param_arrays *params = &pipeline->params;
    PGconn *pg = pipeline->conn->pg;
    int n_params = (int)statement->n_params;
    uint32_t number;
    char name[32];
    int sent;

    if (statement->use == PH_STATEMENT_PREPARED) {
        PH_TRY(prepare(pipeline, statement, &number, err));
        name_of(number, name, sizeof name);
        sent = PQsendQueryPrepared(pg, name, n_params, params->values, params->lengths,
                                   params->formats, 0);
    } else {
        sent = PQsendQueryParams(pg, statement->sql, n_params, statement->types, params->values,
                                 params->lengths, params->formats, 0);
    }
    return sent == 1 ? PH_OK : give_up(pipeline, err);
}

ph_code
ph_pipeline_queue(struct ph_pipeline *pipeline, const struct ph_statement *statement,
                  struct ph_error *err)
{
    size_t bytes;

    if (statement->result != NULL)
        *statement->result = NULL;
    PH_TRY(ph_param_arrays_fill(&pipeline->params, statement, &bytes, err));
    PH_TRY(reserve_entries(pipeline, err));
    PH_TRY(turn_on(pipeline, err));
    PH_TRY(send_statement(pipeline, statement, err));
    push(pipeline, (struct ph_pipeline_entry){
                       .kind = PH_ENTRY_RUN,
                       .is_commit = strcmp(statement->sql, "COMMIT") == 0,
                       .index = pipeline->queued++,
                       .expected_rows = statement->expected_rows,
                       .tag = statement->tag,
                       .result = statement->result,
                   });
    pipeline->unsent += bytes + 64;
    ph_param_arrays_clear(&pipeline->params);
    return pipeline->unsent > UNSENT_BYTES ? send_all(pipeline, err) : PH_OK;
}

ph_code
ph_pipeline_queue_plain(struct ph_pipeline *pipeline, const char *sql, int64_t expected_rows,
                        uint64_t tag, struct ph_error *err)
{
    struct ph_statement statement = {.sql = sql, .expected_rows = expected_rows, .tag = tag};

    return ph_pipeline_queue(pipeline, &statement, err);
}

ph_code
ph_pipeline_sync(struct ph_pipeline *pipeline, struct ph_error *err)
{
    PH_TRY(reserve_entries(pipeline, err));
    PH_TRY(turn_on(pipeline, err));
    if (PQpipelineSync(pipeline->conn->pg) != 1)
        return give_up(pipeline, err);
    push(pipeline, (struct ph_pipeline_entry){.kind = PH_ENTRY_SYNC, .index = pipeline->queued});
    pipeline->queued = 0;
    pipeline->n_syncs++;
    pipeline->stretch++;
    return send_all(pipeline, err);
}

static ph_code
wait_for_sync(struct ph_pipeline *pipeline, struct ph_error *err)
{
    ph_pipeline_take_answers(pipeline);
    while (!ph_pipeline_take_sync(pipeline)) {
        if (pipeline->dead)
            return give_up(pipeline, err);
        PH_TRY(wait_socket(pipeline, PQflush(pipeline->conn->pg), err));
    }
    pipeline->n_syncs--;
    return PH_OK;
}

ph_code
ph_pipeline_wait(struct ph_pipeline *pipeline, struct ph_pipeline_outcome *outcome,
                 struct ph_error *err)
{
    *outcome = (struct ph_pipeline_outcome){0};
    if (pipeline->dead)
        return give_up(pipeline, err);
    if (pipeline->n_syncs == 0)
        return PH_FAIL(err, PH_E_INTERNAL, "no sync point to wait for");
    ph_code end = wait_for_sync(pipeline, err);
    if (end != PH_OK) {
        (void)ph_pipeline_report(pipeline, outcome, NULL);
        return end;
    }
    outcome->n_statements = pipeline->entries[(pipeline->head - 1) & (pipeline->cap - 1)].index;
    ph_code rc = ph_pipeline_report(pipeline, outcome, err);
    if (ph_pipeline_is_idle(pipeline))
        PH_TRY(turn_off(pipeline, rc == PH_OK ? err : NULL));
    return rc;
}

ph_code
ph_pipeline_prepare(struct ph_pipeline *pipeline, const struct ph_statement *statement,
                    uint32_t *number, struct ph_error *err)
{
    struct ph_pipeline_outcome outcome;

    if (!ph_pipeline_is_idle(pipeline))
        return PH_FAIL(err, PH_E_INTERNAL, "the pipeline is not idle");
    PH_TRY(reserve_entries(pipeline, err));
    PH_TRY(turn_on(pipeline, err));
    PH_TRY(prepare(pipeline, statement, number, err));
    PH_TRY(ph_pipeline_sync(pipeline, err));
    PH_TRY(ph_pipeline_wait(pipeline, &outcome, err));
    return PH_OK;
}

struct ph_conn *
ph_pipeline_conn(const struct ph_pipeline *pipeline)
{
    return pipeline->conn;
}
