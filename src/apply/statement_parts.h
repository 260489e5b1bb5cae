/* The inner parts of making statements: which there will be (stages), and filling one. */
#ifndef PH_APPLY_STATEMENT_PARTS_H
#define PH_APPLY_STATEMENT_PARTS_H

#include "apply/fold_parts.h"
#include "apply/sql.h"
#include "apply/statement.h"

#define PH_PATTERN_ALL UINT32_MAX

/* Statements of one kind and text over a range of one table's entries. */
struct ph_stage {
    enum ph_apply_kind kind;
    uint32_t table; /* index of the state in the group */
    uint32_t first;
    uint32_t end;
    uint32_t pattern; /* of an UPDATE: which columns, PH_PATTERN_ALL */
    uint64_t change;
    uint32_t n_rows; /* of a COPY: all of them */
    bool is_single;
};

struct ph_apply_statements {
    struct ph_apply_limits limits;
    struct ph_fold *fold;
    struct ph_stage *stages;
    size_t n_stages;
    size_t stage_room;
    size_t at;          /* stage */
    uint32_t entry;     /* within the stage: the next to look at */
    int64_t copies;     /* of that entry that were sent */
    uint32_t rows_sent; /* of a COPY */
    uint32_t *order;    /* states by level */
    uint32_t order_room;
    uint64_t *patterns; /* column sets, one behind the other, each as long as its table needs */
    size_t n_pattern_words;
    size_t pattern_room;
    struct ph_buf *columns; /* the parameters' bytes */
    struct ph_span *params;
    struct ph_buf **targets; /* per column of the table: its parameter or NULL */
    bool *has_null;
    uint32_t column_room;
    struct ph_buf sql;
    size_t sql_stage;   /* + 1: that `sql` was made for */
    struct ph_buf data; /* of a COPY */
};

/* Fill `stages` of the group. */
ph_code ph_stages_make(struct ph_apply_statements *st, struct ph_error *err) PH_MUST_CHECK;
/* Which columns a partial tuple has, as a pattern's number. */
ph_code ph_stages_pattern(struct ph_apply_statements *st, const struct ph_apply_table *table,
                          const uint8_t *tuple, size_t first_word, uint32_t *out,
                          struct ph_error *err) PH_MUST_CHECK;

static inline struct ph_column_set
ph_stages_set(const struct ph_apply_statements *st, uint32_t pattern)
{
    return (struct ph_column_set){pattern == PH_PATTERN_ALL ? NULL : st->patterns + pattern};
}

/* Whether the entry has something to say in such a stage. */
static inline bool
ph_stages_takes(const struct ph_stage *stage, const struct ph_apply_table *table,
                const struct ph_fold_entry *entry)
{
    if (stage->is_single)
        return true;
    if (table->n_keys == 0)
        return stage->kind == PH_APPLY_DELETE ? entry->copies < 0 : entry->copies > 0;
    if (stage->kind == PH_APPLY_DELETE)
        return ph_fold_deletes(entry);
    if (stage->kind == PH_APPLY_UPDATE)
        return ph_fold_updates(entry) && entry->pattern == stage->pattern;
    return ph_fold_inserts(entry);
}

/* The number of rows an entry stands for in it. */
static inline int64_t
ph_stages_copies(const struct ph_apply_table *table, const struct ph_fold_entry *entry)
{
    if (table->n_keys > 0)
        return 1;
    return entry->copies < 0 ? -entry->copies : entry->copies;
}

#endif
