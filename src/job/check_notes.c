/*
 * Notes about partitions of one table that say the same of each: told once, of the table, with the
 * number of partitions. Their texts are the same when the partition's name is taken out of them.
 */
#include "job/check_notes.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

#define NAME_SIZE 300
#define TEXT_LIMIT ((size_t)1 << 20)
#define ANY_NAME "…"

/* Names of a partition as texts have them. */
struct names {
    char plain[NAME_SIZE];
    char quoted[NAME_SIZE];
};

/* The partition that the finding is about, NULL: none. *rest: what of the object is behind it. */
static const struct ph_rel *
partition_of(const struct ph_catalog *catalog, const struct ph_finding *finding, const char **rest)
{
    const char *arrow = strstr(finding->object, " -> ");
    size_t len = arrow != NULL ? (size_t)(arrow - finding->object) : strlen(finding->object);
    char label[NAME_SIZE];

    *rest = finding->object + len;
    if (finding->severity != PH_FINDING_NOTE || len >= sizeof label)
        return NULL;
    memcpy(label, finding->object, len);
    label[len] = '\0';
    for (char *dot = strchr(label, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        *dot = '\0';
        const struct ph_rel *rel = ph_catalog_rel_named(catalog, label, dot + 1);
        *dot = '.';
        if (rel != NULL)
            return rel->is_partition ? rel : NULL;
    }
    return NULL;
}

static void
name_partition(const struct ph_rel *rel, struct names *out)
{
    struct ph_buf quoted;

    snprintf(out->plain, sizeof out->plain, "%s.%s", rel->schema, rel->name);
    ph_buf_init(&quoted, sizeof out->quoted);
    ph_buf_put_qualified(&quoted, rel->schema, rel->name);
    snprintf(out->quoted, sizeof out->quoted, "%s", ph_buf_ok(&quoted) ? ph_buf_text(&quoted) : "");
    ph_buf_free(&quoted);
}

/* Without the names. */
static void
put_text(const char *text, const struct names *names, struct ph_buf *out)
{
    size_t plain = strlen(names->plain);
    size_t quoted = strlen(names->quoted);

    while (*text != '\0') {
        if (plain > 0 && strncmp(text, names->plain, plain) == 0) {
            ph_buf_puts(out, ANY_NAME);
            text += plain;
        } else if (quoted > 0 && strncmp(text, names->quoted, quoted) == 0) {
            ph_buf_puts(out, ANY_NAME);
            text += quoted;
        } else {
            ph_buf_putc(out, *text++);
        }
    }
}

static const char *
keep_text(struct ph_arena *arena, const char *text, const struct names *names)
{
    struct ph_buf out;

    ph_buf_init(&out, TEXT_LIMIT);
    put_text(text, names, &out);
    const char *kept = ph_buf_ok(&out) ? ph_arena_strdup(arena, ph_buf_text(&out)) : NULL;
    ph_buf_free(&out);
    return kept;
}

static bool
is_alike(const struct ph_alike *group, const struct ph_alike *other)
{
    return group->root != NULL && group->root == other->root &&
           strcmp(group->rest, other->rest) == 0 &&
           strcmp(group->finding->kind, other->finding->kind) == 0 &&
           strcmp(group->cause, other->cause) == 0 && strcmp(group->cure, other->cure) == 0;
}

/* root NULL: it stands for itself. */
static void
describe(const struct ph_catalog *catalog, const struct ph_finding *finding, struct ph_arena *arena,
         struct ph_alike *out)
{
    struct names names;
    const char *rest;
    const struct ph_rel *rel = partition_of(catalog, finding, &rest);

    *out = (struct ph_alike){.finding = finding, .rest = rest, .cause = "", .cure = "", .n = 1};
    if (rel == NULL)
        return;
    name_partition(rel, &names);
    const char *cause = keep_text(arena, finding->cause, &names);
    const char *cure = keep_text(arena, finding->cure, &names);
    if (cause == NULL || cure == NULL)
        return;
    out->cause = cause;
    out->cure = cure;
    out->root = ph_catalog_rel(catalog, rel->root_oid);
}

struct ph_alike *
ph_check_find_alike(const struct ph_catalog *catalog, const struct ph_findings *findings,
                    struct ph_arena *arena, uint32_t *n)
{
    struct ph_alike *groups = PH_ARENA_ARRAY(arena, struct ph_alike, (size_t)findings->n + 1);

    *n = 0;
    for (uint32_t i = 0; groups != NULL && i < findings->n; i++) {
        struct ph_alike *last = &groups[*n];
        uint32_t at = 0;
        describe(catalog, &findings->items[i], arena, last);
        while (at < *n && (last->root == NULL || !is_alike(&groups[at], last)))
            at++;
        if (at < *n)
            groups[at].n++;
        else
            ++*n;
    }
    return groups;
}
