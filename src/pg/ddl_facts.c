#include "pg/ddl_facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define USER_SCHEMA                                                                                \
    "n.nspname !~ '^pg_(toast|temp|toast_temp|catalog)' AND n.nspname <> 'information_schema'"

static const char rels_sql[] =
    "SELECT c.oid, coalesce(pg_partition_root(c.oid)::oid, c.oid), c.relkind, c.relispopulated,"
    " coalesce(pg_table_size(c.oid), 0), n.nspname, c.relname"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'm', 'f') AND " USER_SCHEMA " ORDER BY c.oid";

static const char indexes_sql[] =
    "SELECT x.indexrelid, x.indrelid, coalesce(pg_relation_size(x.indexrelid), 0)"
    " FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " USER_SCHEMA " ORDER BY x.indexrelid";

static const char constraints_sql[] =
    "SELECT k.oid, k.conrelid, k.confrelid, k.conindid, k.contype, k.condeferrable,"
    " k.condeferred, k.convalidated, k.conname,"
    " CASE WHEN k.contype IN ('p', 'u') AND c.relkind = 'r' AND a.amname = 'btree'"
    "  AND pg_table_size(k.conrelid) >= $1::bigint THEN pg_get_indexdef(k.conindid) END"
    " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_class i ON i.oid = k.conindid LEFT JOIN pg_am a ON a.oid = i.relam"
    " WHERE k.contype IN ('p', 'u', 'x', 'f') AND " USER_SCHEMA " ORDER BY k.oid";

static char
letter(const struct ph_result *result, int row, int column)
{
    return ph_result_text(result, row, column)[0];
}

static ph_code
read_rels(struct ph_conn *source, struct ph_arena *arena, struct ph_ddl_facts *out,
          struct ph_error *err)
{
    struct ph_result *result;
    bool complete;

    PH_TRY(ph_conn_query(source, rels_sql, 0, NULL, &result, err));
    out->n_rels = (uint32_t)ph_result_rows(result);
    out->rels = PH_ARENA_ARRAY(arena, struct ph_rel_fact, out->n_rels + 1);
    complete = out->rels != NULL;
    for (uint32_t i = 0; complete && i < out->n_rels; i++) {
        struct ph_rel_fact *rel = &out->rels[i];
        int row = (int)i;

        rel->oid = ph_result_u32(result, row, 0);
        rel->root = ph_result_u32(result, row, 1);
        rel->kind = letter(result, row, 2);
        rel->populated = ph_result_bool(result, row, 3);
        rel->bytes = (uint64_t)ph_result_i64(result, row, 4);
        rel->schema = ph_arena_strdup(arena, ph_result_text(result, row, 5));
        rel->name = ph_arena_strdup(arena, ph_result_text(result, row, 6));
        complete = rel->schema != NULL && rel->name != NULL;
    }
    ph_result_free(result);
    return complete ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "no memory for the source's tables");
}

static ph_code
read_indexes(struct ph_conn *source, struct ph_arena *arena, struct ph_ddl_facts *out,
             struct ph_error *err)
{
    struct ph_result *result;

    PH_TRY(ph_conn_query(source, indexes_sql, 0, NULL, &result, err));
    out->n_indexes = (uint32_t)ph_result_rows(result);
    out->indexes = PH_ARENA_ARRAY(arena, struct ph_index_fact, out->n_indexes + 1);
    for (uint32_t i = 0; out->indexes != NULL && i < out->n_indexes; i++) {
        out->indexes[i].oid = ph_result_u32(result, (int)i, 0);
        out->indexes[i].table = ph_result_u32(result, (int)i, 1);
        out->indexes[i].bytes = (uint64_t)ph_result_i64(result, (int)i, 2);
    }
    ph_result_free(result);
    return out->indexes != NULL ? PH_OK
                                : PH_FAIL(err, PH_E_MEMORY, "no memory for the source's indexes");
}

static ph_code
read_constraints(struct ph_conn *source, uint64_t split_key_bytes, struct ph_arena *arena,
                 struct ph_ddl_facts *out, struct ph_error *err)
{
    struct ph_result *result;
    char limit[24];
    const char *params[] = {limit};
    bool complete;

    if (split_key_bytes > INT64_MAX)
        split_key_bytes = INT64_MAX;
    snprintf(limit, sizeof limit, "%" PRIu64, split_key_bytes);
    PH_TRY(ph_conn_query(source, constraints_sql, 1, params, &result, err));
    out->n_constraints = (uint32_t)ph_result_rows(result);
    out->constraints = PH_ARENA_ARRAY(arena, struct ph_constraint_fact, out->n_constraints + 1);
    complete = out->constraints != NULL;
    for (uint32_t i = 0; complete && i < out->n_constraints; i++) {
        struct ph_constraint_fact *fact = &out->constraints[i];
        int row = (int)i;

        fact->oid = ph_result_u32(result, row, 0);
        fact->table = ph_result_u32(result, row, 1);
        fact->ref = ph_result_u32(result, row, 2);
        fact->index = ph_result_u32(result, row, 3);
        fact->type = letter(result, row, 4);
        fact->deferrable = ph_result_bool(result, row, 5);
        fact->deferred = ph_result_bool(result, row, 6);
        fact->validated = ph_result_bool(result, row, 7);
        fact->name = ph_arena_strdup(arena, ph_result_text(result, row, 8));
        complete = fact->name != NULL;
        if (complete && !ph_result_is_null(result, row, 9)) {
            fact->index_definition = ph_arena_strdup(arena, ph_result_text(result, row, 9));
            complete = fact->index_definition != NULL;
        }
    }
    ph_result_free(result);
    return complete ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "no memory for the source's constraints");
}

ph_code
ph_ddl_facts_read(struct ph_conn *source, uint64_t split_key_bytes, struct ph_arena *arena,
                  struct ph_ddl_facts *out, struct ph_error *err)
{
    *out = (struct ph_ddl_facts){0};
    PH_TRY(read_rels(source, arena, out, err));
    PH_TRY(read_indexes(source, arena, out, err));
    return read_constraints(source, split_key_bytes, arena, out, err);
}

/* All facts start with their oid. */
static int
compare_oids(const void *key, const void *fact)
{
    ph_oid a = *(const ph_oid *)key;
    ph_oid b = *(const ph_oid *)fact;

    return (a > b) - (a < b);
}

const struct ph_rel_fact *
ph_ddl_fact_rel(const struct ph_ddl_facts *facts, ph_oid oid)
{
    return bsearch(&oid, facts->rels, facts->n_rels, sizeof *facts->rels, compare_oids);
}

const struct ph_index_fact *
ph_ddl_fact_index(const struct ph_ddl_facts *facts, ph_oid oid)
{
    return bsearch(&oid, facts->indexes, facts->n_indexes, sizeof *facts->indexes, compare_oids);
}

const struct ph_constraint_fact *
ph_ddl_fact_constraint(const struct ph_ddl_facts *facts, ph_oid oid)
{
    return bsearch(&oid, facts->constraints, facts->n_constraints, sizeof *facts->constraints,
                   compare_oids);
}
