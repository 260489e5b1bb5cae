/*
 * Cutting pg_restore's script into entries (see archive_script.h).
 *
 * An entry starts with a comment that --verbose gives its dump id:
 *
 *   --
 *   -- TOC entry 215 (class 1259 OID 16386)
 *   -- Dependencies: 7
 *   -- Name: customers; Type: TABLE; Schema: app; Owner: o
 *   --
 *
 *   definition, verbatim as in the table of contents
 *
 *   ALTER TABLE ... OWNER TO ...;
 *   SETs for the next entry
 *
 * A function's body may contain such comments; it is part of the definition, which is skipped by
 * its known length before the next comment is looked for. psql's backslash lines end an entry.
 */
#include "pg/archive_script.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

#define HEADER_START "\n--\n-- TOC entry "
#define HEADER_END "\n--\n\n"

struct splitter {
    struct ph_archive *archive;
    const struct ph_toc_entry **toc_by_id;
    uint32_t n_toc;
    char *tablespace; /* the SET line in force, NULL none */
    char *access_method;
    const char *settings; /* both together */
    bool no_memory;
};

static int
compare_toc(const void *a, const void *b)
{
    uint32_t x = (*(const struct ph_toc_entry *const *)a)->dump_id;
    uint32_t y = (*(const struct ph_toc_entry *const *)b)->dump_id;

    return (x > y) - (x < y);
}

static int
compare_entries(const void *a, const void *b)
{
    uint32_t x = (*(const struct ph_archive_entry *const *)a)->dump_id;
    uint32_t y = (*(const struct ph_archive_entry *const *)b)->dump_id;

    return (x > y) - (x < y);
}

static const struct ph_toc_entry *
toc_find(const struct splitter *splitter, uint32_t dump_id)
{
    struct ph_toc_entry wanted = {.dump_id = dump_id};
    const struct ph_toc_entry *key = &wanted;
    const struct ph_toc_entry **found = bsearch(&key, splitter->toc_by_id, splitter->n_toc,
                                                sizeof *splitter->toc_by_id, compare_toc);
    return found != NULL ? *found : NULL;
}

static bool
starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void
put_setting(struct splitter *splitter, char **slot, const char *line, size_t len)
{
    struct ph_arena *arena = &splitter->archive->arena;

    *slot = ph_arena_strndup(arena, line, len);
    splitter->settings =
        ph_arena_printf(arena, "%s%s%s%s", splitter->tablespace != NULL ? splitter->tablespace : "",
                        splitter->tablespace != NULL ? "\n" : "",
                        splitter->access_method != NULL ? splitter->access_method : "",
                        splitter->access_method != NULL ? "\n" : "");
    if (splitter->settings == NULL) {
        splitter->no_memory = true;
        splitter->settings = "";
    }
}

/*
 * What follows a definition, [from, end): keeps statements, takes SETs out for the entries to come,
 * drops comments, and all that follows a backslash line. Returns the new end of the text.
 */
static char *
clean_rest(struct splitter *splitter, char *from, const char *end)
{
    char *to = from;
    const char *line = from;

    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *next = newline != NULL ? newline + 1 : end;
        size_t len = (size_t)((newline != NULL ? newline : end) - line);

        if (*line == '\\') {
            splitter->tablespace = NULL;
            splitter->access_method = NULL;
            splitter->settings = "";
            break;
        }
        if (starts_with(line, "SET default_tablespace = ")) {
            put_setting(splitter, &splitter->tablespace, line, len);
        } else if (starts_with(line, "SET default_table_access_method = ")) {
            put_setting(splitter, &splitter->access_method, line, len);
        } else if (!starts_with(line, "--")) {
            memmove(to, line, (size_t)(next - line));
            to += next - line;
        }
        line = next;
    }
    return to;
}

/* Comments have no section of their own: they follow what they are about. */
static enum ph_archive_part
part_of(const struct splitter *splitter, const struct ph_toc_entry *toc)
{
    bool is_note = strcmp(toc->desc, "COMMENT") == 0 || strcmp(toc->desc, "SECURITY LABEL") == 0;
    bool is_acl = starts_with(toc->desc, "ACL") || strcmp(toc->desc, "DEFAULT ACL") == 0;

    if (starts_with(toc->desc, "DATABASE") ||
        ((is_note || is_acl) && starts_with(toc->tag, "DATABASE ")))
        return PH_PART_DATABASE;
    if (is_acl || toc->section == PH_TOC_POST_DATA)
        return PH_PART_POST_DATA;
    for (uint32_t i = 0; is_note && i < toc->n_deps; i++) {
        const struct ph_toc_entry *about = toc_find(splitter, toc->deps[i]);

        if (about != NULL && about->section == PH_TOC_POST_DATA)
            return PH_PART_POST_DATA;
    }
    return PH_PART_PRE_DATA;
}

static const char *
keep(struct splitter *splitter, const char *text)
{
    const char *copy = ph_arena_strdup(&splitter->archive->arena, text);

    splitter->no_memory = splitter->no_memory || copy == NULL;
    return copy != NULL ? copy : "";
}

static const uint32_t *
keep_deps(struct splitter *splitter, const struct ph_toc_entry *toc)
{
    uint32_t *copy = PH_ARENA_ARRAY(&splitter->archive->arena, uint32_t, (size_t)toc->n_deps + 1);

    if (copy == NULL)
        splitter->no_memory = true;
    else if (toc->n_deps > 0)
        memcpy(copy, toc->deps, toc->n_deps * sizeof *copy);
    return copy;
}

static void
add_entry(struct splitter *splitter, const struct ph_toc_entry *toc, const char *settings,
          const char *sql)
{
    struct ph_archive *archive = splitter->archive;
    struct ph_archive_entry *entry = &archive->entries[archive->n_entries];

    *entry = (struct ph_archive_entry){
        .dump_id = toc->dump_id,
        .class_oid = toc->class_oid,
        .oid = toc->oid,
        .desc = keep(splitter, toc->desc),
        .schema = keep(splitter, toc->schema),
        .tag = keep(splitter, toc->tag),
        .owner = keep(splitter, toc->owner),
        .part = part_of(splitter, toc),
        .deps = keep_deps(splitter, toc),
        .n_deps = toc->n_deps,
        .settings = settings,
        .sql = sql,
        .selected = true,
    };
    archive->by_id[archive->n_entries] = entry;
    archive->n_entries++;
    archive->fingerprint =
        ph_digest_key(archive->fingerprint, (struct ph_span){(const uint8_t *)sql, strlen(sql)});
}

/* One entry whose header starts at `header`; returns where the next header is searched from. */
static char *
split_entry(struct splitter *splitter, char *header, struct ph_error *err)
{
    uint32_t dump_id = (uint32_t)strtoul(header + strlen(HEADER_START), NULL, 10);
    const struct ph_toc_entry *toc = toc_find(splitter, dump_id);
    char *body = strstr(header + strlen(HEADER_START), HEADER_END);
    const char *settings = splitter->settings;
    char *rest;
    char *next;
    char *end;

    if (toc == NULL || body == NULL || splitter->archive->n_entries == splitter->n_toc) {
        PH_FAIL(err, PH_E_PROTOCOL, "pg_restore printed an entry %u that the archive lacks",
                dump_id);
        return NULL;
    }
    body += strlen(HEADER_END);
    rest = body;
    if (starts_with(body, toc->definition))
        rest += strlen(toc->definition);
    /* An empty text lets the header's last newline be the next one's first. */
    next = strstr(rest > body ? rest : body - 1, HEADER_START);
    if (next == NULL)
        next = rest + strlen(rest);
    end = clean_rest(splitter, rest, next);
    while (end > body && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    if (end > body)
        *end = '\0'; /* at most the newline that started the next header, which is found */
    add_entry(splitter, toc, settings, end > body ? body : "");
    return next;
}

static bool
init_splitter(struct splitter *splitter, struct ph_archive *archive, const struct ph_toc *toc)
{
    struct ph_arena *arena = &archive->arena;

    *splitter = (struct splitter){.archive = archive, .n_toc = toc->n_entries, .settings = ""};
    splitter->toc_by_id = PH_ARENA_ARRAY(arena, const struct ph_toc_entry *, toc->n_entries + 1u);
    archive->entries = PH_ARENA_ARRAY(arena, struct ph_archive_entry, toc->n_entries + 1);
    archive->by_id = PH_ARENA_ARRAY(arena, struct ph_archive_entry *, toc->n_entries + 1);
    if (splitter->toc_by_id == NULL || archive->entries == NULL || archive->by_id == NULL)
        return false;
    for (uint32_t i = 0; i < toc->n_entries; i++)
        splitter->toc_by_id[i] = &toc->entries[i];
    qsort(splitter->toc_by_id, toc->n_entries, sizeof *splitter->toc_by_id, compare_toc);
    archive->n_entries = 0;
    archive->fingerprint = 0;
    archive->database = keep(splitter, toc->database);
    return !splitter->no_memory;
}

ph_code
ph_archive_split(struct ph_archive *archive, const struct ph_toc *toc, struct ph_error *err)
{
    struct splitter splitter;
    char *at = (char *)archive->script.data;

    if (!init_splitter(&splitter, archive, toc))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the archive's entries");
    at = at != NULL ? strstr(at, HEADER_START) : NULL;
    while (at != NULL && *at != '\0' && !splitter.no_memory) {
        at = split_entry(&splitter, at, err);
        if (at == NULL)
            return PH_E_PROTOCOL;
    }
    if (splitter.no_memory)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the archive's entries");
    qsort(archive->by_id, archive->n_entries, sizeof *archive->by_id, compare_entries);
    return PH_OK;
}
