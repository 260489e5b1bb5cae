#include "model/xid_spans.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16u

/* How many of the spans begin at `xid` or before. */
static uint32_t
count_up_to(const struct ph_xid_spans *spans, uint32_t xid)
{
    uint32_t low = 0;
    uint32_t high = spans->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ph_xid_is_later(spans->items[middle].first, xid))
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

bool
ph_xid_spans_have(const struct ph_xid_spans *spans, uint32_t xid)
{
    uint32_t n = count_up_to(spans, xid);

    return n > 0 && !ph_xid_is_later(xid, spans->items[n - 1].last);
}

static bool
make_room(struct ph_xid_spans *spans)
{
    if (spans->n < spans->capacity)
        return true;
    uint32_t capacity = spans->capacity == 0 ? FIRST_CAPACITY : spans->capacity * 2;
    struct ph_xid_span *items = realloc(spans->items, capacity * sizeof *items);
    if (items == NULL)
        return false;
    spans->items = items;
    spans->capacity = capacity;
    return true;
}

bool
ph_xid_spans_add(struct ph_xid_spans *spans, uint32_t first, uint32_t last)
{
    struct ph_xid_span span = {first, ph_xid_is_later(last, first) ? last : first};

    if (!make_room(spans))
        return false;
    while (spans->n > 0 && !ph_xid_is_later(span.first, spans->items[spans->n - 1].last)) {
        const struct ph_xid_span *before = &spans->items[--spans->n];
        if (ph_xid_is_later(span.first, before->first))
            span.first = before->first;
        if (ph_xid_is_later(before->last, span.last))
            span.last = before->last;
    }
    spans->items[spans->n++] = span;
    return true;
}

void
ph_xid_spans_clear(struct ph_xid_spans *spans)
{
    free(spans->items);
    *spans = (struct ph_xid_spans){0};
}
