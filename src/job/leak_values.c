#include "job/leak_values.h"

#include <stdlib.h>

#include "base/digest.h"

#define RECENT 4096u /* a power of two */

bool
ph_leak_sample_init(struct ph_leak_sample *sample, uint32_t most)
{
    *sample = (struct ph_leak_sample){.most = most, .cap = most + most / 4 + 64};
    sample->items = calloc(sample->cap, sizeof(struct ph_leak_value *));
    sample->recent = calloc(RECENT, sizeof(struct ph_leak_value *));
    if (sample->items != NULL && sample->recent != NULL)
        return true;
    ph_leak_sample_free(sample);
    return false;
}

void
ph_leak_sample_free(struct ph_leak_sample *sample)
{
    for (uint32_t i = 0; sample->items != NULL && i < sample->n; i++)
        free(sample->items[i]);
    free(sample->items);
    free(sample->recent);
    *sample = (struct ph_leak_sample){0};
}

static int
compare(const void *a, const void *b)
{
    const struct ph_leak_value *const *x = a;
    const struct ph_leak_value *const *y = b;

    return ((*x)->order > (*y)->order) - ((*x)->order < (*y)->order);
}

/*
 * Sorted, no value twice, none above the number that is kept. What is kept in the end was never
 * above it, so that its rows were all counted.
 */
static void
compact(struct ph_leak_sample *sample)
{
    uint32_t n = 0;

    qsort(sample->items, sample->n, sizeof(struct ph_leak_value *), compare);
    for (uint32_t i = 0; i < sample->n; i++) {
        struct ph_leak_value *value = sample->items[i];
        bool is_again = n > 0 && sample->items[n - 1]->order == value->order;
        if (!is_again && n < sample->most) {
            sample->items[n++] = value;
            continue;
        }
        if (is_again)
            sample->items[n - 1]->rows += value->rows;
        if (!is_again && !sample->is_part) {
            sample->is_part = true;
            sample->below = value->order;
        } else if (!is_again && value->order < sample->below) {
            sample->below = value->order;
        }
        free(value);
    }
    sample->n = n;
    memset(sample->recent, 0, RECENT * sizeof(struct ph_leak_value *));
}

bool
ph_leak_sample_add(struct ph_leak_sample *sample, struct ph_span value)
{
    bool is_cut = value.len > PH_LEAK_LONGEST;
    struct ph_span kept = {value.data, is_cut ? PH_LEAK_LONGEST : value.len};
    uint64_t order = ph_digest_row(kept).lo;
    struct ph_leak_value **recent = &sample->recent[order & (RECENT - 1)];

    sample->rows++;
    if (sample->is_part && order >= sample->below)
        return true;
    if (*recent != NULL && (*recent)->order == order) {
        (*recent)->rows++;
        return true;
    }
    if (sample->is_left_out != NULL && sample->is_left_out(value)) {
        sample->has_left_out = true;
        return true;
    }
    struct ph_leak_value *item = malloc(sizeof *item + kept.len);
    if (item == NULL)
        return false;
    *recent = item;
    item->order = order;
    item->rows = 1;
    item->len = (uint8_t)kept.len;
    item->is_cut = is_cut;
    memcpy(item->bytes, kept.data, kept.len);
    sample->items[sample->n++] = item;
    if (sample->n == sample->cap)
        compact(sample);
    return true;
}

/* So many hashes lie below a bound; they are spread evenly. */
static uint64_t
count_distinct(const struct ph_leak_sample *sample)
{
    if (!sample->is_part || sample->below == 0)
        return sample->n;
    double share = (double)sample->below / 18446744073709551616.0;
    return (uint64_t)((double)sample->n / share + 0.5);
}

static void
drop_common(struct ph_leak_sample *sample)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < sample->n; i++) {
        struct ph_leak_value *value = sample->items[i];
        if (value->rows < PH_LEAK_COMMON_ROWS || value->rows < sample->rows / PH_LEAK_COMMON_PART) {
            sample->items[n++] = value;
            continue;
        }
        sample->has_common = true;
        free(value);
    }
    sample->n = n;
}

void
ph_leak_sample_finish(struct ph_leak_sample *sample)
{
    compact(sample);
    sample->distinct = count_distinct(sample);
    drop_common(sample);
    free(sample->recent);
    sample->recent = NULL;
}

bool
ph_leak_telling(struct ph_span *value)
{
    uint32_t digits = 0;

    while (value->len > 0 && value->data[0] <= ' ')
        *value = (struct ph_span){value->data + 1, value->len - 1};
    while (value->len > 0 && value->data[value->len - 1] <= ' ')
        value->len--;
    if (value->len < PH_LEAK_SHORTEST)
        return false;
    for (size_t i = 0; i < value->len; i++) {
        if (ph_leak_is_letter(value->data[i]))
            return true;
        digits += ph_leak_is_digit(value->data[i]);
    }
    return digits >= PH_LEAK_DIGITS;
}
