/*
 * The texts of the statements. A text depends on nothing but the table and which columns take part,
 * so that it can be prepared once and found again by its full text.
 *
 * Parameters are numbered by the columns that take part, in the order of table->columns: the key
 * comes first. Types are written by their catalog names (the SQL names `character` and `bit` would
 * mean a length of one), unnest stands in the select list (as a function in FROM it would spread
 * composites over the following columns).
 */
#ifndef PH_APPLY_SQL_H
#define PH_APPLY_SQL_H

#include "apply/table.h"

/* Which columns an UPDATE carries new values for; a bit per column. */
struct ph_column_set {
    const uint64_t *words; /* NULL: all */
};

static inline bool
ph_column_set_has(struct ph_column_set set, uint32_t column)
{
    return set.words == NULL || (set.words[column / 64] >> column % 64 & 1) != 0;
}

void ph_sql_put_insert(const struct ph_apply_table *table, struct ph_buf *out);
/*
 * By key: the keys. By row: all columns, then how many of each image (int8), then its number
 * (int8).
 */
void ph_sql_put_delete(const struct ph_apply_table *table, struct ph_buf *out);
/* Keys, then the columns of the set outside of the key. */
void ph_sql_put_update(const struct ph_apply_table *table, struct ph_column_set set,
                       struct ph_buf *out);
/*
 * A change of the key: old keys, then the columns of the set, all new keys among them. Without a
 * key, of one row where it is: its old image, how many they are (1, for ph_sql_put_find), all new.
 */
void ph_sql_put_move(const struct ph_apply_table *table, struct ph_column_set set,
                     struct ph_buf *out);
void ph_sql_put_copy(const struct ph_apply_table *table, struct ph_buf *out);
/*
 * For a statement of n rows: the numbers, from 0, of those that the target does not have
 * (`present` false) or has. The same first parameters as the statement's.
 */
enum ph_sql_find { PH_SQL_FIND_MISSING, PH_SQL_FIND_PRESENT };
void ph_sql_put_find(const struct ph_apply_table *table, enum ph_sql_find find, uint32_t n_rows,
                     struct ph_buf *out);
/* One statement for all of them; none of them with CASCADE, the source has named what it took. */
void ph_sql_put_truncate(const struct ph_apply_table *const *tables, uint32_t n_tables,
                         const char *others, bool restart_identity, struct ph_buf *out);

#endif
