/* What every test that reads options or job files begins with. */
#ifndef PH_TEST_OPTIONS_CASE_H
#define PH_TEST_OPTIONS_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "job/jobfile.h"

static struct ph_options options;
static struct ph_option_marks marks;
static struct ph_error err;

static inline int
begin(void **context)
{
    (void)context;
    ph_error_reset(&err);
    memset(&marks, 0, sizeof marks);
    return ph_options_init(&options, &err) == PH_OK ? 0 : -1;
}

static inline int
end(void **context)
{
    (void)context;
    ph_options_free(&options);
    return 0;
}

#define options_test(function) cmocka_unit_test_setup_teardown(function, begin, end)

static inline ph_code
parse(const char *text)
{
    return ph_jobfile_parse("job.yaml", (const uint8_t *)text, strlen(text), &marks, &options,
                            &err);
}

/* The job file is refused at that place ("job.yaml:2:5") with a message that holds `part`. */
static inline void
refused_at(const char *text, const char *place, const char *part)
{
    ph_error_reset(&err);
    assert_int_equal(parse(text), PH_E_JOBFILE);
    if (strstr(err.message, part) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.message, part);
    assert_string_equal(err.object, place);
}

#endif
