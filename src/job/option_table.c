#include "job/option_table.h"

#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(struct ph_options, member)
#define KB (UINT64_C(1) << 10)
#define MB (UINT64_C(1) << 20)
#define GB (UINT64_C(1) << 30)
#define TB (UINT64_C(1) << 40)
#define DAY (UINT64_C(24) * 3600)

#define FLAG(n, for_, m, k, g, h)                                                                  \
    {                                                                                              \
        .name = (n), .kind = PH_OPTION_FLAG, .commands = (for_), .offset = AT(m), .key = (k),      \
        .group = (g), .help = (h)                                                                  \
    }
#define VALUE(n, kind_, for_, m, k, g, h, ...)                                                     \
    {                                                                                              \
        .name = (n), .kind = PH_OPTION_##kind_, .commands = (for_), .offset = AT(m), .key = (k),   \
        .group = (g), .help = (h), __VA_ARGS__                                                     \
    }

/* In the order of enum ph_verify_mode, ph_split_by and ph_log_format. */
static const char *const verify_words[] = {"none", "count", "digest", NULL};
static const char *const split_words[] = {"place", "key", NULL};
static const char *const log_words[] = {"text", "json", NULL};
#if PH_OFFERS_FOLLOW
/* Of enum ph_spool_codec, ph_ack, ph_on_conflict. */
static const char *const codec_words[] = {"lz4", "zstd", NULL};
static const char *const ack_words[] = {"spooled", "applied", NULL};
static const char *const conflict_words[] = {"stop", "skip", "overwrite", NULL};

static const char follow[] = "Follow";
#endif

static const char servers[] = "Servers and job";
static const char selection[] = "Selection";
static const char what[] = "What is copied";
static const char how[] = "How";
static const char proof[] = "Proof";
static const char output[] = "Output and consent";

#define FOR_ROWS (PH_FOR_JOB | PH_FOR(VERIFY))
#define FOR_RULES (FOR_ROWS | PH_FOR(RULES))
#define FOR_JSON (PH_FOR(CHECK) | PH_FOR(PLAN) | PH_FOR(STATUS))

const struct ph_option ph_option_table[] = {
    VALUE(
        "source", CONNINFO, PH_FOR_ALL, source, "source", servers,
        "where rows come from: a libpq connection string or URI; passwords better through pgpass, "
        "a service file or PGPASSWORD",
        .placeholder = "CONNINFO"),
    VALUE("target", CONNINFO, PH_FOR_ALL, target, "target", servers,
          "where rows go to: a libpq connection string or URI", .placeholder = "CONNINFO"),
    VALUE("name", TEXT, PH_FOR_ALL, name, "name", servers,
          "name of the job in the target's ledger: 1 to 40 of a-z, 0-9 and _",
          .placeholder = "JOBNAME", .initial_note = "from the names of both databases"),
    VALUE("dir", TEXT, PH_FOR_ALL & ~PH_FOR(STATUS), dir, "dir", servers,
          "directory for the job's local files, made with mode 0700", .placeholder = "DIR",
          .initial_note = "$XDG_STATE_HOME/pghaul/JOBNAME"),

    VALUE("schema", LIST, FOR_RULES, schemas, "select.schemas", selection,
          "only schemas that match, a pattern as in psql; may be repeated",
          .placeholder = "PATTERN"),
    VALUE("exclude-schema", LIST, FOR_RULES, exclude_schemas, "select.exclude_schemas", selection,
          "no schema that matches; may be repeated", .placeholder = "PATTERN"),
    VALUE("table", LIST, FOR_RULES, tables, "select.tables", selection,
          "only tables that match, schema.table, a pattern as in psql; may be repeated",
          .placeholder = "PATTERN"),
    VALUE("exclude", LIST, FOR_RULES, excludes, "select.exclude", selection,
          "no table that matches; may be repeated", .placeholder = "PATTERN"),

    FLAG("schema-only", FOR_RULES, schema_only, "copy.schema_only", what,
         "definitions only, no rows"),
    FLAG("data-only", FOR_RULES, data_only, "copy.data_only", what,
         "rows only, into tables that exist on the target, matched by name"),
    FLAG("truncate", PH_FOR_JOB, truncate, "copy.truncate", what,
         "with --data-only: empty the selected tables on the target first, in one statement; "
         "needs --yes"),
    FLAG("create", PH_FOR(COPY), create, "copy.create", what,
         "make the target database first, when it is not there"),
    FLAG("roles", PH_FOR_JOB, roles, "copy.roles", what,
         "make the roles that owners and grants need, without passwords"),
    FLAG("no-owner", FOR_ROWS, no_owner, "copy.no_owner", what, "do not copy owners"),
    FLAG("no-acl", FOR_ROWS, no_acl, "copy.no_acl", what, "do not copy grants"),
    FLAG("no-comments", FOR_ROWS, no_comments, "copy.no_comments", what, "do not copy comments"),
    FLAG("no-tablespaces", FOR_ROWS, no_tablespaces, "copy.no_tablespaces", what,
         "put everything into the target's default tablespace"),
    FLAG("publications", FOR_ROWS, publications, "copy.publications", what,
         "copy publications too"),
    FLAG("subscriptions", FOR_ROWS, subscriptions, "copy.subscriptions", what,
         "copy subscriptions too, disabled"),

    VALUE("jobs", NUMBER, FOR_ROWS, jobs, "copy.jobs", how, "tables or chunks copied at a time",
          .placeholder = "N", .min = 1, .max = 64,
          .initial_note = "from the number of processors; with --follow half of that"),
    VALUE(
        "index-jobs", NUMBER, PH_FOR_JOB, index_jobs, "copy.index_jobs", how,
        "indexes and constraints built at a time; with --follow a build takes parallel workers of "
        "the target only as far as this allows",
        .placeholder = "N", .min = 1, .max = 64, .initial_note = "from the number of processors"),
    VALUE("split", SIZE, FOR_ROWS, split_bytes, "copy.split", how,
          "tables larger than this are read in chunks of about this size", .placeholder = "SIZE",
          .min = MB, .max = TB, .initial = "256MB"),
    VALUE("split-by", WORD, PH_FOR_JOB, split_by, "copy.split_by", how,
          "cut them by their blocks, or by ranges of a key where rows lie in its order: with "
          "--follow such a table keeps what is copied when its snapshot is lost",
          .placeholder = "WAY", .words = split_words, .initial = "place"),
    VALUE("memory", SIZE, FOR_ROWS, memory_bytes, "copy.memory", how,
          "bound of the process's memory; a single larger row may exceed it", .placeholder = "SIZE",
          .min = 32 * MB, .max = TB, .initial = "64MB"),
    VALUE("max-row", SIZE, FOR_ROWS, max_row_bytes, "copy.max_row", how,
          "a larger row stops the job", .placeholder = "SIZE", .min = MB, .max = GB,
          .initial = "1GB"),
    VALUE("max-rate", RATE, FOR_ROWS, max_rate_bytes, "copy.max_rate", how,
          "read no faster than this from the source", .placeholder = "SIZE/s", .min = KB, .max = TB,
          .initial_note = "no limit"),
    VALUE("hold", DURATION, PH_FOR_JOB, hold_seconds, "copy.hold", how,
          "how long the source's snapshot outlives a killed run, so that the next one goes on "
          "chunk by chunk",
          .placeholder = "DURATION", .max = 7 * DAY, .initial = "15min"),
    FLAG("restart", PH_FOR_JOB, restart, NULL, how,
         "forget the job's ledger and start over; needs --yes"),

#if PH_OFFERS_FOLLOW
    FLAG("follow", PH_FOR_JOB | PH_FOR(RULES), follow, "copy.follow", follow,
         "keep applying the source's changes after the copy, until told to stop"),
    VALUE(
        "until", UNTIL, PH_FOR(COPY), until, "follow.until", follow,
        "end by itself: at what was written when the command was given, when it has caught up, or "
        "at a position of the source's WAL",
        .placeholder = "WHEN"),
    VALUE("at", UNTIL, PH_FOR(STOP), at, NULL, follow,
          "end a follow there, finished and proven, instead of stopping it now",
          .placeholder = "WHEN"),
    VALUE("publication", TEXT, PH_FOR_JOB, publication, "follow.publication", follow,
          "a publication of the source that has the tables; without it the job makes its own",
          .placeholder = "NAME"),
    FLAG("failover-slot", PH_FOR_JOB, failover_slot, "follow.failover_slot", follow,
         "make the slot one that standbys keep (PostgreSQL 17 and newer)"),
    FLAG("set-replica-identity", PH_FOR_JOB, set_replica_identity, "follow.set_replica_identity",
         follow,
         "give tables without a usable replica identity one, and FULL to those whose rules need "
         "whole old rows, on the source; `check` names the statements"),
    VALUE("snapshot-age", DURATION, PH_FOR_JOB, snapshot_age_seconds, "follow.snapshot_age", follow,
          "take a new snapshot between tables when it is older, so that vacuum goes on on the "
          "source",
          .placeholder = "DURATION", .min = 1, .max = 30 * DAY, .initial = "1h"),
    VALUE(
        "bulk-from", SIZE, PH_FOR_JOB, bulk_from_bytes, "follow.bulk_from", follow,
        "so much WAL that waits in the slot is decoded in bulk, by SQL and a temporary copy of the "
        "slot, before the stream begins; 1TB and more: never",
        .placeholder = "SIZE", .min = 64 * KB, .max = 1024 * TB, .initial = "16MB"),
    VALUE(
        "apply-jobs", NUMBER, PH_FOR_JOB, apply_jobs, "follow.apply_jobs", follow,
        "workers that apply tables independent of each other while four times --bulk-from or more "
        "waits; the target is not consistent until they meet. 1: never",
        .placeholder = "N", .min = 1, .max = 64,
        .initial_note = "half of --jobs, or of the processors"),
    VALUE("spool-limit", SIZE, PH_FOR_JOB, spool_limit_bytes, "follow.spool_limit", follow,
          "how much the directory may hold of changes that are not applied yet",
          .placeholder = "SIZE", .min = 64 * MB, .max = 1024 * TB, .initial_note = "no limit"),
    VALUE("spool-compression", WORD, PH_FOR_JOB, spool_compression, "follow.spool_compression",
          follow, "how changes are compressed in the directory", .placeholder = "CODEC",
          .words = codec_words, .initial = "lz4"),
    VALUE("ack", WORD, PH_FOR_JOB, ack, "follow.ack", follow,
          "what the source may forget: changes that are safe in the directory, or in the target",
          .placeholder = "WHEN", .words = ack_words, .initial = "spooled"),
    VALUE("on-conflict", WORD, PH_FOR_JOB, on_conflict, "follow.on_conflict", follow,
          "a change finds no row, or its key is there already: stop, leave it out, or make the row "
          "as the source has it",
          .placeholder = "ACTION", .words = conflict_words, .initial = "stop"),
#endif

    VALUE("verify", WORD, FOR_ROWS, verify, "copy.verify", proof,
          "what is compared: nothing, the number of rows, or every byte", .placeholder = "MODE",
          .words = verify_words, .initial = "digest"),
    FLAG("repair", PH_FOR(VERIFY), repair, NULL, proof,
         "mend missing, extra and different rows on the target; needs --yes"),
    FLAG("dry-run", PH_FOR(VERIFY), dry_run, NULL, proof,
         "with --repair: show what would be done, change nothing"),
    FLAG("leak-scan", PH_FOR(VERIFY), leak_scan, "leak.scan", proof,
         "look for source values of masked columns in all tables of the target"),
    VALUE("leak-values", NUMBER, PH_FOR(VERIFY), leak_values, "leak.values", proof,
          "how many different values of each masked column are looked for, chosen by hash",
          .placeholder = "N", .min = 1, .max = 1000000, .initial = "10000"),
    VALUE("leak-skip", LIST, PH_FOR(VERIFY), leak_skips, "leak.skip", proof,
          "a table or column of the target that may hold such values, schema.table or "
          "schema.table.column, patterns as in psql; may be repeated",
          .placeholder = "PATTERN"),

    VALUE("keep-c", TEXT, PH_FOR_JOB | PH_FOR(RULES), keep_c, NULL, output,
          "write the C that the rules become to a file as well", .placeholder = "FILE.c"),
    VALUE("output", TEXT, PH_FOR(RULES), output, NULL, output,
          "of rules build: the file for the compiled rules", .placeholder = "FILE.so"),
    VALUE("rows", NUMBER, PH_FOR(RULES), rows, NULL, output,
          "of rules test: how many rows of each table", .placeholder = "N", .min = 1, .max = 1000,
          .initial = "3"),
    VALUE(
        "rows-file", LIST, PH_FOR(RULES), rows_files, NULL, output,
        "of rules test: show rows of a file in place of that source table's, as COPY ... (HEADER) "
        "writes it; may be repeated",
        .placeholder = "TABLE=FILE"),
    VALUE("rules-object", TEXT, FOR_ROWS | PH_FOR(RULES), rules_object, "rules_object", how,
          "rules that `pghaul rules build` has compiled elsewhere: no compiler is needed here",
          .placeholder = "FILE.so"),
    VALUE("report", TEXT, PH_FOR(COPY) | PH_FOR(VERIFY), report, "report", output,
          "write the report as JSON, mode 0600", .placeholder = "FILE.json"),
    FLAG("json", FOR_JSON, json, NULL, output, "print the result as JSON"),
    FLAG("watch", PH_FOR(STATUS), watch, NULL, output,
         "print again every two seconds until the "
         "job ends"),
    VALUE("log-format", WORD, PH_FOR_ALL, log_format, "log_format", output,
          "format of the log and of errors on stderr", .placeholder = "FORMAT", .words = log_words,
          .initial = "text"),
    FLAG("quiet", PH_FOR_ALL, quiet, NULL, output,
         "no progress and no report on the terminal; only warnings and errors"),
    FLAG("source-gone", PH_FOR(CLEAN), source_gone, NULL, output,
         "the source of a job that followed does not exist any more: forget its slot there"),
    FLAG("yes", PH_FOR_ALL, yes, NULL, output,
         "consent to what removes something: clean, --truncate, --restart, --repair"),
    {.name = "help",
     .kind = PH_OPTION_INFO,
     .commands = PH_FOR_ALL,
     .group = output,
     .help = "print help and end; after a command: the command's"},
    {.name = "version",
     .kind = PH_OPTION_INFO,
     .commands = PH_FOR_ALL,
     .group = output,
     .help = "print the version and end"},
};

const size_t ph_option_count = sizeof ph_option_table / sizeof ph_option_table[0];
_Static_assert(sizeof ph_option_table / sizeof ph_option_table[0] <= PH_OPTIONS_MAX, "raise it");

const struct ph_option *
ph_option_find(const char *name)
{
    for (size_t i = 0; i < ph_option_count; i++) {
        if (strcmp(ph_option_table[i].name, name) == 0)
            return &ph_option_table[i];
    }
    return NULL;
}
