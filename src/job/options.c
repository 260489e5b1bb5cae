#include "job/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "job/memory.h"
#include "job/option_table.h"
#include "pg/conninfo.h"
#include "rules/read.h"

#define NAME_MAX_BYTES 40

ph_code
ph_options_init(struct ph_options *options, struct ph_error *err)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < ph_option_count; i++) {
        const struct ph_option *option = &ph_option_table[i];
        if (option->initial != NULL)
            PH_TRY(ph_option_set(option, option->initial, options, err));
    }
    return PH_OK;
}

void
ph_options_free(struct ph_options *options)
{
    for (size_t i = 0; i < ph_option_count; i++)
        ph_option_clear(&ph_option_table[i], options);
    free(options->job_file);
    options->job_file = NULL;
    ph_job_rules_free(options->rules);
    options->rules = NULL;
}

static ph_code
usage(struct ph_error *err, const char *object, const char *message)
{
    PH_FAIL(err, PH_E_USAGE, "%s", message);
    ph_error_object(err, "%s", object);
    return PH_E_USAGE;
}

static ph_code
check_name(const char *name, struct ph_error *err)
{
    size_t len = strlen(name);

    if (len == 0 || len > NAME_MAX_BYTES ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != len)
        return usage(err, "--name", "a job's name is 1 to 40 of a-z, 0-9 and _");
    return PH_OK;
}

/* "Shop DB" becomes "shop_db". */
static void
append_safe(char *out, size_t size, const char *text, size_t max)
{
    size_t used = strlen(out);

    for (size_t i = 0; i < max && text[i] != '\0' && used + 1 < size; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        out[used++] = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '_';
    }
    out[used] = '\0';
}

static ph_code
derive_name(struct ph_options *options, struct ph_error *err)
{
    char database[128];
    char name[NAME_MAX_BYTES + 1] = "";

    ph_code rc = ph_conninfo_database(options->source, database, sizeof database, err);
    if (rc == PH_OK) {
        append_safe(name, sizeof name, database, 18);
        append_safe(name, sizeof name, "_to_", 4);
        rc = ph_conninfo_database(options->target, database, sizeof database, err);
        append_safe(name, sizeof name, database, 18);
    }
    if (rc != PH_OK)
        ph_error_object(err, name[0] == '\0' ? "--source" : "--target");
    else if ((options->name = strdup(name)) == NULL)
        rc = PH_FAIL(err, PH_E_MEMORY, "out of memory");
    return rc;
}

static ph_code
derive_dir(struct ph_options *options, struct ph_error *err)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    char *dir = NULL;
    int n;

    /* the specification says to ignore a relative path */
    if (state != NULL && state[0] == '/')
        n = asprintf(&dir, "%s/pghaul/%s", state, options->name);
    else if (home != NULL && home[0] == '/')
        n = asprintf(&dir, "%s/.local/state/pghaul/%s", home, options->name);
    else
        return usage(err, "--dir", "no directory is given and HOME is not set");
    if (n < 0)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    options->dir = dir;
    return PH_OK;
}

static ph_code
check_servers(const struct ph_options *options, enum ph_command_id command, struct ph_error *err)
{
    bool needs_source = command == PH_COMMAND_CHECK || command == PH_COMMAND_PLAN ||
                        command == PH_COMMAND_COPY || command == PH_COMMAND_VERIFY ||
                        command == PH_COMMAND_RULES;

    if (command == PH_COMMAND_RULES && strcmp(options->verb, "list") == 0)
        return PH_OK;
    if (options->target == NULL)
        return usage(err, "--target", "is missing, on the command line and in the job file");
    if (options->source == NULL && needs_source)
        return usage(err, "--source", "is missing, on the command line and in the job file");
    if (options->source == NULL && options->name == NULL && command != PH_COMMAND_STATUS)
        return usage(err, "--name", "is missing; without --source it cannot be derived");
    return PH_OK;
}

static ph_code
check_consent(const struct ph_options *options, enum ph_command_id command, struct ph_error *err)
{
    if (options->yes)
        return PH_OK;
    if (command == PH_COMMAND_CLEAN)
        return usage(err, "clean", "removes the job's ledger and local files; say --yes");
    if (command == PH_COMMAND_COPY && options->truncate)
        return usage(err, "--truncate", "removes all rows of the selected tables; say --yes");
    if (command == PH_COMMAND_COPY && options->restart)
        return usage(err, "--restart", "forgets what was copied already; say --yes");
    if (command == PH_COMMAND_VERIFY && options->repair && !options->dry_run)
        return usage(err, "--repair", "changes rows on the target; say --yes, or --dry-run to see");
    return PH_OK;
}

/* What only --follow gives a meaning to. */
static const char *
option_of_follow(const struct ph_options *options)
{
    return options->until.kind != PH_UNTIL_STOPPED ? "--until"
           : options->publication != NULL          ? "--publication"
           : options->failover_slot                ? "--failover-slot"
           : options->set_replica_identity         ? "--set-replica-identity"
                                                   : NULL;
}

static ph_code
check_follow(const struct ph_options *options, enum ph_command_id command, struct ph_error *err)
{
    const char *lonely = options->follow ? NULL : option_of_follow(options);

    if (lonely != NULL && command != PH_COMMAND_VERIFY && command != PH_COMMAND_STOP)
        return usage(err, lonely, "needs --follow");
    if (options->follow && options->schema_only)
        return usage(err, "--follow", "excludes --schema-only: there are no rows to follow");
    return PH_OK;
}

static ph_code
check_combinations(const struct ph_options *options, enum ph_command_id command,
                   struct ph_error *err)
{
    if (options->schema_only && options->data_only)
        return usage(err, "--schema-only", "excludes --data-only");
    if (options->truncate && !options->data_only)
        return usage(err, "--truncate", "needs --data-only; without it the target has to be empty");
    if (options->create && options->data_only)
        return usage(err, "--create", "excludes --data-only: a new database has no tables");
    if (options->dry_run && !options->repair)
        return usage(err, "--dry-run", "goes with --repair; check and plan change nothing anyway");
    if (options->verb != NULL && strcmp(options->verb, "build") == 0 && options->output == NULL)
        return usage(err, "--output", "is missing: rules build needs a file to write");
    PH_TRY(check_follow(options, command, err));
    if (command == PH_COMMAND_VERIFY && options->leak_scan && options->schema_only)
        return usage(err, "--leak-scan", "excludes --schema-only: there are no rows to search");
    if (command == PH_COMMAND_VERIFY && options->leak_scan && options->rules == NULL)
        return usage(err, "--leak-scan",
                     "needs a job file with masks: without one there is "
                     "nothing to look for");
    if (command == PH_COMMAND_VERIFY && options->verify == PH_VERIFY_NONE)
        return usage(err, "--verify", "\"none\" leaves the command verify nothing to do");
    return PH_OK;
}

/* Where processors choose the number, any --memory is enough. */
static ph_code
check_memory(const struct ph_options *options, struct ph_error *err)
{
    uint64_t least = ph_memory_for_lanes(options->jobs);

    if (options->memory_bytes == 0 || options->jobs == 0 || options->memory_bytes >= least)
        return PH_OK;
    PH_FAIL(err, PH_E_USAGE, "is too little for --jobs %u, which takes %llu MB", options->jobs,
            (unsigned long long)(least >> 20) + 1);
    ph_error_object(err, "--memory");
    return PH_E_USAGE;
}

ph_code
ph_options_complete(struct ph_options *options, enum ph_command_id command, struct ph_error *err)
{
    PH_TRY(check_servers(options, command, err));
    PH_TRY(check_combinations(options, command, err));
    PH_TRY(check_memory(options, err));
    PH_TRY(check_consent(options, command, err));
    if (options->name != NULL)
        PH_TRY(check_name(options->name, err));
    else if (options->source != NULL)
        PH_TRY(derive_name(options, err));
    if (options->dir == NULL && options->name != NULL)
        PH_TRY(derive_dir(options, err));
    return PH_OK;
}

uint32_t
ph_options_processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 2 ? 2 : n > 8 ? 8 : (uint32_t)n;
}

uint32_t
ph_options_lanes(const struct ph_options *options)
{
    if (options->jobs != 0)
        return options->jobs;
    return options->follow ? ph_options_processors() / 2 : ph_options_processors();
}

ph_code
ph_options_make_dir(const struct ph_options *options, struct ph_error *err)
{
    char *path = strdup(options->dir);
    ph_code rc = PH_OK;

    if (path == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (char *at = path + 1; rc == PH_OK; at++) {
        char kept = *at;
        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST && errno != EISDIR)
            rc = PH_FAIL(err, PH_E_DISK, "cannot make directory %s: %s", path, strerror(errno));
        *at = kept;
        if (kept == '\0')
            break;
    }
    struct stat st;
    if (rc == PH_OK && (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)))
        rc = PH_FAIL(err, PH_E_DISK, "%s is not a directory", path);
    free(path);
    return rc;
}
