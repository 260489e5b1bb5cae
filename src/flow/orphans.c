#include "flow/orphans.h"

#include <stdlib.h>
#include <string.h>

#include "flow/row_key.h"
#include "pg/ledger_lookup.h"

/* Room for what is named, and for the others of each lookup. */
static bool
make_room(struct ph_orphans **orphans, const struct ph_table_plan *table)
{
    uint32_t cap = PH_ORPHANS_NAMED + table->route->n_lookups;

    if (*orphans != NULL)
        return true;
    *orphans = calloc(1, sizeof **orphans + cap * sizeof(struct ph_orphan));
    if (*orphans == NULL)
        return false;
    (*orphans)->table = table;
    (*orphans)->cap = cap;
    return true;
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
ph_orphans_note(struct ph_orphans **orphans, const struct ph_table_plan *table,
                const struct ph_value *in)
{
    const struct ph_route *route = table->route;

    if (!make_room(orphans, table))
        return false;
    for (uint32_t i = 0; i < route->n_lookups; i++) {
        const struct ph_route_lookup *by = &route->lookups[i];
        if (in[by->value].len == PH_VALUE_MISSING)
            note(*orphans, route, table->rules, i, in[by->key]);
    }
    return true;
}

void
ph_orphans_clear(struct ph_orphans *orphans)
{
    for (uint32_t i = 0; i < orphans->n; i++)
        orphans->items[i].rows = 0;
}

void
ph_orphans_put(const struct ph_orphans *orphans, const char *job, int32_t place, struct ph_buf *sql)
{
    const struct ph_table_plan *table = orphans->table;

    for (uint32_t i = 0; i < orphans->n; i++) {
        const struct ph_orphan *orphan = &orphans->items[i];
        const struct ph_route_lookup *by = &table->route->lookups[orphan->lookup];
        const struct ph_ledger_orphan row = {
            .table = table->index,
            .place = place,
            .column = table->route->outputs[by->output].target->name,
            .lookup = ph_ruleset_lookup(table->rules->set, by->lookup)->label,
            .value = orphan->value,
            .rows = orphan->rows,
        };
        if (row.rows > 0)
            ph_ledger_put_orphan(sql, job, &row);
    }
}

void
ph_orphans_free(struct ph_orphans *orphans)
{
    free(orphans);
}
