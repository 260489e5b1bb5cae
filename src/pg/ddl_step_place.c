/*
 * From the archive's post-data entries to steps (see ddl_step.h).
 *
 * Entry texts run as they are but for three clauses put around them: a large key becomes its index
 * (pg_get_indexdef of the source) and ADD ... USING INDEX; a foreign key on a large table gets NOT
 * VALID and a VALIDATE after it; what follows an index in its entry (CLUSTER ON, REPLICA IDENTITY)
 * moves to the rest, since it needs a stronger lock than the build. Partitioned tables keep their
 * entries whole: PostgreSQL cannot do either of these for them.
 */
#include "pg/ddl_step_build.h"

#include <string.h>

#define ARENA_LIMIT_BYTES ((size_t)1 << 30)

/* Twice the room in the arena; what was there stays as waste. */
static void *
grow(struct ph_step_builder *builder, struct ph_arena *arena, const void *old, uint32_t *cap,
     size_t size)
{
    uint32_t wider = *cap == 0 ? 64 : *cap * 2;
    void *array = ph_arena_alloc_array(arena, wider, size);

    if (array == NULL) {
        builder->failed = true;
        return NULL;
    }
    if (*cap > 0)
        memcpy(array, old, *cap * size);
    *cap = wider;
    return array;
}

void
ph_builder_add_edge(struct ph_step_builder *builder, uint32_t from, uint32_t to)
{
    if (from == PH_NO_STEP || to == PH_NO_STEP || builder->failed)
        return;
    if (builder->n_edges == builder->cap_edges) {
        struct ph_step_edge *edges =
            grow(builder, &builder->scratch, builder->edges, &builder->cap_edges, sizeof *edges);
        if (edges == NULL)
            return;
        builder->edges = edges;
    }
    builder->edges[builder->n_edges++] = (struct ph_step_edge){from, to};
}

void
ph_builder_add_wait(struct ph_step_builder *builder, uint32_t step, ph_oid table)
{
    struct ph_steps *out = builder->out;

    if (builder->failed || step == PH_NO_STEP ||
        !builder->params->has_rows(builder->params->arg, table))
        return;
    if (out->n_waits == builder->cap_waits) {
        struct ph_step_wait *waits =
            grow(builder, &builder->scratch, out->waits, &builder->cap_waits, sizeof *waits);
        if (waits == NULL)
            return;
        out->waits = waits;
    }
    out->waits[out->n_waits++] = (struct ph_step_wait){table, step};
}

/* The rows of a table, and of all partitions when it is the top of a tree. */
void
ph_builder_wait_for_rows(struct ph_step_builder *builder, uint32_t step,
                         const struct ph_rel_fact *rel)
{
    const struct ph_ddl_facts *facts = &builder->facts;

    if (rel == NULL)
        return;
    if (rel->kind != 'p') {
        ph_builder_add_wait(builder, step, rel->oid);
        return;
    }
    for (uint32_t i = 0; i < facts->n_rels; i++) {
        if (facts->rels[i].root == rel->root && facts->rels[i].kind == 'r')
            ph_builder_add_wait(builder, step, facts->rels[i].oid);
    }
}

/* Index of the new step, PH_NO_STEP without memory. Its key and SQL may be set later. */
uint32_t
ph_builder_add_step(struct ph_step_builder *builder, struct ph_step step)
{
    struct ph_steps *out = builder->out;

    if (builder->failed)
        return PH_NO_STEP;
    if (out->n_steps == builder->cap_steps) {
        struct ph_step *steps =
            grow(builder, builder->arena, out->steps, &builder->cap_steps, sizeof *steps);
        if (steps == NULL)
            return PH_NO_STEP;
        out->steps = steps;
    }
    if (step.key == NULL || (step.n_sql > 0 && step.sql == NULL)) {
        builder->failed = true;
        return PH_NO_STEP;
    }
    out->steps[out->n_steps] = step;
    return out->n_steps++;
}

const struct ph_step_sql *
ph_builder_one_sql(struct ph_step_builder *builder, const struct ph_archive_entry *entry,
                   const char *settings, const char *sql)
{
    struct ph_step_sql *item = PH_ARENA_ARRAY(builder->arena, struct ph_step_sql, 1);

    if (item == NULL || sql == NULL) {
        builder->failed = true;
        return NULL;
    }
    *item = (struct ph_step_sql){entry, settings, sql};
    return item;
}

static void
add_rest(struct ph_step_builder *builder, const struct ph_archive_entry *entry, const char *sql)
{
    /* entries and, of each index, at most one remainder: room was made for both */
    if (sql == NULL)
        builder->failed = true;
    else if (sql[0] != '\0')
        builder->rest[builder->n_rest++] = (struct ph_step_sql){entry, entry->settings, sql};
}

struct ph_step_table
ph_builder_table_lock(const struct ph_rel_fact *rel, enum ph_step_lock lock)
{
    if (rel == NULL)
        return (struct ph_step_table){.lock = PH_LOCK_NONE};
    return (struct ph_step_table){rel->oid, rel->root, rel->kind == 'p', rel->kind == 'p', lock};
}

/* Behind the `;` that ends the first statement; quotes of both kinds are skipped. */
static const char *
statement_end(const char *sql)
{
    char quote = '\0';

    for (const char *p = sql; *p != '\0'; p++) {
        if (quote != '\0') {
            if (*p == quote)
                quote = '\0';
        } else if (*p == '"' || *p == '\'') {
            quote = *p;
        } else if (*p == ';') {
            return p + 1;
        }
    }
    return sql + strlen(sql);
}

static bool
is_blank(const char *text)
{
    return text[strspn(text, " \n")] == '\0';
}

static const char *
entry_key(struct ph_step_builder *builder, const char *what, const struct ph_archive_entry *entry)
{
    return ph_arena_printf(builder->arena, "%s %s.%s", what, entry->schema, entry->tag);
}

static struct ph_step_place
place_index(struct ph_step_builder *builder, const struct ph_archive_entry *entry,
            const struct ph_index_fact *fact)
{
    const struct ph_rel_fact *rel = ph_ddl_fact_rel(&builder->facts, fact->table);
    const char *end = statement_end(entry->sql);
    const char *sql = entry->sql;
    uint32_t step;

    /* On a partitioned table the build is nothing and what follows may be one with it. */
    if (!is_blank(end)) {
        sql = ph_arena_strndup(builder->arena, sql, (size_t)(end - sql));
        add_rest(builder, entry, end);
    }
    step = ph_builder_add_step(builder,
                               (struct ph_step){
                                   .key = entry_key(builder, "index", entry),
                                   .kind = PH_STEP_INDEX,
                                   .bytes = fact->bytes,
                                   .tables = {ph_builder_table_lock(rel, PH_LOCK_SHARE)},
                                   .n_tables = 1,
                                   .sql = ph_builder_one_sql(builder, entry, entry->settings, sql),
                                   .n_sql = 1,
                               });
    if (step != PH_NO_STEP)
        builder->out->steps[step].tables[0].whole_tree = false;
    if (rel != NULL && rel->kind == 'r')
        ph_builder_wait_for_rows(builder, step, rel);
    return (struct ph_step_place){step, step, false};
}

/* ALTER TABLE ... USING INDEX, and what the entry says after its own ADD CONSTRAINT. */
static const char *
using_index_sql(struct ph_step_builder *builder, const struct ph_archive_entry *entry,
                const struct ph_rel_fact *rel, const struct ph_constraint_fact *fact)
{
    struct ph_buf sql;
    const char *text = NULL;

    ph_buf_init(&sql, ARENA_LIMIT_BYTES);
    ph_buf_puts(&sql, "ALTER TABLE ONLY ");
    ph_buf_put_qualified(&sql, rel->schema, rel->name);
    ph_buf_puts(&sql, " ADD CONSTRAINT ");
    ph_buf_put_ident(&sql, fact->name);
    ph_buf_puts(&sql, fact->type == 'p' ? " PRIMARY KEY" : " UNIQUE");
    ph_buf_puts(&sql, " USING INDEX ");
    ph_buf_put_ident(&sql, fact->name);
    if (fact->deferrable)
        ph_buf_puts(&sql, fact->deferred ? " DEFERRABLE INITIALLY DEFERRED" : " DEFERRABLE");
    ph_buf_puts(&sql, ";");
    ph_buf_puts(&sql, statement_end(entry->sql));
    if (ph_buf_ok(&sql))
        text = ph_arena_strdup(builder->arena, ph_buf_text(&sql));
    ph_buf_free(&sql);
    return text;
}

static uint64_t
index_bytes(const struct ph_step_builder *builder, ph_oid index)
{
    const struct ph_index_fact *fact = ph_ddl_fact_index(&builder->facts, index);

    return fact != NULL ? fact->bytes : 0;
}

bool
ph_builder_is_done(const struct ph_step_builder *builder, const char *key)
{
    return key != NULL && builder->params->is_done != NULL &&
           builder->params->is_done(builder->params->arg, key);
}

static struct ph_step_place
place_key(struct ph_step_builder *builder, const struct ph_archive_entry *entry,
          const struct ph_constraint_fact *fact)
{
    const struct ph_rel_fact *rel = ph_ddl_fact_rel(&builder->facts, fact->table);
    struct ph_step key = {
        .key = entry_key(builder, "key", entry),
        .kind = PH_STEP_KEY,
        .bytes = index_bytes(builder, fact->index),
        .tables = {ph_builder_table_lock(rel, PH_LOCK_EXCLUSIVE)},
        .n_tables = 1,
        .n_sql = 1,
    };
    struct ph_step index = key;
    struct ph_step_place place = {PH_NO_STEP, PH_NO_STEP, false};

    key.tables[0].whole_tree = false; /* the archive says ONLY */
    index.key = entry_key(builder, "key index", entry);
    /* An index that is there already stays of use, whatever the table's size says now. */
    if (rel == NULL ||
        (fact->index_definition == NULL && !ph_builder_is_done(builder, index.key))) {
        key.sql = ph_builder_one_sql(builder, entry, entry->settings, entry->sql);
        place.first = place.last = ph_builder_add_step(builder, key);
    } else {
        index.kind = PH_STEP_INDEX;
        index.tables[0] = ph_builder_table_lock(rel, PH_LOCK_SHARE);
        index.sql = ph_builder_one_sql(builder, entry, entry->settings,
                                       fact->index_definition != NULL
                                           ? ph_arena_strdup(builder->arena, fact->index_definition)
                                           : entry->sql);
        place.first = ph_builder_add_step(builder, index);
        key.bytes = 0;
        key.sql = ph_builder_one_sql(builder, entry, entry->settings,
                                     using_index_sql(builder, entry, rel, fact));
        place.last = ph_builder_add_step(builder, key);
        ph_builder_add_edge(builder, place.first, place.last);
        if (ph_builder_is_done(builder, key.key) && !builder->failed)
            builder->out->steps[place.first].state = PH_STEP_DONE;
    }
    if (rel != NULL && rel->kind == 'r')
        ph_builder_wait_for_rows(builder, place.first, rel);
    return place;
}

static bool
ends_with(const char *text, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);

    return len >= n && memcmp(text + len - n, suffix, n) == 0;
}

static const char *
not_valid_sql(struct ph_step_builder *builder, const char *sql)
{
    const char *end = statement_end(sql);
    size_t len = (size_t)(end - sql);

    if (len > 0 && end[-1] == ';')
        len--;
    if (ends_with(sql, len, " NOT VALID") || ends_with(sql, len, " NOT ENFORCED"))
        return sql;
    return ph_arena_printf(builder->arena, "%.*s NOT VALID;%s", (int)len, sql, end);
}

static const char *
validate_sql(struct ph_step_builder *builder, const struct ph_rel_fact *rel, const char *constraint)
{
    struct ph_buf sql;
    const char *text = NULL;

    ph_buf_init(&sql, 4096);
    ph_buf_puts(&sql, "ALTER TABLE ONLY ");
    ph_buf_put_qualified(&sql, rel->schema, rel->name);
    ph_buf_puts(&sql, " VALIDATE CONSTRAINT ");
    ph_buf_put_ident(&sql, constraint);
    if (ph_buf_ok(&sql))
        text = ph_arena_strdup(builder->arena, ph_buf_text(&sql));
    ph_buf_free(&sql);
    return text;
}

static struct ph_step_place
place_foreign_key(struct ph_step_builder *builder, const struct ph_archive_entry *entry,
                  const struct ph_constraint_fact *fact)
{
    const struct ph_rel_fact *rel = ph_ddl_fact_rel(&builder->facts, fact->table);
    const struct ph_rel_fact *ref = ph_ddl_fact_rel(&builder->facts, fact->ref);
    struct ph_step add = {
        .key = entry_key(builder, "fk", entry),
        .kind = PH_STEP_FK,
        .tables = {ph_builder_table_lock(rel, PH_LOCK_SHARE_ROW),
                   ph_builder_table_lock(ref, PH_LOCK_SHARE_ROW)},
        .n_tables = 2,
        .n_sql = 1,
    };
    struct ph_step validate = add;
    struct ph_step_place place;
    bool split =
        fact->validated && rel != NULL && ref != NULL && rel->kind == 'r' && ref->kind == 'r' &&
        (rel->bytes >= builder->params->split_fk_bytes || ph_builder_is_done(builder, add.key));

    add.sql = ph_builder_one_sql(builder, entry, entry->settings,
                                 split ? not_valid_sql(builder, entry->sql) : entry->sql);
    place.first = place.last = ph_builder_add_step(builder, add);
    place.is_rest = false;
    if (split) {
        validate.key = entry_key(builder, "validate", entry);
        validate.kind = PH_STEP_FK_VALIDATE;
        validate.bytes = rel->bytes;
        validate.tables[0].lock = PH_LOCK_SHARE_UPDATE;
        validate.tables[1].lock = PH_LOCK_ROW_SHARE;
        validate.sql =
            ph_builder_one_sql(builder, entry, "", validate_sql(builder, rel, fact->name));
        place.last = ph_builder_add_step(builder, validate);
        ph_builder_add_edge(builder, place.first, place.last);
    }
    ph_builder_wait_for_rows(builder, place.first, rel);
    if (ref != rel)
        ph_builder_wait_for_rows(builder, place.first, ref);
    return place;
}

static const struct ph_rel_fact *
table_of_entry(const struct ph_step_builder *builder, const struct ph_archive_entry *entry)
{
    const struct ph_index_fact *index = ph_ddl_fact_index(&builder->facts, entry->oid);
    const struct ph_constraint_fact *key = ph_ddl_fact_constraint(&builder->facts, entry->oid);

    if (strcmp(entry->desc, "INDEX") == 0 && index != NULL)
        return ph_ddl_fact_rel(&builder->facts, index->table);
    if (strcmp(entry->desc, "CONSTRAINT") == 0 && key != NULL)
        return ph_ddl_fact_rel(&builder->facts, key->table);
    return NULL;
}

static struct ph_step_place
place_attach(struct ph_step_builder *builder, const struct ph_archive_entry *entry)
{
    struct ph_step step = {
        .key = entry_key(builder, "attach", entry),
        .kind = PH_STEP_ATTACH,
        .sql = ph_builder_one_sql(builder, entry, entry->settings, entry->sql),
        .n_sql = 1,
    };

    for (uint32_t i = 0; i < entry->n_deps && step.n_tables == 0; i++) {
        const struct ph_archive_entry *dep = ph_archive_find(builder->archive, entry->deps[i]);
        const struct ph_rel_fact *rel = dep != NULL ? table_of_entry(builder, dep) : NULL;

        if (rel != NULL) {
            step.tables[0] = ph_builder_table_lock(rel, PH_LOCK_ATTACH);
            step.tables[0].whole_tree = true;
            step.n_tables = 1;
        }
    }
    uint32_t index = ph_builder_add_step(builder, step);
    return (struct ph_step_place){index, index, false};
}

/* The places of an entry's prerequisites: whether one of them is among the rest. */
static bool
depends_on_rest(const struct ph_step_builder *builder, const struct ph_archive_entry *entry)
{
    for (uint32_t i = 0; i < entry->n_deps; i++) {
        const struct ph_archive_entry *dep = ph_archive_find(builder->archive, entry->deps[i]);

        if (dep != NULL && builder->places[dep - builder->archive->entries].is_rest)
            return true;
    }
    return false;
}

static void
link_dependencies(struct ph_step_builder *builder, const struct ph_archive_entry *entry,
                  uint32_t first)
{
    for (uint32_t i = 0; i < entry->n_deps; i++) {
        const struct ph_archive_entry *dep = ph_archive_find(builder->archive, entry->deps[i]);

        if (dep != NULL)
            ph_builder_add_edge(builder, builder->places[dep - builder->archive->entries].last,
                                first);
    }
}

void
ph_builder_place_entry(struct ph_step_builder *builder, const struct ph_archive_entry *entry)
{
    struct ph_step_place *place = &builder->places[entry - builder->archive->entries];
    const struct ph_index_fact *index = ph_ddl_fact_index(&builder->facts, entry->oid);
    const struct ph_constraint_fact *constraint =
        ph_ddl_fact_constraint(&builder->facts, entry->oid);
    bool is_late = depends_on_rest(builder, entry);

    if (!is_late && strcmp(entry->desc, "INDEX") == 0 && index != NULL) {
        *place = place_index(builder, entry, index);
    } else if (!is_late && strcmp(entry->desc, "CONSTRAINT") == 0 && constraint != NULL) {
        *place = place_key(builder, entry, constraint);
    } else if (!is_late && strcmp(entry->desc, "FK CONSTRAINT") == 0 && constraint != NULL) {
        *place = place_foreign_key(builder, entry, constraint);
    } else if (!is_late && strcmp(entry->desc, "INDEX ATTACH") == 0) {
        *place = place_attach(builder, entry);
    } else {
        place->is_rest = true;
        add_rest(builder, entry, entry->sql);
        return;
    }
    link_dependencies(builder, entry, place->first);
}
