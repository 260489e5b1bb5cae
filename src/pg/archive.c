/*
 * Making and reading the archive (see archive.h).
 *
 * The whole schema is dumped, also for a part of a database: what a selected table needs (schema,
 * types, functions) is then known by the archive's own dependencies (archive_select.c).
 */
#include "pg/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/archive_script.h"
#include "pg/archive_toc.h"

#define LIMIT_BYTES ((size_t)1 << 30)
#define MAX_ARGS 32

struct args {
    const char *argv[MAX_ARGS];
    int n;
};

static void
add_arg(struct args *args, const char *arg)
{
    if (args->n < MAX_ARGS - 1)
        args->argv[args->n++] = arg;
}

/* What pg_dump and pg_restore both understand. */
static void
add_switches(struct args *args, const struct ph_archive_params *params)
{
    if (params->no_owner)
        add_arg(args, "--no-owner");
    if (params->no_acl)
        add_arg(args, "--no-acl");
    if (params->no_comments)
        add_arg(args, "--no-comments");
    if (params->no_tablespaces)
        add_arg(args, "--no-tablespaces");
    if (!params->publications)
        add_arg(args, "--no-publications");
    if (!params->subscriptions)
        add_arg(args, "--no-subscriptions");
}

static ph_code
find_dump(const struct ph_archive_params *params, struct ph_tool *dump, struct ph_error *err)
{
    return ph_tool_find("pg_dump", params->source_version / 10000, params->target_version / 10000,
                        dump, err);
}

static ph_code
file_error(const char *what, const char *path, struct ph_error *err)
{
    return PH_FAIL(err, PH_E_DISK, "cannot %s %s: %s", what, path, strerror(errno));
}

/* pg_dump makes files by the umask: the file is there before it, with the rights it shall have. */
static ph_code
make_private_file(const char *path, struct ph_error *err)
{
    int fd;

    if (unlink(path) != 0 && errno != ENOENT)
        return file_error("remove", path, err);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return file_error("create", path, err);
    close(fd);
    return PH_OK;
}

/* --exclude-table="schema"."name" for each; NULL without memory. */
static const char **
with_hidden(const struct args *args, const struct ph_archive_params *params, struct ph_arena *arena)
{
    const char **argv = PH_ARENA_ARRAY(arena, const char *, (size_t)args->n + params->n_hidden + 1);

    for (int i = 0; argv != NULL && i < args->n; i++)
        argv[i] = args->argv[i];
    for (uint32_t i = 0; argv != NULL && i < params->n_hidden; i++) {
        struct ph_buf name;

        ph_buf_init(&name, 1024);
        ph_buf_puts(&name, "--exclude-table=");
        ph_buf_put_qualified(&name, params->hidden[i]->schema, params->hidden[i]->name);
        argv[(uint32_t)args->n + i] = ph_arena_strdup(arena, ph_buf_text(&name));
        if (argv[(uint32_t)args->n + i] == NULL)
            argv = NULL;
        ph_buf_free(&name);
    }
    return argv;
}

/* What pg_dump said is the cause; "install it" would be no way out. */
static void
explain_failure(struct ph_error *err)
{
    if (err == NULL || err->code != PH_E_TOOL)
        return;
    if (strstr(err->message, "permission denied") != NULL) {
        err->code = PH_E_RIGHTS;
        ph_error_hint(err,
                      "grant SELECT on it: pg_dump locks every table whose definition it reads");
    } else {
        ph_error_hint(err, "mend what pg_dump says, then give the same command again");
    }
}

static ph_code
run_with_env(const struct ph_endpoint *source, const char *const *argv, struct ph_error *err)
{
    char **env = NULL;
    ph_code rc;

    PH_TRY(ph_endpoint_env(source, &env, err));
    rc = ph_tool_run(&(struct ph_tool_run){.argv = argv, .env = env}, err);
    ph_endpoint_free_env(env);
    if (rc != PH_OK) {
        explain_failure(err);
        return err != NULL ? err->code : rc;
    }
    return PH_OK;
}

static ph_code
run_dump(const struct ph_archive_params *params, const struct ph_tool *dump, const char *path,
         struct ph_error *err)
{
    struct args args = {.n = 0};
    struct ph_arena arena;
    char excluded[300];
    const char **argv;
    ph_code rc;

    snprintf(excluded, sizeof excluded, "--exclude-schema=\"%s\"",
             params->leave_out != NULL ? params->leave_out : "");
    add_arg(&args, dump->path);
    add_arg(&args, "--format=custom");
    add_arg(&args, "--schema-only");
    add_arg(&args, "--compress=0");
    add_arg(&args, "--no-password");
    add_arg(&args, "--file");
    add_arg(&args, path);
    add_arg(&args, "--encoding");
    add_arg(&args, params->source->encoding != NULL ? params->source->encoding : "UTF8");
    if (params->snapshot != NULL) {
        add_arg(&args, "--snapshot");
        add_arg(&args, params->snapshot);
    }
    if (params->database_only)
        add_arg(&args, "--exclude-schema=*");
    else if (params->leave_out != NULL)
        add_arg(&args, excluded);
    add_switches(&args, params);
    ph_arena_init(&arena, LIMIT_BYTES);
    argv = with_hidden(&args, params, &arena);
    rc = argv != NULL ? run_with_env(params->source, argv, err)
                      : PH_FAIL(err, PH_E_MEMORY, "no memory for the arguments of pg_dump");
    ph_arena_reset(&arena);
    return rc;
}

ph_code
ph_archive_dump(const struct ph_archive_params *params, struct ph_error *err)
{
    char partial[4096];
    struct ph_tool dump = {0};
    ph_code rc;

    if ((size_t)snprintf(partial, sizeof partial, "%s.partial", params->path) >= sizeof partial)
        return PH_FAIL(err, PH_E_USAGE, "the path %s is too long", params->path);
    PH_TRY(find_dump(params, &dump, err));
    PH_TRY(make_private_file(partial, err));
    rc = run_dump(params, &dump, partial, err);
    if (rc == PH_OK && rename(partial, params->path) != 0)
        rc = file_error("rename", partial, err);
    if (rc != PH_OK)
        unlink(partial);
    return rc;
}

static ph_code
read_file(const char *path, struct ph_buf *into, struct ph_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;
    ssize_t n = 1;

    if (fd < 0)
        return file_error("open", path, err);
    if (fstat(fd, &info) == 0 && info.st_size > 0)
        ph_buf_reserve(into, (size_t)info.st_size);
    while (n > 0 && ph_buf_ok(into)) {
        char chunk[8192];

        n = read(fd, chunk, sizeof chunk);
        if (n > 0)
            ph_buf_append(into, chunk, (size_t)n);
    }
    close(fd);
    if (n < 0)
        return file_error("read", path, err);
    return ph_buf_ok(into) ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "%s is too large", path);
}

static ph_code
read_toc(const char *path, struct ph_arena *arena, struct ph_toc *toc, struct ph_error *err)
{
    struct ph_buf bytes;
    ph_code rc;

    ph_buf_init(&bytes, LIMIT_BYTES);
    rc = read_file(path, &bytes, err);
    if (rc == PH_OK)
        rc = ph_toc_parse((struct ph_span){bytes.data, bytes.len}, arena, toc, err);
    ph_buf_free(&bytes);
    return rc;
}

static ph_code
run_restore(const struct ph_archive_params *params, struct ph_buf *script, struct ph_error *err)
{
    struct args args = {.n = 0};
    struct ph_tool dump = {0};
    struct ph_tool restore = {0};

    PH_TRY(find_dump(params, &dump, err));
    PH_TRY(ph_tool_sibling(&dump, "pg_restore", &restore, err));
    add_arg(&args, restore.path);
    add_arg(&args, "--verbose");
    add_arg(&args, "--create");
    add_arg(&args, "--file=-");
    add_switches(&args, params);
    add_arg(&args, params->path);
    return ph_tool_run(&(struct ph_tool_run){.argv = args.argv, .out = script}, err);
}

ph_code
ph_archive_open(const struct ph_archive_params *params, struct ph_archive *out,
                struct ph_error *err)
{
    struct ph_arena scratch; /* the definitions are in the script once more */
    struct ph_toc toc;
    ph_code rc;

    ph_arena_init(&scratch, LIMIT_BYTES);
    *out = (struct ph_archive){.database = ""};
    ph_arena_init(&out->arena, LIMIT_BYTES);
    ph_buf_init(&out->script, LIMIT_BYTES);
    rc = read_toc(params->path, &scratch, &toc, err);
    if (rc == PH_OK)
        rc = run_restore(params, &out->script, err);
    if (rc == PH_OK)
        rc = ph_archive_split(out, &toc, err);
    ph_arena_reset(&scratch);
    if (rc != PH_OK)
        ph_error_note(err, "archive %s", params->path);
    return rc;
}

void
ph_archive_reset(struct ph_archive *archive)
{
    ph_arena_reset(&archive->arena);
    ph_buf_free(&archive->script);
    archive->entries = NULL;
    archive->n_entries = 0;
    archive->by_id = NULL;
}

const struct ph_archive_entry *
ph_archive_find(const struct ph_archive *archive, uint32_t dump_id)
{
    uint32_t lo = 0;
    uint32_t hi = archive->n_entries;

    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;

        if (archive->by_id[middle]->dump_id < dump_id)
            lo = middle + 1;
        else
            hi = middle;
    }
    if (lo < archive->n_entries && archive->by_id[lo]->dump_id == dump_id)
        return archive->by_id[lo];
    return NULL;
}

void
ph_archive_label(const struct ph_archive_entry *entry, char *out, size_t size)
{
    snprintf(out, size, "%s %s%s%s", entry->desc, entry->schema,
             entry->schema[0] != '\0' ? "." : "", entry->tag);
}
