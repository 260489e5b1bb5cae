/* Lanes with made-up ends: what they share must not make one wait for another for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/lane.h"

#include <string.h>
#include <unistd.h>

#define BATCH_BYTES 64
#define LARGE_BYTES 1000
#define PATIENCE_S 20 /* a lane that hangs is ended by SIGALRM */

/* Rows of these sizes, one a read; 0 ends them. */
struct fake {
    const size_t *sizes;
    size_t at;
    uint64_t written;
    ph_code write_rc;
};

static ph_code
open_fake(void *state, const struct ph_task *task, struct ph_error *err)
{
    struct fake *fake = state;

    (void)task;
    (void)err;
    fake->at = 0;
    return PH_OK;
}

static ph_code
read_fake(void *state, uint8_t *into, size_t size, size_t *len, struct ph_error *err)
{
    struct fake *fake = state;

    *len = fake->sizes[fake->at];
    if (*len > size)
        return PH_FAIL(err, PH_E_ROW_TOO_LARGE, "too large");
    memset(into, 'x', *len);
    fake->at += *len > 0;
    return PH_OK;
}

static void
abandon_fake(void *state)
{
    (void)state;
}

static const struct ph_source_ops source_ops = {open_fake, read_fake, abandon_fake};

static ph_code
open_program(void *state, const struct ph_task *task, struct ph_error *err)
{
    (void)state;
    (void)task;
    (void)err;
    return PH_OK;
}

static ph_code
run_program(void *state, struct ph_task *task, struct ph_batch *batch, struct ph_error *err)
{
    (void)state;
    (void)task;
    (void)err;
    batch->rows = 1;
    return PH_OK;
}

static ph_code
end_program(void *state, struct ph_task *task, struct ph_error *err)
{
    (void)state;
    (void)task;
    (void)err;
    return PH_OK;
}

static const struct ph_program_ops program_ops = {open_program, run_program, end_program};

static ph_code
write_fake(void *state, const struct ph_batch *batch, struct ph_error *err)
{
    struct fake *fake = state;

    fake->written += batch->len;
    return fake->write_rc == PH_OK ? PH_OK : PH_FAIL(err, fake->write_rc, "full");
}

static ph_code
end_fake(void *state, const struct ph_task *task, uint64_t rows, struct ph_error *err)
{
    (void)rows;
    return open_program(state, task, err);
}

static void
abandon_sink(void *state, const struct ph_task *task)
{
    (void)state;
    (void)task;
}

static const struct ph_sink_ops sink_ops = {open_program, write_fake, end_fake, abandon_sink};

static void
start_lane(struct ph_lane *lane, struct ph_budget *budget, struct fake *fake)
{
    struct ph_lane_params params = {
        .source = &source_ops,
        .source_state = fake,
        .program = &program_ops,
        .budget = budget,
        .batch_bytes = BATCH_BYTES,
        .max_row_bytes = 1u << 20,
    };

    assert_int_equal(ph_lane_start(lane, &params, NULL), PH_OK);
}

static ph_code
run_lane(struct ph_lane *lane, struct fake *fake)
{
    struct ph_table_plan table = {0};
    struct ph_task task = {.table = &table};
    struct ph_error err;

    fake->written = 0;
    return ph_lane_run(lane, &task, &sink_ops, fake, &err);
}

static const size_t small_rows[] = {10, 20, 30, 40, 50, 60, 0};
static const size_t ends_large[] = {10, LARGE_BYTES, 0};
static const size_t all_large[] = {LARGE_BYTES, LARGE_BYTES + 1, LARGE_BYTES + 2, 0};

/* A lane that has nothing more to do must not keep the others from reading. */
static void
large_row_at_the_end_holds_up_nobody(void **state)
{
    struct ph_budget budget;
    struct ph_lane lanes[2];
    struct fake fakes[2] = {{.sizes = ends_large}, {.sizes = small_rows}};

    (void)state;
    alarm(PATIENCE_S);
    ph_budget_init(&budget, 0);
    for (int i = 0; i < 2; i++)
        start_lane(&lanes[i], &budget, &fakes[i]);
    assert_int_equal(run_lane(&lanes[0], &fakes[0]), PH_OK);
    assert_int_equal(fakes[0].written, 10 + LARGE_BYTES);
    assert_int_equal(run_lane(&lanes[1], &fakes[1]), PH_OK);
    assert_int_equal(fakes[1].written, 210);
    fakes[1].sizes = all_large;
    assert_int_equal(run_lane(&lanes[1], &fakes[1]), PH_OK);
    assert_int_equal(fakes[1].written, 3 * LARGE_BYTES + 3);
    for (size_t i = 0; i < PH_LANE_BATCHES; i++)
        assert_int_equal(lanes[1].batches[i].capacity, BATCH_BYTES);
    for (int i = 0; i < 2; i++)
        ph_lane_stop(&lanes[i]);
    ph_budget_destroy(&budget);
    alarm(0);
}

/* A sink that failed takes no more, the task ends, and the lane is good for the next one. */
static void
sink_fails_while_a_large_row_is_under_way(void **state)
{
    struct ph_budget budget;
    struct ph_lane lanes[2];
    struct fake fakes[2] = {{.sizes = all_large, .write_rc = PH_E_TARGET_FULL},
                            {.sizes = ends_large}};

    (void)state;
    alarm(PATIENCE_S);
    ph_budget_init(&budget, 0);
    for (int i = 0; i < 2; i++)
        start_lane(&lanes[i], &budget, &fakes[i]);
    assert_int_equal(run_lane(&lanes[0], &fakes[0]), PH_E_TARGET_FULL);
    assert_int_equal(run_lane(&lanes[1], &fakes[1]), PH_OK);
    fakes[0].write_rc = PH_OK;
    assert_int_equal(run_lane(&lanes[0], &fakes[0]), PH_OK);
    assert_int_equal(fakes[0].written, 3 * LARGE_BYTES + 3);
    for (int i = 0; i < 2; i++)
        ph_lane_stop(&lanes[i]);
    ph_budget_destroy(&budget);
    alarm(0);
}

/* ---- a program that makes much of few rows ---- */

#define PORTIONS 5u

struct maker {
    uint32_t left; /* of the rows at hand */
    uint32_t made;
};

static ph_code
run_maker(void *state, struct ph_task *task, struct ph_batch *batch, struct ph_error *err)
{
    struct maker *maker = state;

    (void)task;
    (void)err;
    if (batch->len > 0)
        maker->left = PORTIONS;
    else if (batch->capacity == 0)
        assert_true(ph_batch_grow(batch, BATCH_BYTES));
    memset(batch->data, 'y', BATCH_BYTES);
    batch->len = BATCH_BYTES;
    batch->rows = 1;
    batch->has_more = --maker->left > 0;
    maker->made++;
    return PH_OK;
}

static const struct ph_program_ops maker_ops = {open_program, run_maker, end_program};

static uint64_t rows_at_end;

static ph_code
end_counting(void *state, const struct ph_task *task, uint64_t rows, struct ph_error *err)
{
    rows_at_end = rows;
    return open_program(state, task, err);
}

static const struct ph_sink_ops counting_sink_ops = {open_program, write_fake, end_counting,
                                                     abandon_sink};

/* All of it arrives, in batches of the usual size, of which there are so many and no more. */
static void
much_of_few_rows_goes_in_several_batches(void **state)
{
    struct maker maker = {0};
    struct fake fake = {.sizes = small_rows};
    struct ph_budget budget;
    struct ph_lane lane;
    struct ph_lane_params params = {
        .source = &source_ops,
        .source_state = &fake,
        .program = &maker_ops,
        .program_state = &maker,
        .budget = &budget,
        .batch_bytes = BATCH_BYTES,
        .max_row_bytes = 1u << 20,
    };
    struct ph_table_plan table = {0};
    struct ph_task task = {.table = &table};
    struct ph_error err;

    (void)state;
    alarm(PATIENCE_S);
    ph_budget_init(&budget, 0);
    assert_int_equal(ph_lane_start(&lane, &params, NULL), PH_OK);
    assert_int_equal(ph_lane_run(&lane, &task, &counting_sink_ops, &fake, &err), PH_OK);
    assert_int_equal(maker.made, 6 * PORTIONS);
    assert_int_equal(fake.written, 6 * PORTIONS * BATCH_BYTES);
    assert_int_equal(rows_at_end, 6 * PORTIONS);
    for (size_t i = 0; i < PH_LANE_MORE; i++)
        assert_int_equal(lane.more_batches[i].capacity, BATCH_BYTES);
    /* a sink that fails in the middle of them */
    fake.write_rc = PH_E_TARGET_FULL;
    task = (struct ph_task){.table = &table};
    assert_int_equal(ph_lane_run(&lane, &task, &counting_sink_ops, &fake, &err), PH_E_TARGET_FULL);
    fake.write_rc = PH_OK;
    fake.written = 0;
    task = (struct ph_task){.table = &table};
    assert_int_equal(ph_lane_run(&lane, &task, &counting_sink_ops, &fake, &err), PH_OK);
    assert_int_equal(fake.written, 6 * PORTIONS * BATCH_BYTES);
    ph_lane_stop(&lane);
    ph_budget_destroy(&budget);
    alarm(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_row_at_the_end_holds_up_nobody),
        cmocka_unit_test(sink_fails_while_a_large_row_is_under_way),
        cmocka_unit_test(much_of_few_rows_goes_in_several_batches),
    };

    return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
