#include "model/identity.h"

#include <stddef.h>

/* From here on the server can publish stored generated columns, and has virtual ones. */
#define PUBLISHES_GENERATED 180000

static bool
has_generated_key(const struct ph_rel *rel, const struct ph_index *index)
{
    for (uint32_t i = 0; i < index->n_keys; i++) {
        const struct ph_column *column = ph_rel_column_at(rel, index->key_attnums[i]);
        if (column != NULL && column->generated != '\0')
            return true;
    }
    return false;
}

static bool
has_generated(const struct ph_rel *rel, char kind)
{
    for (uint32_t i = 0; i < rel->n_columns; i++) {
        if (rel->columns[i].generated == kind)
            return true;
    }
    return false;
}

/* What the server takes, as REPLICA IDENTITY USING INDEX or as the key of DEFAULT. */
static bool
is_fit(const struct ph_index *index)
{
    return index->is_unique && index->is_valid && index->is_immediate && !index->is_partial &&
           !index->has_expressions;
}

static const struct ph_index *
find_index(const struct ph_rel *rel, bool (*is_it)(const struct ph_index *index))
{
    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        if (is_it(&rel->indexes[i]))
            return &rel->indexes[i];
    }
    return NULL;
}

static bool
is_primary(const struct ph_index *index)
{
    return index->is_primary && index->is_valid;
}

static bool
is_identity(const struct ph_index *index)
{
    return index->is_identity && is_fit(index);
}

static enum ph_identity
full_identity(const struct ph_rel *rel, int version)
{
    return version >= PUBLISHES_GENERATED && has_generated(rel, 'v') ? PH_IDENTITY_GENERATED
                                                                     : PH_IDENTITY_FULL;
}

/* DEFAULT or USING INDEX. */
static enum ph_identity
key_identity(const struct ph_rel *rel, int version, const struct ph_index **index)
{
    bool is_default = rel->replica_identity == 'd';

    *index = find_index(rel, is_default ? is_primary : is_identity);
    if (*index == NULL)
        return is_default ? PH_IDENTITY_NONE : PH_IDENTITY_LOST_INDEX;
    if (!(*index)->is_immediate)
        return PH_IDENTITY_DEFERRABLE;
    if (version < PUBLISHES_GENERATED && has_generated_key(rel, *index))
        return PH_IDENTITY_GENERATED;
    return is_default ? PH_IDENTITY_KEY : PH_IDENTITY_INDEX;
}

enum ph_identity
ph_rel_identity(const struct ph_rel *rel, int version, const struct ph_index **index)
{
    const struct ph_index *found = NULL;
    enum ph_identity identity = PH_IDENTITY_NOTHING;

    if (rel->replica_identity == 'f')
        identity = full_identity(rel, version);
    else if (rel->replica_identity != 'n')
        identity = key_identity(rel, version, &found);
    if (index != NULL)
        *index = found;
    return identity;
}

bool
ph_identity_is_usable(enum ph_identity identity)
{
    return identity <= PH_IDENTITY_FULL;
}

const char *
ph_identity_reason(enum ph_identity identity)
{
    switch (identity) {
    case PH_IDENTITY_KEY:
    case PH_IDENTITY_INDEX:
    case PH_IDENTITY_FULL:
        break;
    case PH_IDENTITY_NONE:
        return "it has no primary key";
    case PH_IDENTITY_NOTHING:
        return "its replica identity is NOTHING";
    case PH_IDENTITY_LOST_INDEX:
        return "the index of its replica identity is gone or not valid";
    case PH_IDENTITY_DEFERRABLE:
        return "its primary key is DEFERRABLE";
    case PH_IDENTITY_GENERATED:
        return "its replica identity holds a generated column that the stream does not bring";
    }
    return "";
}

bool
ph_rel_identity_needs_generated(const struct ph_rel *rel, int version)
{
    const struct ph_index *index;
    enum ph_identity identity = ph_rel_identity(rel, version, &index);

    if (version < PUBLISHES_GENERATED)
        return false;
    return identity == PH_IDENTITY_FULL ? has_generated(rel, 's')
                                        : index != NULL && has_generated_key(rel, index);
}

static bool
is_not_null(const struct ph_rel *rel, const struct ph_index *index)
{
    for (uint32_t i = 0; i < index->n_keys; i++) {
        const struct ph_column *column = ph_rel_column_at(rel, index->key_attnums[i]);
        if (column == NULL || !column->not_null)
            return false;
    }
    return true;
}

static bool
is_candidate(const struct ph_rel *rel, int version, const struct ph_index *index)
{
    return is_fit(index) && is_not_null(rel, index) &&
           (version >= PUBLISHES_GENERATED || !has_generated_key(rel, index));
}

/* The primary key, else the narrowest. */
const struct ph_index *
ph_rel_identity_candidate(const struct ph_rel *rel, int version)
{
    const struct ph_index *best = NULL;

    for (uint32_t i = 0; i < rel->n_indexes; i++) {
        const struct ph_index *index = &rel->indexes[i];
        if (!is_candidate(rel, version, index))
            continue;
        if (index->is_primary)
            return index;
        if (best == NULL || index->n_keys < best->n_keys)
            best = index;
    }
    return best;
}

enum ph_identity_cure
ph_rel_identity_cure(const struct ph_rel *rel, int version, enum ph_identity_need need,
                     struct ph_buf *sql)
{
    const struct ph_index *index =
        need == PH_NEED_KEY ? ph_rel_identity_candidate(rel, version) : NULL;

    if (index == NULL && full_identity(rel, version) != PH_IDENTITY_FULL)
        return PH_CURE_NONE;
    ph_buf_puts(sql, "ALTER TABLE ONLY ");
    ph_buf_put_qualified(sql, rel->schema, rel->name);
    ph_buf_puts(sql, " REPLICA IDENTITY ");
    if (index == NULL) {
        ph_buf_puts(sql, "FULL");
        return PH_CURE_FULL;
    }
    if (index->is_primary) {
        ph_buf_puts(sql, "DEFAULT");
        return PH_CURE_KEY;
    }
    ph_buf_puts(sql, "USING INDEX ");
    ph_buf_put_ident(sql, index->name);
    return PH_CURE_INDEX;
}
