/*
 * Private to ddl_step_build.c and ddl_step_place.c: the state while steps are made of an archive.
 */
#ifndef PH_PG_DDL_STEP_BUILD_H
#define PH_PG_DDL_STEP_BUILD_H

#include "pg/ddl_facts.h"
#include "pg/ddl_step.h"

#define PH_NO_STEP UINT32_MAX

struct ph_step_edge {
    uint32_t from;
    uint32_t to;
};

/* What became of an archive entry. */
struct ph_step_place {
    uint32_t first; /* step that its prerequisites go to */
    uint32_t last;  /* step that its dependents wait for */
    bool is_rest;
};

struct ph_step_builder {
    const struct ph_steps_params *params;
    const struct ph_archive *archive;
    struct ph_steps *out;
    struct ph_arena *arena; /* out's */
    struct ph_arena scratch;
    struct ph_ddl_facts facts;
    struct ph_step_place *places; /* by entry */
    struct ph_step_edge *edges;
    uint32_t n_edges;
    uint32_t cap_edges;
    uint32_t cap_waits;
    uint32_t cap_steps;
    struct ph_step_sql *rest;
    uint32_t n_rest;
    bool failed; /* memory ran out */
};

/* Makes the steps of one entry, or adds it to the rest. Entries come in the archive's order. */
void ph_builder_place_entry(struct ph_step_builder *builder, const struct ph_archive_entry *entry);

/* The following note a lack of memory in `failed` and then do nothing more. */
void ph_builder_add_edge(struct ph_step_builder *builder, uint32_t from, uint32_t to);
/* Nothing when no rows of that table are to come. */
void ph_builder_add_wait(struct ph_step_builder *builder, uint32_t step, ph_oid table);
/* The rows of a table, and of all partitions when it is partitioned. NULL: nothing. */
void ph_builder_wait_for_rows(struct ph_step_builder *builder, uint32_t step,
                              const struct ph_rel_fact *rel);
/* Index of the new step or PH_NO_STEP. Strings in it are the arena's. */
uint32_t ph_builder_add_step(struct ph_step_builder *builder, struct ph_step step);
const struct ph_step_sql *ph_builder_one_sql(struct ph_step_builder *builder,
                                             const struct ph_archive_entry *entry,
                                             const char *settings, const char *sql);
struct ph_step_table ph_builder_table_lock(const struct ph_rel_fact *rel, enum ph_step_lock lock);
bool ph_builder_is_done(const struct ph_step_builder *builder, const char *key);

#endif
