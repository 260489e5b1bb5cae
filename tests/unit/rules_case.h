/* What every test of checked rules begins with: two databases by hand, and a job that is refused.
 */
#ifndef PH_TEST_RULES_CASE_H
#define PH_TEST_RULES_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_rules.h"

static struct fake_rules fake;

static inline int
begin(void **state)
{
    (void)state;
    fake_rules_begin(&fake);
    return 0;
}

static inline int
end(void **state)
{
    (void)state;
    fake_rules_end(&fake);
    return 0;
}

/* Within a test: as if it had just begun. */
static inline void
begin_again(void)
{
    fake_rules_end(&fake);
    fake_rules_begin(&fake);
}

#define rules_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

static inline const struct ph_route *
route(uint32_t number)
{
    return ph_ruleset_route(fake.set, number);
}

/* The same table on both sides. */
static inline void
table_on_both(const char *name, const char *source, const char *target)
{
    fake_table(&fake.source, name, source);
    fake_table(&fake.target, name, target);
}

static inline void
says(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("%s\ndoes not hold\n%s", text, part);
}

static inline void
refused(const char *job, const char *message)
{
    ph_code rc = fake_make(&fake, job);

    if (rc != PH_E_RULES)
        fail_msg("not refused (%d %s):\n%s", (int)rc, fake.err.message, job);
    says(fake.err.message, message);
}

/* Runs the group with a folder for compiled rules. */
#define rules_run(name, tests)                                                                     \
    (snprintf(fake.dir, sizeof fake.dir, "/tmp/%s.XXXXXX", name),                                  \
     mkdtemp(fake.dir) == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL))

#endif
