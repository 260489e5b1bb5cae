#include "job/guard.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"

/* Parts of what is allowed: warned when less than 1/n of it is left. */
#define SLOT_LEFT 4
#define XMIN_LEFT 2
#define SPOOL_LEFT 4
#define DISK_LEFT 20

const char *
ph_guard_name(enum ph_guard guard)
{
    static const char *const names[PH_GUARDS] = {
        [PH_GUARD_SLOT] = "slot", [PH_GUARD_XMIN] = "xmin",         [PH_GUARD_SPOOL] = "spool",
        [PH_GUARD_DISK] = "disk", [PH_GUARD_RECEIVER] = "receiver",
    };

    return names[guard];
}

const char *
ph_guard_action(enum ph_guard guard)
{
    static const char *const actions[PH_GUARDS] = {
        [PH_GUARD_SLOT] = "goes on, and drops no slot; once the source has given it up it ends",
        [PH_GUARD_XMIN] = "goes on; it moves when changes are acknowledged",
        [PH_GUARD_SPOOL] = "goes on; at the limit it waits for room",
        [PH_GUARD_DISK] = "goes on; when it is full it waits for room",
        [PH_GUARD_RECEIVER] = "tries again for as long as it runs",
    };

    return actions[guard];
}

static void
judge_slot(const struct ph_slot *slot, const struct ph_slot_limits *limits, char *out)
{
    char kept[PH_HUMAN_SIZE];
    char limit[PH_HUMAN_SIZE];

    if (strcmp(slot->wal_status, "lost") == 0 || slot->invalidation[0] != '\0') {
        snprintf(out, PH_GUARD_TEXT, "the source has given the slot up: the job ends with PH-GAP");
        return;
    }
    ph_human_bytes(slot->kept_wal_bytes > 0 ? (uint64_t)slot->kept_wal_bytes : 0, kept);
    if (strcmp(slot->wal_status, "unreserved") == 0) {
        snprintf(out, PH_GUARD_TEXT,
                 "the source keeps %s of WAL for the slot and gives it up at its next checkpoint "
                 "(max_slot_wal_keep_size)",
                 kept);
    } else if (limits->keep_bytes > 0 && slot->safe_wal_bytes >= 0 &&
               slot->safe_wal_bytes < limits->keep_bytes / SLOT_LEFT) {
        ph_human_bytes((uint64_t)slot->safe_wal_bytes, limit);
        snprintf(out, PH_GUARD_TEXT,
                 "the source keeps %s of WAL for the slot and gives it up after %s more "
                 "(max_slot_wal_keep_size)",
                 kept, limit);
    } else if (limits->keep_bytes < 0 && slot->kept_wal_bytes > limits->max_wal_bytes) {
        ph_human_bytes((uint64_t)limits->max_wal_bytes, limit);
        snprintf(out, PH_GUARD_TEXT,
                 "the source keeps %s of WAL for the slot, more than its max_wal_size (%s), and "
                 "nothing bounds it (max_slot_wal_keep_size)",
                 kept, limit);
    }
}

static void
judge_xmin(const struct ph_slot *slot, const struct ph_slot_limits *limits, char *out)
{
    int64_t age = slot->xmin_age > slot->catalog_xmin_age ? slot->xmin_age : slot->catalog_xmin_age;
    char count[PH_HUMAN_SIZE];
    char limit[PH_HUMAN_SIZE];

    if (age <= limits->freeze_max_age / XMIN_LEFT)
        return;
    snprintf(out, PH_GUARD_TEXT,
             "the slot's xmin is %s transactions old: vacuum cannot freeze past it on the source "
             "(autovacuum_freeze_max_age %s)",
             ph_human_count((uint64_t)age, count),
             ph_human_count((uint64_t)limits->freeze_max_age, limit));
}

void
ph_guard_judge(const struct ph_guard_figures *figures, char warnings[PH_GUARDS][PH_GUARD_TEXT])
{
    char a[PH_HUMAN_SIZE];
    char b[PH_HUMAN_SIZE];

    memset(warnings, 0, sizeof(char[PH_GUARDS][PH_GUARD_TEXT]));
    if (figures->has_slot) {
        judge_slot(&figures->slot, &figures->limits, warnings[PH_GUARD_SLOT]);
        judge_xmin(&figures->slot, &figures->limits, warnings[PH_GUARD_XMIN]);
    }
    uint64_t limit = figures->spool_limit_bytes;
    if (limit > 0 && figures->spool_bytes > limit - limit / SPOOL_LEFT)
        snprintf(warnings[PH_GUARD_SPOOL], PH_GUARD_TEXT,
                 "the spool has %s of --spool-limit %s; at the limit nothing more is received, and "
                 "the source keeps its WAL",
                 ph_human_bytes(figures->spool_bytes, a), ph_human_bytes(limit, b));
    if (figures->disk_bytes > 0 && figures->disk_free_bytes < figures->disk_bytes / DISK_LEFT)
        snprintf(warnings[PH_GUARD_DISK], PH_GUARD_TEXT,
                 "the spool's disk has %s left of %s; when it is full nothing more is received, "
                 "and the source keeps its WAL",
                 ph_human_bytes(figures->disk_free_bytes, a),
                 ph_human_bytes(figures->disk_bytes, b));
    if (figures->trouble != NULL)
        snprintf(warnings[PH_GUARD_RECEIVER], PH_GUARD_TEXT, "nothing is received: %s",
                 figures->trouble);
}
