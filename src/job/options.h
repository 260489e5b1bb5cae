/*
 * Everything a user can ask for, after command line and job file were merged (the option wins).
 * Filled by cli (options) and job/jobfile (file); read-only afterwards, shared by all threads.
 */
#ifndef PH_JOB_OPTIONS_H
#define PH_JOB_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "model/lsn.h"

enum ph_verify_mode { PH_VERIFY_NONE, PH_VERIFY_COUNT, PH_VERIFY_DIGEST };

enum ph_spool_codec { PH_SPOOL_LZ4, PH_SPOOL_ZSTD };

struct ph_job_rules;

enum ph_split_by { PH_SPLIT_BY_PLACE, PH_SPLIT_BY_KEY };

struct ph_string_list {
    char **items;
    uint32_t n;
};

struct ph_options {
    char *job_file; /* NULL: options alone */
    char *source;   /* conninfo or URI; may hold a password: never printed */
    char *target;
    char *name;                    /* job name; never NULL after ph_options_complete */
    char *dir;                     /* spool directory; never NULL after ph_options_complete */
    struct ph_string_list schemas; /* patterns as in psql */
    struct ph_string_list exclude_schemas;
    struct ph_string_list tables;
    struct ph_string_list excludes;
    bool schema_only;
    bool data_only;
    bool truncate;
    bool create;
    bool roles;
    bool no_owner;
    bool no_acl;
    bool no_comments;
    bool no_tablespaces;
    bool publications;
    bool subscriptions;
    bool follow;
    bool failover_slot;
    bool set_replica_identity;
    bool restart;
    bool source_gone;
    bool repair;
    bool dry_run;
    bool leak_scan;
    bool yes;
    bool json;
    bool quiet;
    bool watch;
    uint32_t jobs;       /* 0: chosen from the processors */
    uint32_t index_jobs; /* 0: chosen from the processors */
    uint64_t split_bytes;
    enum ph_split_by split_by;
    uint64_t memory_bytes;
    uint64_t max_row_bytes;
    uint64_t max_rate_bytes; /* per second; 0: no limit */
    uint64_t hold_seconds;
    struct ph_until until;         /* of copy --follow */
    struct ph_until at;            /* of stop */
    char *publication;             /* that is there already; NULL: the job makes its own */
    uint64_t snapshot_age_seconds; /* 0: a snapshot is kept as long as the copy needs it */
    uint64_t bulk_from_bytes;      /* of WAL that waits in the slot */
    uint32_t apply_jobs;           /* 0: half as many as `jobs` */
    uint64_t spool_limit_bytes;
    enum ph_spool_codec spool_compression;
    enum ph_ack ack;
    enum ph_on_conflict on_conflict;
    enum ph_verify_mode verify;
    uint32_t leak_values; /* of each masked column that are looked for */
    struct ph_string_list leak_skips;
    enum ph_log_format log_format;
    const char *verb;   /* of `rules`: list, explain, test or build; NULL for other commands */
    char *keep_c;       /* file for the generated C, or NULL */
    char *output;       /* of rules build */
    char *rules_object; /* compiled elsewhere by rules build, or NULL */
    uint32_t rows;      /* of rules test */
    struct ph_string_list rows_files; /* the same: "TABLE=FILE" */
    char *report;                     /* path or NULL */
    struct ph_job_rules *rules;       /* of the job file; NULL: none */
};

/* The command the options are for; decides what is needed and what needs consent. */
enum ph_command_id {
    PH_COMMAND_CHECK,
    PH_COMMAND_PLAN,
    PH_COMMAND_COPY,
    PH_COMMAND_STOP,
    PH_COMMAND_VERIFY,
    PH_COMMAND_STATUS,
    PH_COMMAND_CLEAN,
    PH_COMMAND_RULES
};

/* The defaults of the option table. */
ph_code ph_options_init(struct ph_options *options, struct ph_error *err);
/* Wipes what may hold a password. Fine on a zeroed struct. */
void ph_options_free(struct ph_options *options);

/*
 * The last step before a job: derive what was not given (name, dir) and refuse what cannot be
 * meant, with PH_E_USAGE. Touches no server and no file. `name` stays NULL only for status, which
 * then lists the jobs of the target.
 */
ph_code ph_options_complete(struct ph_options *options, enum ph_command_id command,
                            struct ph_error *err);
/* Processors to make use of: what this machine has, 2 to 8. */
uint32_t ph_options_processors(void);
/* Lanes of a copy. A source that is followed keeps half of the processors (decision 0024). */
uint32_t ph_options_lanes(const struct ph_options *options);
/* Make `dir` and its parents, mode 0700. PH_E_DISK. */
ph_code ph_options_make_dir(const struct ph_options *options, struct ph_error *err);

#endif
