#include "spool/schema.h"

#include <stdlib.h>
#include <string.h>

#include "wire/spool_frame.h"

#define BUCKETS 1024u

struct ph_definition {
    struct ph_definition *next;
    uint64_t object;
    uint64_t sequence;
    uint32_t xid; /* 0: holds for all */
    uint32_t len;
    uint8_t bytes[];
};

static uint32_t
bucket_of(uint64_t object)
{
    return (uint32_t)((object * 0x9e3779b97f4a7c15u) >> 32) % BUCKETS;
}

void
ph_schema_clear(struct ph_schema *schema)
{
    for (uint32_t i = 0; schema->buckets != NULL && i < BUCKETS; i++) {
        while (schema->buckets[i] != NULL) {
            struct ph_definition *next = schema->buckets[i]->next;

            free(schema->buckets[i]);
            schema->buckets[i] = next;
        }
    }
    free(schema->buckets);
    *schema = (struct ph_schema){0};
}

static void
drop(struct ph_schema *schema, struct ph_definition **link)
{
    struct ph_definition *gone = *link;

    schema->n_global -= gone->xid == 0;
    *link = gone->next;
    free(gone);
}

/* What is older than the one that holds for all now can not come to hold any more. */
static void
drop_older(struct ph_schema *schema, uint64_t object, uint64_t sequence)
{
    struct ph_definition **link = &schema->buckets[bucket_of(object)];

    while (*link != NULL) {
        if ((*link)->object == object && (*link)->sequence < sequence)
            drop(schema, link);
        else
            link = &(*link)->next;
    }
}

static void
drop_same(struct ph_schema *schema, uint64_t object, uint32_t xid)
{
    struct ph_definition **link = &schema->buckets[bucket_of(object)];

    while (*link != NULL && ((*link)->object != object || (*link)->xid != xid))
        link = &(*link)->next;
    if (*link != NULL)
        drop(schema, link);
}

bool
ph_schema_put(struct ph_schema *schema, uint64_t object, uint32_t xid, struct ph_span bytes)
{
    if (schema->buckets == NULL)
        schema->buckets = calloc(BUCKETS, sizeof(struct ph_definition *));
    struct ph_definition *definition = malloc(sizeof *definition + bytes.len);
    if (schema->buckets == NULL || definition == NULL) {
        free(definition);
        return false;
    }
    *definition =
        (struct ph_definition){NULL, object, ++schema->sequence, xid, (uint32_t)bytes.len};
    memcpy(definition->bytes, bytes.data, bytes.len);
    if (xid == 0)
        drop_older(schema, object, definition->sequence);
    else
        drop_same(schema, object, xid);
    struct ph_definition **bucket = &schema->buckets[bucket_of(object)];
    definition->next = *bucket;
    *bucket = definition;
    schema->n_global += xid == 0;
    return true;
}

void
ph_schema_write(const struct ph_schema *schema, uint32_t xid, struct ph_buf *out)
{
    uint8_t prefix[PH_SPOOL_MESSAGE_PREFIX];

    for (uint32_t i = 0; schema->buckets != NULL && i < BUCKETS; i++) {
        for (const struct ph_definition *at = schema->buckets[i]; at != NULL; at = at->next) {
            if (at->xid != xid)
                continue;
            ph_spool_message_prefix(PH_SPOOL_SCHEMA, at->len, prefix);
            ph_buf_append(out, prefix, sizeof prefix);
            ph_buf_append(out, at->bytes, at->len);
        }
    }
}

void
ph_schema_commit(struct ph_schema *schema, uint32_t xid)
{
    for (uint32_t i = 0; schema->buckets != NULL && i < BUCKETS; i++) {
        struct ph_definition *at = schema->buckets[i];

        while (at != NULL && at->xid != xid)
            at = at->next;
        if (at == NULL)
            continue;
        at->xid = 0;
        schema->n_global++;
        drop_older(schema, at->object, at->sequence);
        i--; /* the chain is another now */
    }
}

void
ph_schema_forget(struct ph_schema *schema, uint32_t xid)
{
    for (uint32_t i = 0; schema->buckets != NULL && i < BUCKETS; i++) {
        struct ph_definition **link = &schema->buckets[i];

        while (*link != NULL) {
            if ((*link)->xid == xid)
                drop(schema, link);
            else
                link = &(*link)->next;
        }
    }
}
