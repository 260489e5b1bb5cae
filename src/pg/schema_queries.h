/*
 * The queries of schema_compare: one per kind of object.
 *
 * Each gives s (schema), r (relation), i (identity), d (definition), those that refer to another
 * relation its rs (schema) and rr (name), '' when there is none. They may use
 *   $1::bool  both servers are of one major (definitions printed by the server are comparable)
 *   $2::bool  tablespaces count
 */
#ifndef PH_PG_SCHEMA_QUERIES_H
#define PH_PG_SCHEMA_QUERIES_H

enum ph_schema_group {
    PH_SCHEMA_ALWAYS,
    PH_SCHEMA_OWNER,
    PH_SCHEMA_ACL,
    PH_SCHEMA_COMMENT,
    PH_SCHEMA_PUBLICATION,
    PH_SCHEMA_PUBLICATION_COMMENT
};

struct ph_schema_query {
    const char *kind;
    enum ph_schema_group group;
    const char *sql;
    enum { PH_SCHEMA_REFERS_TO_NONE, PH_SCHEMA_REFERS } refers;
};

/* Ended by a NULL kind. */
extern const struct ph_schema_query ph_schema_queries[];

#endif
