/*
 * Each pattern is a letter that names its list, the pattern, and a separator that no name has any
 * use for.
 */
#include "job/selection_text.h"

#include <stdio.h>
#include <string.h>

#include "base/digest.h"

#define SEPARATOR '\x1f'

static void
put_list(struct ph_buf *out, char letter, const struct ph_string_list *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        ph_buf_putc(out, letter);
        ph_buf_puts(out, list->items[i]);
        ph_buf_putc(out, SEPARATOR);
    }
}

void
ph_selection_write(const struct ph_options *options, struct ph_buf *out)
{
    put_list(out, 's', &options->schemas);
    put_list(out, 'S', &options->exclude_schemas);
    put_list(out, 't', &options->tables);
    put_list(out, 'T', &options->excludes);
}

void
ph_selection_id(const struct ph_buf *written, char out[PH_SELECTION_ID])
{
    struct ph_hash128 hash = ph_digest_row((struct ph_span){written->data, written->len});

    snprintf(out, PH_SELECTION_ID, "%016llx%016llx", (unsigned long long)hash.hi,
             (unsigned long long)hash.lo);
}

static struct ph_string_list *
list_of(struct ph_options *options, char letter)
{
    switch (letter) {
    case 's':
        return &options->schemas;
    case 'S':
        return &options->exclude_schemas;
    case 't':
        return &options->tables;
    case 'T':
        return &options->excludes;
    default:
        return NULL;
    }
}

ph_code
ph_selection_read(const char *text, struct ph_arena *arena, struct ph_options *out,
                  struct ph_error *err)
{
    size_t room = strlen(text) + 1;

    *out = (struct ph_options){0};
    struct ph_string_list *lists[] = {&out->schemas, &out->exclude_schemas, &out->tables,
                                      &out->excludes};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        lists[i]->items = PH_ARENA_ARRAY(arena, char *, room);
        if (lists[i]->items == NULL)
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    }
    while (*text != '\0') {
        struct ph_string_list *list = list_of(out, *text);
        const char *end = strchr(text, SEPARATOR);
        if (list == NULL || end == NULL)
            return PH_FAIL(err, PH_E_LEDGER, "the ledger holds patterns that cannot be read");
        char *item = ph_arena_printf(arena, "%.*s", (int)(end - text - 1), text + 1);
        if (item == NULL)
            return PH_FAIL(err, PH_E_MEMORY, "out of memory");
        list->items[list->n++] = item;
        text = end + 1;
    }
    return PH_OK;
}
