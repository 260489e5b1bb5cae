/*
 * Selection by closure over dependencies (see archive_select.h).
 *
 * Entries are of four roles, or none (what a job has made itself). Relations are in when selected.
 * Supports (types, functions, schemas, sequences, ...) are in when their schema is, or when
 * something that is in needs them. Parts (an index, a trigger) are in when all relations and parts
 * they depend on are; they pull supports. Notes (comments, grants) are in when all they are about
 * is. What depends on a relation that is out is out, but for selected tables: a partition stays, as
 * a table of its own, when its parent is out.
 */
#include "pg/archive_select.h"

#include <string.h>

#include "base/buf.h"

enum role { ROLE_RELATION, ROLE_SUPPORT, ROLE_PART, ROLE_NOTE, ROLE_NONE };

#define NO_ENTRY UINT32_MAX
#define HIDDEN (UINT32_MAX - 1) /* for out_by: kept out by a relation that is in no archive */

struct chooser {
    struct ph_archive *archive;
    const struct ph_archive_selection *selection;
    enum role *roles;
    uint32_t *out_by;  /* by entry: the relation that keeps it out, NO_ENTRY none */
    uint32_t *without; /* by entry: the same, because its second half is out */
    uint32_t *stack;
};

static bool
is_one_of(const char *desc, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (strcmp(desc, *list) == 0)
            return true;
    }
    return false;
}

/* Made by a job that follows, on the source; the tag of its tables begins with its name. */
static bool
is_own_publication(const struct ph_archive_entry *entry)
{
    static const char own[] = "pghaul_";

    return strncmp(entry->desc, "PUBLICATION", strlen("PUBLICATION")) == 0 &&
           strncmp(entry->tag, own, strlen(own)) == 0;
}

static enum role
role_of(const struct ph_archive_entry *entry)
{
    static const char *const relations[] = {"TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE",
                                            NULL};
    static const char *const parts[] = {"INDEX",
                                        "CONSTRAINT",
                                        "FK CONSTRAINT",
                                        "CHECK CONSTRAINT",
                                        "TRIGGER",
                                        "RULE",
                                        "POLICY",
                                        "ROW SECURITY",
                                        "DEFAULT",
                                        "TABLE ATTACH",
                                        "INDEX ATTACH",
                                        "SEQUENCE OWNED BY",
                                        "STATISTICS",
                                        "DEFAULT ACL",
                                        "PUBLICATION TABLE",
                                        "PUBLICATION TABLES IN SCHEMA",
                                        NULL};
    static const char *const notes[] = {"COMMENT", "ACL", "ACL LANGUAGE", "SECURITY LABEL", NULL};

    if (is_own_publication(entry))
        return ROLE_NONE;
    if (is_one_of(entry->desc, relations))
        return ROLE_RELATION;
    if (is_one_of(entry->desc, parts))
        return ROLE_PART;
    return is_one_of(entry->desc, notes) ? ROLE_NOTE : ROLE_SUPPORT;
}

static uint32_t
index_of(const struct chooser *chooser, uint32_t dump_id)
{
    const struct ph_archive_entry *entry = ph_archive_find(chooser->archive, dump_id);

    return entry != NULL ? (uint32_t)(entry - chooser->archive->entries) : NO_ENTRY;
}

/* Selected by name, whatever it depends on. */
static bool
is_asked_for(const struct chooser *chooser, uint32_t index)
{
    const struct ph_archive_selection *selection = chooser->selection;
    const struct ph_archive_entry *entry = &chooser->archive->entries[index];
    bool is_schema = strcmp(entry->desc, "SCHEMA") == 0;

    if (chooser->roles[index] == ROLE_RELATION || strcmp(entry->desc, "SEQUENCE") == 0)
        return selection->has_rel(selection->arg, entry->oid);
    if (chooser->roles[index] != ROLE_SUPPORT)
        return false;
    if (is_schema || entry->schema[0] != '\0')
        return selection->has_schema(selection->arg, is_schema ? entry->tag : entry->schema);
    return selection->globals;
}

/* As pg_dump writes a name: quoted only if need be. Keywords are quoted, which only it knows. */
static bool
is_plain_name(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789$")] == '\0' &&
           strchr("0123456789$", name[0]) == NULL;
}

static bool
mentions_name(const char *sql, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = strstr(sql, name); at != NULL; at = strstr(at + 1, name)) {
        bool starts = at == sql || at[-1] == ' ';

        if (starts && at[len] != '\0' && strchr("( ;\n", at[len]) != NULL)
            return true;
    }
    return false;
}

/* Whether the text names the relation, in any of the ways its two parts may be quoted. */
static bool
mentions(const char *sql, const struct ph_rel *rel)
{
    bool found = false;

    for (int form = 0; form < 4 && !found; form++) {
        bool bare_schema = (form & 1) != 0;
        bool bare_name = (form & 2) != 0;
        struct ph_buf name;

        if ((bare_schema && !is_plain_name(rel->schema)) ||
            (bare_name && !is_plain_name(rel->name)))
            continue;
        ph_buf_init(&name, 1024);
        if (bare_schema)
            ph_buf_puts(&name, rel->schema);
        else
            ph_buf_put_ident(&name, rel->schema);
        ph_buf_putc(&name, '.');
        if (bare_name)
            ph_buf_puts(&name, rel->name);
        else
            ph_buf_put_ident(&name, rel->name);
        found = mentions_name(sql, ph_buf_text(&name));
        ph_buf_free(&name);
    }
    return found;
}

/* Attaching an index needs two; the parent's is not in the archive when its table is hidden. */
static bool
lacks_parent_index(const struct chooser *chooser, const struct ph_archive_entry *entry)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < entry->n_deps; k++) {
        const struct ph_archive_entry *dep = ph_archive_find(chooser->archive, entry->deps[k]);

        n += dep != NULL &&
             (strcmp(dep->desc, "INDEX") == 0 || strcmp(dep->desc, "CONSTRAINT") == 0);
    }
    return n < 2;
}

/* A foreign key to, or the attaching of a partition to, a relation that was not dumped. */
static bool
refers_to_hidden(const struct chooser *chooser, const struct ph_archive_entry *entry)
{
    const struct ph_archive_selection *selection = chooser->selection;

    if (selection->n_hidden > 0 && strcmp(entry->desc, "INDEX ATTACH") == 0)
        return lacks_parent_index(chooser, entry);
    if (strcmp(entry->desc, "FK CONSTRAINT") != 0 && strcmp(entry->desc, "TABLE ATTACH") != 0)
        return false;
    for (uint32_t i = 0; i < selection->n_hidden; i++) {
        if (mentions(entry->sql, selection->hidden[i]))
            return true;
    }
    return false;
}

/* Pass 1: the relations that are out, and what cannot be without them. Entries come after their
 * deps. */
static void
find_out(struct chooser *chooser)
{
    const struct ph_archive *archive = chooser->archive;

    for (uint32_t i = 0; i < archive->n_entries; i++) {
        const struct ph_archive_entry *entry = &archive->entries[i];
        bool asked = is_asked_for(chooser, i);
        bool is_table = strcmp(entry->desc, "TABLE") == 0;

        chooser->out_by[i] = chooser->without[i];
        if (chooser->roles[i] == ROLE_RELATION && !asked) {
            chooser->out_by[i] = i;
            continue;
        }
        if (refers_to_hidden(chooser, entry))
            chooser->out_by[i] = HIDDEN;
        for (uint32_t k = 0; k < entry->n_deps && !(is_table && asked); k++) {
            uint32_t dep = index_of(chooser, entry->deps[k]);

            if (dep != NO_ENTRY && chooser->out_by[dep] != NO_ENTRY)
                chooser->out_by[i] = chooser->out_by[dep];
        }
    }
}

/*
 * A view in a circle comes as an empty shell, and as a rule later that makes it what it is: the
 * shell is nothing without. Returns whether one was found.
 */
static bool
find_shells(struct chooser *chooser)
{
    const struct ph_archive *archive = chooser->archive;
    bool found = false;

    for (uint32_t i = 0; i < archive->n_entries; i++) {
        const struct ph_archive_entry *entry = &archive->entries[i];
        const char *name = strrchr(entry->tag, ' ');

        if (strcmp(entry->desc, "RULE") != 0 || name == NULL || strcmp(name, " _RETURN") != 0 ||
            chooser->out_by[i] == NO_ENTRY)
            continue;
        for (uint32_t k = 0; k < entry->n_deps; k++) {
            uint32_t dep = index_of(chooser, entry->deps[k]);

            if (dep != NO_ENTRY && strcmp(archive->entries[dep].desc, "VIEW") == 0 &&
                chooser->out_by[dep] == NO_ENTRY) {
                chooser->without[dep] = chooser->out_by[i];
                found = true;
            }
        }
    }
    return found;
}

/* It is in, and all supports it needs, and those they need. */
static void
pull(struct chooser *chooser, uint32_t index)
{
    struct ph_archive *archive = chooser->archive;
    uint32_t depth = 0;

    if (archive->entries[index].selected)
        return;
    archive->entries[index].selected = true;
    chooser->stack[depth++] = index;
    while (depth > 0) {
        const struct ph_archive_entry *entry = &archive->entries[chooser->stack[--depth]];

        for (uint32_t k = 0; k < entry->n_deps; k++) {
            uint32_t dep = index_of(chooser, entry->deps[k]);

            if (dep == NO_ENTRY || chooser->roles[dep] != ROLE_SUPPORT ||
                chooser->out_by[dep] != NO_ENTRY || archive->entries[dep].selected)
                continue;
            archive->entries[dep].selected = true;
            chooser->stack[depth++] = dep;
        }
    }
}

static bool
has_all_deps(const struct chooser *chooser, uint32_t index)
{
    const struct ph_archive_entry *entry = &chooser->archive->entries[index];
    bool is_note = chooser->roles[index] == ROLE_NOTE;
    uint32_t n = 0;

    for (uint32_t k = 0; k < entry->n_deps; k++) {
        uint32_t dep = index_of(chooser, entry->deps[k]);

        if (dep == NO_ENTRY)
            continue;
        n++;
        if (!chooser->archive->entries[dep].selected &&
            (is_note || chooser->roles[dep] != ROLE_SUPPORT))
            return false;
    }
    return n > 0 || chooser->selection->globals;
}

/* Default privileges are in a schema or for all; they depend on nothing but it. */
static bool
is_wanted_default_acl(const struct chooser *chooser, const struct ph_archive_entry *entry)
{
    const struct ph_archive_selection *selection = chooser->selection;

    if (strcmp(entry->desc, "DEFAULT ACL") != 0)
        return true;
    if (entry->schema[0] == '\0')
        return selection->globals;
    return selection->has_schema(selection->arg, entry->schema);
}

/*
 * The archive does not tell that an exclusion constraint needs an operator class of an extension
 * (its index is no entry of its own): all extensions come along.
 */
static void
pull_operator_classes(struct chooser *chooser, const struct ph_archive_entry *entry)
{
    const struct ph_archive *archive = chooser->archive;

    if (strcmp(entry->desc, "CONSTRAINT") != 0 || strstr(entry->sql, " EXCLUDE USING ") == NULL)
        return;
    for (uint32_t i = 0; i < archive->n_entries; i++) {
        if (strcmp(archive->entries[i].desc, "EXTENSION") == 0)
            pull(chooser, i);
    }
}

static void
choose_dependents(struct chooser *chooser, enum role role)
{
    const struct ph_archive *archive = chooser->archive;

    for (uint32_t i = 0; i < archive->n_entries; i++) {
        if (chooser->roles[i] == role && chooser->out_by[i] == NO_ENTRY &&
            is_wanted_default_acl(chooser, &archive->entries[i]) && has_all_deps(chooser, i)) {
            pull(chooser, i);
            pull_operator_classes(chooser, &archive->entries[i]);
        }
    }
}

/* Constraints, triggers, rules and the like are named "table name"; the rest lies on what it needs.
 */
static bool
belongs_to(const struct ph_archive_entry *part, const struct ph_archive_entry *rel)
{
    size_t len = strlen(rel->tag);

    if (strcmp(part->desc, "INDEX") == 0 || strstr(part->desc, "ATTACH") != NULL ||
        strcmp(part->desc, "STATISTICS") == 0)
        return true;
    return strcmp(part->schema, rel->schema) == 0 && strncmp(part->tag, rel->tag, len) == 0 &&
           part->tag[len] == ' ';
}

/* Asked for, or part of something that is in, but out because of a relation that is. */
static bool
is_missed(const struct chooser *chooser, uint32_t index)
{
    const struct ph_archive_entry *entry = &chooser->archive->entries[index];
    bool part_of_selected = false;

    if (chooser->out_by[index] == NO_ENTRY || chooser->out_by[index] == index)
        return false;
    if (chooser->roles[index] == ROLE_NOTE)
        return false;
    if (chooser->roles[index] != ROLE_PART)
        return is_asked_for(chooser, index);
    for (uint32_t k = 0; k < entry->n_deps; k++) {
        uint32_t dep = index_of(chooser, entry->deps[k]);

        part_of_selected |= dep != NO_ENTRY && chooser->archive->entries[dep].selected &&
                            chooser->roles[dep] == ROLE_RELATION &&
                            belongs_to(entry, &chooser->archive->entries[dep]);
    }
    return part_of_selected;
}

/* An heir cannot be made without its parent, unlike a partition. */
static ph_code
check_heirs(const struct chooser *chooser, struct ph_error *err)
{
    const struct ph_archive *archive = chooser->archive;

    for (uint32_t i = 0; i < archive->n_entries; i++) {
        const struct ph_archive_entry *entry = &archive->entries[i];

        if (!entry->selected || strcmp(entry->desc, "TABLE") != 0 ||
            strstr(entry->sql, "\nINHERITS (") == NULL)
            continue;
        for (uint32_t k = 0; k < entry->n_deps; k++) {
            const struct ph_archive_entry *parent = ph_archive_find(archive, entry->deps[k]);

            if (parent == NULL || parent->selected || strcmp(parent->desc, "TABLE") != 0)
                continue;
            PH_FAIL(err, PH_E_SELECTION, "it inherits from %s.%s, which is not selected",
                    parent->schema, parent->tag);
            ph_error_object(err, "%s.%s", entry->schema, entry->tag);
            ph_error_hint(err, "select both tables, or neither");
            return PH_E_SELECTION;
        }
    }
    return PH_OK;
}

static void
choose(struct chooser *chooser)
{
    struct ph_archive *archive = chooser->archive;
    const struct ph_archive_selection *selection = chooser->selection;

    for (uint32_t i = 0; i < archive->n_entries; i++) {
        chooser->roles[i] = role_of(&archive->entries[i]);
        archive->entries[i].selected = false;
        chooser->without[i] = NO_ENTRY;
    }
    do {
        find_out(chooser);
    } while (find_shells(chooser));
    for (uint32_t i = 0; i < archive->n_entries; i++) {
        if (chooser->out_by[i] == NO_ENTRY && is_asked_for(chooser, i))
            pull(chooser, i);
    }
    choose_dependents(chooser, ROLE_PART);
    choose_dependents(chooser, ROLE_NOTE);
    for (uint32_t i = 0; selection->on_left_out != NULL && i < archive->n_entries; i++) {
        if (is_missed(chooser, i))
            selection->on_left_out(
                selection->arg, &archive->entries[i],
                chooser->out_by[i] == HIDDEN ? NULL : &archive->entries[chooser->out_by[i]]);
    }
}

ph_code
ph_archive_select(struct ph_archive *archive, const struct ph_archive_selection *selection,
                  struct ph_error *err)
{
    struct chooser chooser = {.archive = archive, .selection = selection};
    size_t n = (size_t)archive->n_entries + 1;
    struct ph_arena scratch;
    bool complete;

    ph_arena_init(&scratch, (size_t)1 << 30);
    chooser.roles = PH_ARENA_ARRAY(&scratch, enum role, n);
    chooser.out_by = PH_ARENA_ARRAY(&scratch, uint32_t, n);
    chooser.without = PH_ARENA_ARRAY(&scratch, uint32_t, n);
    chooser.stack = PH_ARENA_ARRAY(&scratch, uint32_t, n);
    complete = chooser.roles != NULL && chooser.out_by != NULL && chooser.without != NULL &&
               chooser.stack != NULL;
    if (complete)
        choose(&chooser);
    ph_arena_reset(&scratch);
    return complete ? check_heirs(&chooser, err)
                    : PH_FAIL(err, PH_E_MEMORY, "no memory to select from the archive");
}
