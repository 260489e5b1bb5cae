#include "flow/orphans.h"

#include <stdlib.h>
#include <string.h>

#include "flow/row_key.h"

/* Room for what is named, and for the others of each lookup. */
static bool
make_room(struct ph_orphans **orphans, const struct ph_route *route)
{
    uint32_t cap = PH_ORPHANS_NAMED + route->n_lookups;

    if (*orphans != NULL)
        return true;
    *orphans = calloc(1, sizeof **orphans + cap * sizeof(struct ph_orphan));
    if (*orphans != NULL)
        (*orphans)->cap = cap;
    return *orphans != NULL;
}

static struct ph_orphan *
find(struct ph_orphans *orphans, uint32_t lookup, const char *value)
{
    for (uint32_t i = 0; i < orphans->n; i++) {
        if (orphans->items[i].lookup == lookup && strcmp(orphans->items[i].value, value) == 0)
            return &orphans->items[i];
    }
    return NULL;
}

static struct ph_orphan *
add(struct ph_orphans *orphans, uint32_t lookup, const char *value)
{
    struct ph_orphan *orphan = &orphans->items[orphans->n++];

    orphan->lookup = lookup;
    memcpy(orphan->value, value, strlen(value) + 1);
    return orphan;
}

static void
note(struct ph_orphans *orphans, const struct ph_route *route, const struct ph_rules_in_use *rules,
     uint32_t lookup, struct ph_value key)
{
    char value[PH_ORPHAN_SIZE];
    uint32_t named = 0;

    ph_row_key_of_input(route, rules, route->lookups[lookup].key, key, value, sizeof value);
    struct ph_orphan *orphan = find(orphans, lookup, value);
    for (uint32_t i = 0; i < orphans->n; i++)
        named += orphans->items[i].value[0] != '\0';
    if (orphan == NULL && named < PH_ORPHANS_NAMED)
        orphan = add(orphans, lookup, value);
    if (orphan == NULL)
        orphan = find(orphans, lookup, "");
    if (orphan == NULL)
        orphan = add(orphans, lookup, "");
    orphan->rows++;
}

bool
ph_orphans_note(struct ph_orphans **orphans, const struct ph_route *route,
                const struct ph_rules_in_use *rules, const struct ph_value *in)
{
    if (!make_room(orphans, route))
        return false;
    for (uint32_t i = 0; i < route->n_lookups; i++) {
        const struct ph_route_lookup *by = &route->lookups[i];
        if (in[by->value].len == PH_VALUE_MISSING)
            note(*orphans, route, rules, i, in[by->key]);
    }
    return true;
}

void
ph_orphans_free(struct ph_orphans *orphans)
{
    free(orphans);
}
