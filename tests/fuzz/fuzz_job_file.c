/* Any bytes as a job file: no crash, no leak, and an error says where it is. */
#include <stdint.h>
#include <stdlib.h>

#include "job/jobfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct ph_option_marks none;
    struct ph_options options;
    struct ph_error err;

    ph_error_reset(&err);
    if (ph_options_init(&options, &err) != PH_OK)
        abort();
    ph_code rc = ph_jobfile_parse("fuzz", data, len, &none, &options, &err);
    if (rc != PH_OK && (rc != PH_E_JOBFILE || err.object[0] == '\0' || err.message[0] == '\0'))
        abort();
    ph_options_free(&options);
    return 0;
}
