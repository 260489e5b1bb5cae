#!/bin/bash
# One contender's run: lib/jobs.sh NAME. Everything in it is timed.
# Environment: SRC, DST (URIs), TMP (empty directory), PGHAUL (the binary), PIECE (bytes of a split).
set -euo pipefail

# ---- rows only, into tables that exist

# Largest first.
tables() {
    psql -XAtq "$SRC" -c "SELECT oid::regclass FROM pg_class WHERE relkind = 'r'
        AND relnamespace = 'public'::regnamespace ORDER BY pg_table_size(oid) DESC"
}

# "table first-page end-page": tables above PIECE bytes in several pieces, the others whole.
pieces() {
    psql -XAtq -F ' ' "$SRC" -c "
        SELECT oid::regclass, CASE WHEN n > 1 THEN (pages / n + 1) * part END,
               CASE WHEN part < n - 1 THEN (pages / n + 1) * (part + 1) END
        FROM (SELECT oid, pg_relation_size(oid) / 8192 AS pages, size,
                     1 + size / $PIECE AS n
              FROM (SELECT oid, pg_table_size(oid) AS size FROM pg_class WHERE relkind = 'r'
                    AND relnamespace = 'public'::regnamespace) s) t,
             LATERAL generate_series(0, n - 1) part ORDER BY size / n DESC, 1, 2"
}

one_piece() {
    local table=$1 first=${2:-} last=${3:-} from=$1
    if [ -n "$first" ]; then
        from="(SELECT * FROM $table WHERE ctid >= '($first,0)'"
        [ -z "$last" ] || from+=" AND ctid < '($last,0)'"
        from+=")"
    fi
    psql -Xq "$SRC" -c "COPY $from TO STDOUT (FORMAT binary)" |
        psql -Xq "$DST" -c "COPY $table FROM STDIN (FORMAT binary)"
}
export -f one_piece

pipe() {
    local table
    for table in $(tables); do one_piece "$table"; done
}

two_pipes() {
    pieces | xargs -P 2 -d '\n' -I{} bash -c 'set -o pipefail; one_piece {}'
}

haul() {
    "$PGHAUL" copy --source "$SRC" --target "$DST" --name bench --dir "$TMP/spool" --quiet \
        --report "$TMP/report.json" "$@"
}
haul_rows_1() { haul --data-only --jobs 1 --verify none; }
haul_rows_2() { haul --data-only --jobs 2 --verify none; }

# ---- whole jobs: schema, rows, indexes, constraints, foreign keys, ANALYZE

analyze() { vacuumdb -q --analyze-only -j 2 -d "$DST"; }

pgcopydb_defaults() {
    pgcopydb clone --source "$SRC" --target "$DST" --dir "$TMP/pgcopydb" >"$TMP/log" 2>&1 ||
        { tail -5 "$TMP/log" >&2; return 1; }
}

dump_restore() {
    pg_dump -Fd -j 2 "$@" -f "$TMP/dump" -d "$SRC"
    pg_restore -j 2 -d "$DST" "$TMP/dump"
    analyze
}
dump_z0() { dump_restore -Z0; }
dump_gzip() { dump_restore; }

before() {
    pg_dump -Fc --schema-only --no-publications --no-subscriptions -f "$TMP/schema" -d "$SRC"
    pg_restore --section=pre-data -d "$DST" "$TMP/schema"
}
after() {
    pg_restore --section=post-data -j 2 -d "$DST" "$TMP/schema"
    analyze
}

pipes_restore() {
    before
    two_pipes
    after
}

native() {
    before
    psql -Xq "$SRC" -c "CREATE PUBLICATION bench FOR ALL TABLES"
    psql -Xq "$DST" -c "CREATE SUBSCRIPTION bench CONNECTION '$SRC' PUBLICATION bench" 2>/dev/null
    until [ "$(psql -XAtq "$DST" -c "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate NOT IN ('r', 's')")" = 0 ]; do
        sleep 0.1
    done
    psql -Xq "$DST" -c "DROP SUBSCRIPTION bench" 2>/dev/null
    psql -Xq "$SRC" -c "DROP PUBLICATION bench"
    after
}

haul_job() { haul --verify none; }
haul_proof() { haul; }

# ---- rules: the job file comes first

data=$(dirname "$0")/../data
haul_rules() { # JOBFILE, and options
    "$PGHAUL" copy "$data/$1" --source "$SRC" --target "$DST" --name bench --dir "$TMP/spool" --quiet "${@:2}"
}
haul_rules_drop() { haul_rules drop.yaml --data-only; }
haul_rules_map() { haul_rules map.yaml --data-only; }
haul_rules_drop_rows() { haul_rules drop.yaml --data-only --verify none; }
haul_rules_map_rows() { haul_rules map.yaml --data-only --verify none; }
haul_rules_plain() { haul; }
haul_rules_mask() { haul_rules mask.yaml; }

"$@"
