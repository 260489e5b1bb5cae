#include "model/xid_snapshot.h"

#include <stddef.h>
#include <string.h>

/* Digits up to `end`; false: none, too many, or something else follows. */
static bool
read_xid(const char **text, char end, uint64_t *out)
{
    const char *at = *text;
    uint64_t value = 0;

    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (at == *text || *at != end)
        return false;
    *text = end == '\0' ? at : at + 1;
    *out = value;
    return true;
}

static bool
read_xip(const char *text, struct ph_xid_snapshot *out, uint64_t *xip, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t low = i == 0 ? out->xmin : xip[i - 1] + 1;
        if (!read_xid(&text, i + 1 < n ? ',' : '\0', &xip[i]) || xip[i] < low ||
            xip[i] >= out->xmax)
            return false;
    }
    out->xip = xip;
    out->n_xip = n;
    return *text == '\0';
}

static uint32_t
count_items(const char *list)
{
    uint32_t n = *list != '\0';

    for (; *list != '\0'; list++)
        n += *list == ',';
    return n;
}

ph_code
ph_xid_snapshot_parse(struct ph_arena *arena, const char *text, struct ph_xid_snapshot *out,
                      struct ph_error *err)
{
    struct ph_xid_snapshot read = {0};
    const char *at = text;

    if (!read_xid(&at, ':', &read.xmin) || !read_xid(&at, ':', &read.xmax) || read.xmin == 0 ||
        (read.xmax < read.xmin && *at != '\0'))
        return PH_FAIL(err, PH_E_PROTOCOL, "not a snapshot: %.60s", text);
    /* a slot's snapshot may end before it begins (SnapBuildInitialSnapshot): the server looks at
     * xmin first, so all below it is visible and nothing else */
    if (read.xmax < read.xmin)
        read.xmax = read.xmin;
    uint32_t n = count_items(at);
    uint64_t *xip = PH_ARENA_ARRAY(arena, uint64_t, n + 1u);
    if (xip == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    if (!read_xip(at, &read, xip, n))
        return PH_FAIL(err, PH_E_PROTOCOL, "not a snapshot: %.60s", text);
    *out = read;
    return PH_OK;
}

uint64_t
ph_xid_widen(const struct ph_xid_snapshot *snapshot, uint32_t xid)
{
    int32_t distance = (int32_t)(xid - (uint32_t)snapshot->xmin);

    return snapshot->xmin + (uint64_t)(int64_t)distance;
}

/* How many of the list are below the id. */
static uint32_t
count_below(const struct ph_xid_snapshot *snapshot, uint64_t xid)
{
    uint32_t low = 0;
    uint32_t high = snapshot->n_xip;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (snapshot->xip[middle] < xid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool
ph_xid_snapshot_sees(const struct ph_xid_snapshot *snapshot, uint64_t xid)
{
    if (xid < snapshot->xmin)
        return true;
    if (xid >= snapshot->xmax)
        return false;
    uint32_t at = count_below(snapshot, xid);
    return at == snapshot->n_xip || snapshot->xip[at] != xid;
}

/* The first id from `from` on that the snapshot sees; its xmax when there is none. */
static uint64_t
first_seen_from(const struct ph_xid_snapshot *snapshot, uint64_t from)
{
    uint32_t at = count_below(snapshot, from);

    while (from < snapshot->xmax && at < snapshot->n_xip && snapshot->xip[at] == from) {
        at++;
        from++;
    }
    return from;
}

bool
ph_xid_snapshot_is_admissible(const struct ph_xid_snapshot *later,
                              const struct ph_xid_snapshot *first, uint64_t *xid)
{
    uint64_t culprit = 0;

    for (uint32_t i = 0; culprit == 0 && i < later->n_xip; i++) {
        if (ph_xid_snapshot_sees(first, later->xip[i]))
            culprit = later->xip[i];
    }
    /* An id that the WAL has as committed can lie beyond what the server counts as ended. */
    if (culprit == 0 && later->xmax < first->xmax) {
        uint64_t seen = first_seen_from(first, later->xmax);
        culprit = seen < first->xmax ? seen : 0;
    }
    if (culprit != 0 && xid != NULL)
        *xid = culprit;
    return culprit == 0;
}

bool
ph_xid_snapshot_is_after(const struct ph_xid_snapshot *snapshot, uint64_t xid)
{
    return snapshot->xmin >= xid;
}
