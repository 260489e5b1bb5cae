/*
 * The catalog of one database as pghaul needs it: immutable nouns, read once under one snapshot,
 * owned by an arena, shared by all threads. Everything refers by OID; names are for people and SQL.
 */
#ifndef PH_MODEL_CATALOG_H
#define PH_MODEL_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

typedef uint32_t ph_oid;

struct ph_attribute { /* of a composite type, in attnum order, dropped ones included */
    const char *name;
    ph_oid type_oid;
    bool dropped;
};

struct ph_type {
    ph_oid oid;
    const char *schema;
    const char *name;
    char kind;        /* typtype: b c d e p r m */
    char category;    /* typcategory */
    ph_oid elem_oid;  /* true arrays (typsubscript array_subscript_handler / typlen -1): element */
    ph_oid array_oid; /* the type's own array type or 0 */
    ph_oid base_oid;  /* domain: what it is over */
    int32_t typmod;   /* domain: the length or precision of what it is over; -1: none */
    bool not_null;    /* domain: NOT NULL; one that it is over may be so too */
    ph_oid relid;     /* composite: its relation */
    ph_oid subtype_oid;    /* range and multirange: element (for multirange: the range type) */
    bool has_binary;       /* typsend and typreceive are there */
    const char *extension; /* extension it belongs to or NULL */
    const char *extension_version; /* with extension */
    const char *const *labels;     /* enum labels in sort order */
    uint32_t n_labels;
    const struct ph_attribute *attributes; /* composite */
    uint32_t n_attributes; /* 0 for the row type of a table that nothing has as its type */
};

struct ph_column { /* live columns only, in attnum order */
    const char *name;
    int16_t attnum;
    ph_oid type_oid;
    int32_t typmod;        /* -1 also of a domain that has one: ph_type_column_typmod */
    const char *type_text; /* format_type(), for messages */
    bool not_null;
    bool has_default;
    char generated;        /* '\0', 's' stored, 'v' virtual */
    char identity;         /* '\0', 'a' always, 'd' by default */
    bool nondeterministic; /* its collation calls different bytes equal */
    bool own_collation;    /* one that somebody made in this database */
};

struct ph_index {
    ph_oid oid;
    const char *name;
    bool is_unique;
    bool is_primary;
    bool is_valid;
    bool is_immediate; /* not DEFERRABLE */
    bool is_partial;
    bool has_expressions;
    bool is_exclusion;          /* of an exclusion constraint, or of a key WITHOUT OVERLAPS */
    bool nulls_are_equal;       /* NULLS NOT DISTINCT */
    bool is_identity;           /* chosen by REPLICA IDENTITY USING INDEX */
    uint64_t bytes;             /* an estimate where the table is below 1 MB */
    const int16_t *key_attnums; /* key columns only, INCLUDE left out; 0 = expression */
    uint32_t n_keys;
    const int16_t *expression_attnums; /* columns that its expressions read; unique and exclusion */
    uint32_t n_expression_attnums;
};

enum ph_rel_kind {
    PH_REL_TABLE = 'r',
    PH_REL_PARTITIONED = 'p',
    PH_REL_FOREIGN = 'f',
    PH_REL_MATVIEW = 'm',
    PH_REL_SEQUENCE = 'S',
    PH_REL_VIEW = 'v'
};

struct ph_rel {
    ph_oid oid;
    const char *schema;
    const char *name;
    enum ph_rel_kind kind;
    char persistence;      /* p u t */
    char replica_identity; /* d n f i */
    const char *owner;
    const char *access_method; /* "heap"; NULL for those without */
    const char *extension;     /* member of this extension or NULL */
    bool is_config;            /* extension configuration table (pg_extension_config_dump) */
    const char *config_where;  /* its condition, may be "" */
    bool is_partition;
    ph_oid parent_oid;         /* partition: its parent */
    ph_oid root_oid;           /* partition: topmost root; otherwise own oid */
    const char *partition_key; /* partitioned: pg_get_partkeydef */
    const char *partition_bound;
    bool has_inheritance_children; /* plain inheritance */
    bool rls_enabled;
    bool rls_forced;
    bool rls_hides; /* row_security_active() for the reading role */
    bool can_read;  /* SELECT right; on the target: can_write INSERT + owner */
    bool is_owned;  /* pg_has_role(owner, 'USAGE') */
    bool has_user_triggers;
    bool has_always_triggers; /* ENABLE ALWAYS / REPLICA: fire even under replica role */
    uint64_t pages;           /* of the main fork, pg_relation_size / 8192 */
    double tuples;            /* reltuples, -1 when never analysed */
    uint32_t filenode;        /* another one: it was rewritten */
    uint64_t bytes;           /* heap and TOAST, without maps and indexes */
    uint64_t toast_bytes;
    const struct ph_column *columns;
    uint32_t n_columns;
    uint32_t n_dropped; /* dropped columns it still carries */
    const struct ph_index *indexes;
    uint32_t n_indexes;
};

struct ph_foreign_key { /* those that partitions have from their parent are left out */
    ph_oid oid;
    const char *name;
    ph_oid rel_oid;             /* the referencing table */
    ph_oid ref_oid;             /* the referenced one */
    ph_oid ref_index;           /* its index that the key refers to */
    const int16_t *attnums;     /* of the referencing table */
    const int16_t *ref_attnums; /* of the referenced one, in the same order */
    uint32_t n_attnums;
    bool deferrable;
    bool validated;
    bool enforced;
    char on_delete; /* confdeltype: a r c n d */
    char on_update; /* confupdtype, the same letters */
};

struct ph_sequence_state { /* of a sequence */
    ph_oid oid;
    const char *schema;
    const char *name;
    int64_t last_value;
    bool is_called;
    ph_oid owned_by; /* table of the owning column or 0 */
    bool can_read;
};

struct ph_extension {
    const char *name;
    const char *version;
    const char *schema;
};

struct ph_catalog {
    struct ph_arena arena; /* owns everything below */
    int version_num;
    char system_id[24];
    char database[64 * 4];
    char encoding[32];
    char collate[64];
    char ctype[64];
    char lc_monetary[64]; /* the fraction digits of money hang on it */
    char locale_provider; /* c i b; '\0' before 15 */
    bool is_standby;
    bool is_superuser;
    bool can_set_replica_role; /* tried, not guessed */
    const char *user;
    struct ph_rel *rels; /* ordered by oid */
    uint32_t n_rels;
    struct ph_type *types; /* ordered by oid; all types */
    uint32_t n_types;
    struct ph_foreign_key *foreign_keys;
    uint32_t n_foreign_keys;
    struct ph_sequence_state *sequences;
    uint32_t n_sequences;
    struct ph_extension *extensions;
    uint32_t n_extensions;
    const char *const *schemas; /* users' schemas, by name; empty ones too */
    uint32_t n_schemas;
    uint64_t large_objects; /* their number */
};

/* Binary search; NULL when absent. */
const struct ph_rel *ph_catalog_rel(const struct ph_catalog *catalog, ph_oid oid);
/* A foreign key that is enforced, and refers to the table that has it, or to one of the same
 * partition tree. */
bool ph_catalog_is_own_key(const struct ph_catalog *catalog, const struct ph_foreign_key *key);
/* The relation is `root`, or a partition of it on whatever level. */
bool ph_catalog_is_within(const struct ph_catalog *catalog, ph_oid oid, ph_oid root);
/* Rows of the one may be rows of the other: they are the same, or one is a partition of the other.
 */
bool ph_catalog_is_related(const struct ph_catalog *catalog, const struct ph_rel *a,
                           const struct ph_rel *b);
const struct ph_type *ph_catalog_type(const struct ph_catalog *catalog, ph_oid oid);
/* Linear; NULL when absent. Any kind of relation. */
const struct ph_rel *ph_catalog_rel_named(const struct ph_catalog *catalog, const char *schema,
                                          const char *name);
const struct ph_column *ph_rel_column_named(const struct ph_rel *rel, const char *name);
const struct ph_column *ph_rel_column_at(const struct ph_rel *rel, int16_t attnum);
/*
 * What rows of `top` may be called by: a partitioned table and all that is under it, one after the
 * other, any other table itself. `*at` begins at 0; NULL: no more.
 */
const struct ph_rel *ph_catalog_tree_next(const struct ph_catalog *catalog,
                                          const struct ph_rel *top, uint32_t *at);
void ph_catalog_reset(struct ph_catalog *catalog);

#endif
