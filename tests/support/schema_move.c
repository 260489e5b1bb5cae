#include "support/schema_move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "pg/ddl.h"
#include "pg/schema_compare.h"
#include "support/run.h"
#include "support/scratch.h"

void
move_check(ph_code code, const struct ph_error *err, const char *what)
{
    char text[3000];

    if (code == PH_OK)
        return;
    ph_error_format(err, text, sizeof text);
    fail_msg("%s: %s", what, text);
}

static ph_code
on_batch(void *arg, struct ph_conn *conn, uint32_t entries_done, struct ph_error *err)
{
    (void)conn;
    (void)err;
    ((struct move *)arg)->done = entries_done;
    return PH_OK;
}

static void
on_warning(void *arg, const struct ph_error *warning)
{
    (void)warning;
    ((struct move *)arg)->warnings++;
}

void
move_begin(struct move *move, const struct pg_test_cluster *src, const char *from,
           const struct pg_test_cluster *dst, const char *to)
{
    struct ph_error err = {0};

    *move = (struct move){.src = src, .dst = dst, .from = from, .to = to};
    MOVE_CHECK(ph_endpoint_init(&move->source, PH_SOURCE, pg_test_conninfo(src, from), "t", &err));
    MOVE_CHECK(ph_endpoint_init(&move->target, PH_TARGET, pg_test_conninfo(dst, to), "t", &err));
    move->params = (struct ph_archive_params){
        .source = &move->source,
        .source_version = src->params.major == 0 ? 150000 : src->params.major * 10000,
        .target_version = dst->params.major == 0 ? 150000 : dst->params.major * 10000,
        .path = scratch_printf("%s/%s.archive", scratch_dir(), to),
        .leave_out = "pghaul",
    };
    MOVE_CHECK(ph_archive_dump(&move->params, &err));
    MOVE_CHECK(ph_archive_open(&move->params, &move->archive, &err));
    MOVE_CHECK(ph_conn_open(&move->target, "schema", &move->conn, &err));
}

void
move_end(struct move *move)
{
    ph_conn_free(move->conn);
    ph_archive_reset(&move->archive);
    ph_endpoint_reset(&move->source);
    ph_endpoint_reset(&move->target);
}

void
move_pre_data(struct move *move)
{
    struct ph_error err = {0};
    struct ph_ddl_hooks hooks = {move, on_batch, on_warning};

    MOVE_CHECK(ph_ddl_pre_data(move->conn, &move->archive, 0, &hooks, &err));
    assert_int_equal(move->done, move->archive.n_entries);
    assert_int_equal(move->warnings, 0);
}

static const char *
dump_file(const struct pg_test_cluster *cluster, const char *dbname, const char *option)
{
    struct run *run = run_start_copy(
        NULL, (const char *const[]){"pg_dump", "--schema-only", "--no-publications",
                                    "--no-subscriptions", "--restrict-key=x", "-N", "pghaul",
                                    option, "-d", pg_test_conninfo(cluster, dbname), NULL});

    run_expect(run, 0);
    return run->out_path;
}

void
move_assert_same_dump(const struct move *move, const char *option)
{
    const char *a = dump_file(move->src, move->from, option);
    const char *b = dump_file(move->dst, move->to, option);

    run_expect(run_start_copy(NULL, (const char *const[]){"diff", "-u", a, b, NULL}), 0);
}

bool
wanted_has_rel(void *arg, ph_oid oid)
{
    const struct wanted *wanted = arg;

    return strstr(wanted->oids, scratch_printf("|%u\n", oid)) != NULL;
}

static bool
has_rows(void *arg, ph_oid oid)
{
    const struct ledger *ledger = arg;

    return ledger->wanted == NULL || wanted_has_rel(ledger->wanted, oid);
}

static bool
is_done(void *arg, const char *key)
{
    const struct ledger *ledger = arg;

    for (int i = 0; i < ledger->n; i++) {
        if (strcmp(ledger->keys[i], key) == 0)
            return true;
    }
    return false;
}

void
move_build_steps(struct move *move, struct ledger *ledger, uint64_t split_bytes,
                 struct ph_steps *steps)
{
    struct ph_error err = {0};
    struct ph_conn *source;

    MOVE_CHECK(ph_conn_open(&move->source, "facts", &source, &err));
    MOVE_CHECK(ph_steps_build(&(struct ph_steps_params){.archive = &move->archive,
                                                        .source = source,
                                                        .split_key_bytes = split_bytes,
                                                        .split_fk_bytes = split_bytes,
                                                        .analyze = true,
                                                        .refresh = true,
                                                        .arg = ledger,
                                                        .is_done = is_done,
                                                        .has_rows = has_rows},
                              steps, &err));
    ph_conn_free(source);
}

void
move_post_data(struct move *move, struct wanted *wanted, uint64_t split_bytes, int forget_after)
{
    struct ledger ledger = {.wanted = wanted};
    struct ph_error err = {0};
    struct ph_steps steps;
    uint32_t at = 0;

    move_build_steps(move, &ledger, split_bytes, &steps);
    while (!ph_steps_all_done(&steps)) {
        struct ph_step *step = ph_steps_take(&steps);

        if (step == NULL) {
            assert_true(at < move->archive.n_entries);
            ph_steps_table_done(&steps, move->archive.entries[at].oid);
            ph_steps_table_done(&steps, move->archive.entries[at++].oid);
            continue;
        }
        MOVE_CHECK(ph_ddl_run_step(move->conn, step, NULL, NULL, &err));
        assert_false(is_done(&ledger, step->key));
        ledger.keys[ledger.n++] = scratch_printf("%s", step->key);
        ph_steps_finish(&steps, step);
        if (ledger.n % forget_after == 0) {
            ph_steps_reset(&steps);
            split_bytes = ~split_bytes;
            at = 0;
            move_build_steps(move, &ledger, split_bytes, &steps);
        }
    }
    ph_steps_reset(&steps);
}

void
move_compare(struct move *move, struct ph_findings *findings)
{
    struct ph_error err = {0};
    struct ph_conn *source;

    ph_findings_init(findings);
    MOVE_CHECK(ph_conn_open(&move->source, "compare", &source, &err));
    MOVE_CHECK(ph_conn_exec(source, "BEGIN", &err));
    MOVE_CHECK(ph_conn_exec(move->conn, "BEGIN", &err)); /* a warning where one is open */
    MOVE_CHECK(ph_schema_compare(
        &(struct ph_schema_compare){.source = source, .target = move->conn}, findings, &err));
    ph_conn_free(source);
}

const char *
move_findings_text(const struct ph_findings *findings)
{
    const char *text = "";

    for (uint32_t i = 0; i < findings->n; i++) {
        const struct ph_finding *finding = &findings->items[i];

        text = scratch_printf("%s%s %s %s: %s\n", text, ph_severity_name(finding->severity),
                              finding->kind, finding->object, finding->cause);
    }
    return text;
}

void
move_assert_no_difference(struct move *move)
{
    struct ph_error err = {0};
    struct ph_findings findings;

    move_compare(move, &findings);
    MOVE_CHECK(ph_conn_exec(move->conn, "COMMIT", &err));
    assert_string_equal(move_findings_text(&findings), "");
    ph_findings_reset(&findings);
}
