/*
 * Child programs: pg_dump and pg_restore, found, checked and run.
 *
 * A program never sees a password in its arguments: it gets the server by PG* variables
 * (ph_endpoint_env). Any thread; nothing is shared. A child inherits no open file but the three
 * standard ones, no blocked signals, and is ended by a wish to stop (base/stop.h).
 */
#ifndef PH_PG_TOOL_H
#define PH_PG_TOOL_H

#include "base/buf.h"
#include "base/error.h"

struct ph_tool {
    char path[512];
    int major; /* 15 */
};

/*
 * Find `name` with a major of at least `min_major` on PATH and in /usr/lib/postgresql/<major>/bin:
 * that of `wanted_major` when there is one, otherwise the newest. PH_E_TOOL when there is none at
 * all, PH_E_VERSION when all are too old; both name what was looked for.
 */
ph_code ph_tool_find(const char *name, int min_major, int wanted_major, struct ph_tool *out,
                     struct ph_error *err);
/* The program `name` that lies beside `tool`; PH_E_TOOL when it is missing. */
ph_code ph_tool_sibling(const struct ph_tool *tool, const char *name, struct ph_tool *out,
                        struct ph_error *err);
/* The major in "pg_dump (PostgreSQL) 15.4 (Debian ...)"; 0 when there is none. */
int ph_tool_parse_version(const char *text);

struct ph_tool_run {
    const char *const *argv; /* argv[0] is the path; NULL-terminated */
    char *const *env;        /* the whole environment; NULL: that of this process */
    struct ph_buf *out;      /* what it prints is appended; NULL: thrown away */
};

/*
 * Run it to its end. PH_E_TOOL with the end of what it said on stderr when it fails or cannot be
 * started, PH_E_STOPPED when stopped, PH_E_MEMORY when `out` is full.
 */
ph_code ph_tool_run(const struct ph_tool_run *run, struct ph_error *err);

#endif
