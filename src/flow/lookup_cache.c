#include "flow/lookup_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "flow/lookup_read.h"
#include "pg/snapshot.h"

#define AT_ONCE 1000u /* keys of one statement, as long as their values fit */
#define SQL_LIMIT ((size_t)4 << 20)
#define FULL_SQL ((size_t)1 << 20)

struct table {
    struct ph_conn *conn;
    struct ph_buf keys; /* to be asked for, as literals, a comma between them */
    uint32_t n_keys;
};

struct ph_lookup_cache {
    const struct ph_rules_in_use *rules;
    struct ph_lookups *own;
    uint32_t at_once;
    uint32_t n_tables;
    struct table tables[]; /* by lookup */
};

struct ph_lookup_cache *
ph_lookup_cache_new(const struct ph_rules_in_use *rules)
{
    uint32_t n = ph_ruleset_count_lookups(rules->set);
    struct ph_lookup_cache *cache = calloc(1, sizeof *cache + n * sizeof *cache->tables);

    if (cache == NULL)
        return NULL;
    cache->rules = rules;
    cache->at_once = AT_ONCE;
    cache->n_tables = n;
    for (uint32_t i = 0; i < n; i++)
        ph_buf_init(&cache->tables[i].keys, SQL_LIMIT);
    cache->own = ph_lookups_new(rules->set, rules->access->limit_bytes);
    if (cache->own != NULL)
        return cache;
    ph_lookup_cache_free(cache);
    return NULL;
}

void
ph_lookup_cache_free(struct ph_lookup_cache *cache)
{
    if (cache == NULL)
        return;
    for (uint32_t i = 0; i < cache->n_tables; i++) {
        ph_conn_free(cache->tables[i].conn);
        ph_buf_free(&cache->tables[i].keys);
    }
    ph_lookups_free(cache->own);
    free(cache);
}

const struct ph_lookups *
ph_lookup_cache_own(const struct ph_lookup_cache *cache)
{
    return cache->own;
}

/* ---- what is not known ---- */

static bool
is_unknown(const struct ph_lookup_cache *cache, const struct ph_route_lookup *by,
           const struct ph_value *in)
{
    return by->found == PH_LOOKUP_NONE && in[by->key].len >= 0 &&
           ph_lookups_is_asked(cache->rules->lookups, by->lookup) &&
           !ph_lookups_knows(cache->own, by, in[by->key]);
}

bool
ph_lookup_cache_lacks(const struct ph_lookup_cache *cache, const struct ph_route *route,
                      const struct ph_value *in)
{
    for (uint32_t i = 0; i < route->n_lookups; i++) {
        if (is_unknown(cache, &route->lookups[i], in))
            return true;
    }
    return false;
}

/* As it is compared. false: too long. */
static bool
put_key(const struct ph_lookup *lookup, const struct ph_route_lookup *by, struct ph_value key,
        struct ph_buf *out)
{
    uint8_t room[PH_LOOKUP_KEY_ROOM];
    struct ph_span bytes = ph_lookup_key_bytes(by->from, key, room);

    if (bytes.data == NULL || bytes.len > FULL_SQL)
        return false;
    if (out->len > 0)
        ph_buf_putc(out, ',');
    ph_lookup_key_put(lookup->key, (struct ph_value){bytes.data, (int32_t)bytes.len}, out);
    return true;
}

static ph_code
want(struct ph_lookup_cache *cache, const struct ph_route *route, const struct ph_value *in,
     struct ph_error *err)
{
    for (uint32_t i = 0; i < route->n_lookups; i++) {
        const struct ph_route_lookup *by = &route->lookups[i];
        struct table *table = &cache->tables[by->lookup];
        if (!is_unknown(cache, by, in))
            continue;
        if (!put_key(ph_ruleset_lookup(cache->rules->set, by->lookup), by, in[by->key],
                     &table->keys))
            return PH_FAIL(err, PH_E_LOOKUP, "a key of %d bytes is too long to be looked up",
                           (int)in[by->key].len);
        table->n_keys++;
        PH_TRY(ph_lookups_note(cache->own, by, in[by->key], err));
        if (!ph_buf_ok(&table->keys))
            return PH_FAIL(err, PH_E_MEMORY, "no memory for keys to be looked up");
    }
    return PH_OK;
}

static void
forget_wanted(struct ph_lookup_cache *cache)
{
    for (uint32_t i = 0; i < cache->n_tables; i++) {
        ph_buf_clear(&cache->tables[i].keys);
        cache->tables[i].n_keys = 0;
    }
}

static void
empty(struct ph_lookup_cache *cache)
{
    forget_wanted(cache);
    for (uint32_t i = 0; i < cache->n_tables; i++)
        ph_lookups_clear(cache->own, i);
}

ph_code
ph_lookup_cache_begin(struct ph_lookup_cache *cache, const struct ph_route *route,
                      const struct ph_value *in, struct ph_error *err)
{
    forget_wanted(cache);
    if (ph_lookups_bytes(cache->own) > cache->rules->access->limit_bytes / 2)
        empty(cache);
    return want(cache, route, in, err);
}

ph_code
ph_lookup_cache_also(struct ph_lookup_cache *cache, const struct ph_route *route,
                     const struct ph_value *in, bool *is_full, struct ph_error *err)
{
    /* the last quarter is for the values */
    *is_full = ph_lookups_bytes(cache->own) > cache->rules->access->limit_bytes / 4 * 3;
    for (uint32_t i = 0; i < cache->n_tables; i++)
        *is_full |=
            cache->tables[i].n_keys >= cache->at_once || cache->tables[i].keys.len > FULL_SQL;
    ph_code rc = *is_full ? PH_OK : want(cache, route, in, err);
    if (rc != PH_E_LOOKUP)
        return rc;
    ph_error_reset(err); /* it will be the row at hand, with more room */
    *is_full = true;
    return PH_OK;
}

/* ---- asking ---- */

static ph_code
open_way(struct ph_lookup_cache *cache, uint32_t number, struct ph_error *err)
{
    const struct ph_lookup_way *way = &cache->rules->access->ways[number];
    struct table *table = &cache->tables[number];

    if (table->conn != NULL)
        return PH_OK;
    PH_TRY(ph_conn_open(way->endpoint, "lookup", &table->conn, err));
    if (way->snapshot_id == NULL)
        return PH_OK;
    PH_TRY(ph_snapshot_import(table->conn, way->snapshot_id, err));
    return ph_snapshot_lock(table->conn, ph_ruleset_lookup(cache->rules->set, number)->table, err);
}

static ph_code
ask_table(struct ph_lookup_cache *cache, uint32_t number, struct ph_error *err)
{
    const struct ph_lookup *lookup = ph_ruleset_lookup(cache->rules->set, number);
    struct table *table = &cache->tables[number];
    struct ph_buf sql;

    if (table->n_keys == 0)
        return PH_OK;
    PH_FAILPOINT(before_lookup);
    ph_code rc = open_way(cache, number, err);
    ph_buf_init(&sql, SQL_LIMIT + 4096);
    ph_buf_printf(&sql, "%s AND %s = ANY (ARRAY[", lookup->sql, lookup->key_sql);
    ph_buf_append(&sql, table->keys.data, table->keys.len);
    ph_buf_printf(&sql, "]::%s[])", ph_lookup_key_type(lookup->key));
    if (rc == PH_OK)
        rc = ph_buf_ok(&sql) ? ph_lookup_read(table->conn, ph_buf_text(&sql), ph_lookups_answer,
                                              cache->own, number, err)
                             : PH_FAIL(err, PH_E_MEMORY, "out of memory");
    ph_buf_free(&sql);
    if (rc == PH_OK)
        return PH_OK;
    ph_conn_free(table->conn);
    table->conn = NULL;
    return rc;
}

static ph_code
ask_all(struct ph_lookup_cache *cache, struct ph_error *err)
{
    ph_code rc = PH_OK;

    for (uint32_t i = 0; rc == PH_OK && i < cache->n_tables; i++) {
        rc = ask_table(cache, i, err);
        if (rc != PH_OK && rc != PH_E_LOOKUP)
            ph_error_note(err, "looking up values in %s",
                          ph_ruleset_lookup(cache->rules->set, i)->label);
    }
    if (rc != PH_OK)
        empty(cache); /* what has no answer is not known to be missing */
    forget_wanted(cache);
    return rc;
}

ph_code
ph_lookup_cache_ask(struct ph_lookup_cache *cache, const struct ph_route *route,
                    const struct ph_value *in, struct ph_error *err)
{
    ph_code rc = ask_all(cache, err);

    if (rc != PH_E_LOOKUP)
        return rc;
    ph_error_reset(err);
    if (cache->at_once > 1)
        cache->at_once /= 2;
    PH_TRY(want(cache, route, in, err));
    rc = ask_all(cache, err);
    if (rc != PH_E_LOOKUP)
        return rc;
    PH_FAIL(err, PH_E_LOOKUP, "the values that one row looks up need more than %zu kB",
            cache->rules->access->limit_bytes >> 10);
    ph_error_object(err, "%s", route->name);
    ph_error_hint(err, "give more --memory");
    return PH_E_LOOKUP;
}
