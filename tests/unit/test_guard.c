/* From where on a follow's guards warn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "job/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GB ((int64_t)1 << 30)

static char warnings[PH_GUARDS][PH_GUARD_TEXT];

/* All is well. */
static struct ph_guard_figures
calm(void)
{
    return (struct ph_guard_figures){
        .has_slot = true,
        .slot = {.wal_status = "reserved",
                 .kept_wal_bytes = GB,
                 .safe_wal_bytes = 3 * GB,
                 .xmin_age = -1,
                 .catalog_xmin_age = 100000000},
        .limits = {.keep_bytes = 4 * GB, .max_wal_bytes = GB, .freeze_max_age = 200000000},
        .spool_bytes = 768,
        .spool_limit_bytes = 1024,
        .disk_free_bytes = 50,
        .disk_bytes = 1000,
    };
}

/* Just this one warns, saying that; NULL: none does. */
static void
only(const struct ph_guard_figures *figures, enum ph_guard guard, const char *part)
{
    ph_guard_judge(figures, warnings);
    for (unsigned i = 0; i < PH_GUARDS; i++) {
        if (part == NULL || i != guard)
            assert_string_equal(warnings[i], "");
        else if (strstr(warnings[i], part) == NULL)
            fail_msg("%s: %s", ph_guard_name(guard), warnings[i]);
    }
}

static void
slot_near_its_limit(void **state)
{
    struct ph_guard_figures figures = calm();

    (void)state;
    only(&figures, PH_GUARD_SLOT, NULL);
    figures.slot.safe_wal_bytes = GB;
    only(&figures, PH_GUARD_SLOT, NULL);
    figures.slot.safe_wal_bytes = GB - 1;
    only(&figures, PH_GUARD_SLOT, "gives it up after 1.0 GB more");
    snprintf(figures.slot.wal_status, sizeof figures.slot.wal_status, "unreserved");
    only(&figures, PH_GUARD_SLOT, "at its next checkpoint");
    snprintf(figures.slot.wal_status, sizeof figures.slot.wal_status, "lost");
    only(&figures, PH_GUARD_SLOT, "PH-GAP");
    figures.has_slot = false;
    only(&figures, PH_GUARD_SLOT, NULL);
}

static void
slot_without_a_limit(void **state)
{
    struct ph_guard_figures figures = calm();

    (void)state;
    figures.limits.keep_bytes = figures.slot.safe_wal_bytes = -1;
    only(&figures, PH_GUARD_SLOT, NULL);
    figures.slot.kept_wal_bytes = GB + 1;
    only(&figures, PH_GUARD_SLOT, "more than its max_wal_size (1.0 GB)");
}

static void
old_xmin(void **state)
{
    struct ph_guard_figures figures = calm();

    (void)state;
    figures.slot.catalog_xmin_age++;
    only(&figures, PH_GUARD_XMIN, "100,000,001 transactions old");
    figures.slot.catalog_xmin_age = -1;
    figures.slot.xmin_age = 150000000;
    only(&figures, PH_GUARD_XMIN, "autovacuum_freeze_max_age 200,000,000");
}

static void
little_room(void **state)
{
    struct ph_guard_figures figures = calm();

    (void)state;
    figures.spool_bytes++;
    only(&figures, PH_GUARD_SPOOL, "769 B of --spool-limit 1.0 kB");
    figures.spool_limit_bytes = 0;
    only(&figures, PH_GUARD_SPOOL, NULL);
    figures.disk_free_bytes--;
    only(&figures, PH_GUARD_DISK, "49 B left of 1000 B");
    figures.disk_bytes = 0;
    only(&figures, PH_GUARD_DISK, NULL);
    figures.trouble = "away";
    only(&figures, PH_GUARD_RECEIVER, "nothing is received: away");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slot_near_its_limit),
        cmocka_unit_test(slot_without_a_limit),
        cmocka_unit_test(old_xmin),
        cmocka_unit_test(little_room),
    };

    cmocka_set_test_filter(getenv("PH_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
