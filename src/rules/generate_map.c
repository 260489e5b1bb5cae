/*
 * A map as C: a switch on the value's length, then on the byte by which the keys of that length
 * differ most, until few enough are left to compare them whole (the compiler turns memcmp of a
 * constant length into words). No key is compared with more than COMPARE_MAX others.
 */
#include <ctype.h>
#include <stdlib.h>

#include "rules/ruleset_parts.h"

#define COMPARE_MAX 2u

struct tree { /* keys that are still possible, by their number in the map */
    const struct ph_map_entry *entries;
    struct ph_buf *out;
};

void
ph_rules_put_bytes(struct ph_value value, struct ph_buf *out)
{
    ph_buf_putc(out, '"');
    for (int32_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];
        if (c == '"' || c == '\\')
            ph_buf_printf(out, "\\%c", c);
        else if (c >= 0x20 && c < 0x7f && c != '?')
            ph_buf_putc(out, (char)c);
        else
            ph_buf_printf(out, "\\%03o", c);
    }
    ph_buf_putc(out, '"');
}

static void
indent(struct ph_buf *out, int depth)
{
    for (int i = 0; i < depth; i++)
        ph_buf_puts(out, "    ");
}

/* At which byte the keys have the most different values. */
static int32_t
best_byte(const struct tree *tree, const uint32_t *keys, uint32_t n, uint32_t *kinds)
{
    int32_t best = 0;

    *kinds = 0;
    for (int32_t at = 0; at < tree->entries[keys[0]].key.len; at++) {
        bool seen[256] = {false};
        uint32_t count = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint8_t byte = tree->entries[keys[i]].key.data[at];
            count += !seen[byte];
            seen[byte] = true;
        }
        if (count > *kinds) {
            *kinds = count;
            best = at;
        }
    }
    return best;
}

static void
put_compares(const struct tree *tree, const uint32_t *keys, uint32_t n, int depth)
{
    for (uint32_t i = 0; i < n; i++) {
        struct ph_value key = tree->entries[keys[i]].key;
        indent(tree->out, depth);
        if (key.len == 0) {
            ph_buf_printf(tree->out, "return %u;\n", keys[i]);
            return;
        }
        ph_buf_puts(tree->out, "if (memcmp(at, ");
        ph_rules_put_bytes(key, tree->out);
        ph_buf_printf(tree->out, ", %d) == 0)\n", key.len);
        indent(tree->out, depth + 1);
        ph_buf_printf(tree->out, "return %u;\n", keys[i]);
    }
    indent(tree->out, depth);
    ph_buf_puts(tree->out, "return -1;\n");
}

/* `keys` are of one length and are put into another order. */
static void
put_keys(const struct tree *tree, uint32_t *keys, uint32_t n, int depth)
{
    uint32_t kinds;
    int32_t at = n > COMPARE_MAX ? best_byte(tree, keys, n, &kinds) : 0;

    if (n <= COMPARE_MAX || kinds < 2) {
        put_compares(tree, keys, n, depth);
        return;
    }
    indent(tree->out, depth);
    ph_buf_printf(tree->out, "switch (at[%d]) {\n", at);
    for (uint32_t from = 0, end; from < n; from = end) {
        uint8_t byte = tree->entries[keys[from]].key.data[at];
        end = from + 1;
        for (uint32_t i = end; i < n; i++) { /* those of this byte next to each other */
            if (tree->entries[keys[i]].key.data[at] != byte)
                continue;
            uint32_t other = keys[end];
            keys[end] = keys[i];
            keys[i] = other;
            end++;
        }
        indent(tree->out, depth);
        ph_buf_printf(tree->out, "case 0x%02x:\n", byte);
        put_keys(tree, keys + from, end - from, depth + 1);
    }
    indent(tree->out, depth);
    ph_buf_puts(tree->out, "default:\n");
    indent(tree->out, depth + 1);
    ph_buf_puts(tree->out, "return -1;\n");
    indent(tree->out, depth);
    ph_buf_puts(tree->out, "}\n");
}

void
ph_rules_generate_map(const struct ph_map_entry *entries, uint32_t n_entries, const char *function,
                      struct ph_buf *out)
{
    const struct tree tree = {entries, out};
    uint32_t *keys = calloc((size_t)n_entries + 1, sizeof *keys);

    if (keys == NULL) {
        out->failed = true;
        return;
    }
    ph_buf_printf(out, "static int\n%s(const struct ph_value *value)\n{\n", function);
    ph_buf_puts(out, "    const uint8_t *at = value->data;\n\n    switch (value->len) {\n");
    for (uint32_t i = 0; i < n_entries; i++) {
        int32_t len = entries[i].key.len;
        uint32_t n = 0;
        bool is_done = false;
        for (uint32_t k = 0; k < i && !is_done; k++)
            is_done = entries[k].key.len == len;
        if (is_done)
            continue;
        for (uint32_t k = i; k < n_entries; k++) {
            if (entries[k].key.len == len)
                keys[n++] = k;
        }
        ph_buf_printf(out, "    case %d:\n", len);
        put_keys(&tree, keys, n, 2);
    }
    ph_buf_puts(out, "    default:\n        (void)at;\n        return -1;\n    }\n}\n\n");
    free(keys);
}
