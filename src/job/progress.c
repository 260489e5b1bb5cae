#include "job/progress.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"

const char *
ph_wait_name(enum ph_wait wait)
{
    switch (wait) {
    case PH_WAIT_NONE:
        return "";
    case PH_WAIT_SOURCE:
        return "source";
    case PH_WAIT_WIRE:
        return "wire";
    case PH_WAIT_PGHAUL:
        return "pghaul";
    case PH_WAIT_TARGET:
        return "target";
    case PH_WAIT_TARGET_DISK:
        return "target's disk";
    }
    return "";
}

const char *
ph_lane_state_name(enum ph_lane_state state)
{
    switch (state) {
    case PH_LANE_IDLE:
        return "idle";
    case PH_LANE_COPY:
        return "copy";
    case PH_LANE_COMMIT:
        return "commit";
    case PH_LANE_INDEX:
        return "index";
    case PH_LANE_VERIFY:
        return "verify";
    }
    return "";
}

static void
put_pair(struct ph_buf *out, const char *key, uint64_t done, uint64_t all)
{
    ph_buf_printf(out, ",\"%s_done\":%" PRIu64 ",\"%s\":%" PRIu64, key, done, key, all);
}

static void
put_lsn(struct ph_buf *out, const char *name, ph_lsn lsn)
{
    char text[PH_LSN_TEXT];

    ph_buf_printf(out, "\"%s\":\"%s\",", name, ph_lsn_print(lsn, text));
}

/* Negative: not known. */
static void
put_seconds(struct ph_buf *out, const char *name, double seconds)
{
    if (seconds >= 0)
        ph_buf_printf(out, ",\"%s\":%.3f", name, seconds);
    else
        ph_buf_printf(out, ",\"%s\":null", name);
}

static void
put_slot(struct ph_buf *out, const struct ph_follow_progress *follow)
{
    if (!follow->has_slot)
        return;
    ph_buf_printf(out,
                  ",\"slot\":{\"wal_status\":\"%s\",\"kept_wal_bytes\":%" PRId64
                  ",\"safe_wal_bytes\":%" PRId64 ",\"xmin_age\":%" PRId64
                  ",\"catalog_xmin_age\":%" PRId64 "}",
                  follow->wal_status, follow->kept_wal_bytes, follow->safe_wal_bytes,
                  follow->xmin_age, follow->catalog_xmin_age);
}

static void
put_warnings(struct ph_buf *out, const struct ph_follow_progress *follow)
{
    const char *comma = "";

    ph_buf_puts(out, ",\"warnings\":[");
    for (unsigned i = 0; i < PH_GUARDS; i++) {
        const char *text = follow->warnings[i];
        if (text[0] == '\0')
            continue;
        ph_buf_printf(out, "%s{\"guard\":\"%s\",\"message\":", comma, ph_guard_name(i));
        ph_json_put_string(out, text, strlen(text));
        ph_buf_printf(out, ",\"action\":\"%s\"}", ph_guard_action(i));
        comma = ",";
    }
    ph_buf_putc(out, ']');
}

static void
put_follow(struct ph_buf *out, const struct ph_follow_progress *follow)
{
    if (!follow->is_on)
        return;
    ph_buf_puts(out, ",\"follow\":{");
    put_lsn(out, "source", follow->source);
    put_lsn(out, "received", follow->received);
    put_lsn(out, "safe", follow->safe);
    put_lsn(out, "acknowledged", follow->acknowledged);
    put_lsn(out, "applied", follow->applied);
    put_lsn(out, "applied_durable", follow->applied_durable);
    put_lsn(out, "consistent_from", follow->consistent_from);
    if (follow->workers > 0) {
        put_lsn(out, "meet", follow->meet);
        ph_buf_printf(out, "\"workers\":%u,", follow->workers);
    }
    ph_buf_printf(out,
                  "\"waiting\":%s,\"consistent\":%s,\"lag_bytes\":%" PRIu64
                  ",\"lag_transactions\":%" PRIu64 ",\"has_older\":%s,"
                  "\"in_bytes_per_second\":%.0f,\"out_bytes_per_second\":%.0f,"
                  "\"transactions_per_second\":%.1f",
                  follow->is_waiting ? "true" : "false", follow->is_consistent ? "true" : "false",
                  follow->lag_bytes, follow->lag_transactions, follow->has_older ? "true" : "false",
                  follow->in_bytes_s, follow->out_bytes_s, follow->transactions_s);
    ph_buf_printf(out, ",\"source_heard\":%s", follow->is_heard ? "true" : "false");
    put_seconds(out, "source_heard_s", follow->heard_s);
    put_seconds(out, "lag_s", follow->lag_s);
    put_seconds(out, "drain_s", follow->drain_s);
    ph_buf_printf(out,
                  ",\"receiver\":\"%s\",\"spool_bytes\":%" PRIu64 ",\"spool_segments\":%" PRIu64
                  ",\"transactions\":%" PRIu64 ",\"changes\":%" PRIu64 ",\"skipped\":%" PRIu64
                  ",\"conflicts\":%" PRIu64 ",\"groups\":%" PRIu64 ",\"replays\":%" PRIu64
                  ",\"early\":%" PRIu64 ",\"early_left\":%" PRIu64,
                  follow->receiver, follow->spool_bytes, follow->spool_segments,
                  follow->transactions, follow->changes, follow->skipped, follow->conflicts,
                  follow->groups, follow->replays, follow->early, follow->early_left);
    put_slot(out, follow);
    put_warnings(out, follow);
    ph_buf_putc(out, '}');
}

void
ph_progress_put_json(struct ph_buf *out, const struct ph_progress *progress)
{
    ph_buf_puts(out, "{\"phase\":");
    ph_json_put_string(out, progress->phase, strnlen(progress->phase, sizeof progress->phase));
    put_pair(out, "tables", progress->tables_done, progress->tables);
    put_pair(out, "chunks", progress->chunks_done, progress->chunks);
    put_pair(out, "rows", progress->rows_done, progress->rows);
    put_pair(out, "bytes", progress->bytes_done, progress->bytes);
    put_pair(out, "index_steps", progress->index_steps_done, progress->index_steps);
    put_pair(out, "verify_tables", progress->verify_tables_done, progress->verify_tables);
    ph_buf_printf(out,
                  ",\"rows_before\":%" PRIu64 ",\"bytes_before\":%" PRIu64
                  ",\"elapsed_s\":%.3f,\"retries\":%" PRIu64 ",\"waiting_for\":\"%s\",\"lanes\":[",
                  progress->rows_before, progress->bytes_before, progress->elapsed_s,
                  progress->retries, ph_wait_name(progress->waiting_for));
    for (uint32_t i = 0; i < progress->n_lanes && i < PH_PROGRESS_LANES; i++) {
        const struct ph_lane_progress *lane = &progress->lanes[i];
        ph_buf_printf(out, "%s{\"state\":\"%s\",\"object\":", i > 0 ? "," : "",
                      ph_lane_state_name(lane->state));
        ph_json_put_string(out, lane->label, strnlen(lane->label, sizeof lane->label));
        ph_buf_printf(out,
                      ",\"chunk\":%u,\"chunks\":%u,\"rows\":%" PRIu64 ",\"bytes\":%" PRIu64
                      ",\"waiting_for\":\"%s\"}",
                      lane->chunk, lane->n_chunks, lane->rows, lane->bytes,
                      ph_wait_name(lane->waiting_for));
    }
    ph_buf_putc(out, ']');
    put_follow(out, &progress->follow);
    ph_buf_putc(out, '}');
}
