/* Input: a serialised digest set. What is read writes the same bytes again. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ph_digest_set set;
    struct ph_buf out;

    if (len == 0 || !ph_digest_set_read(&set, (struct ph_span){data, len}))
        return 0;
    ph_buf_init(&out, 1u << 26);
    ph_digest_set_write(&set, &out);
    if (out.len != len || memcmp(out.data, data, len) != 0)
        abort();
    ph_buf_free(&out);
    ph_digest_set_free(&set);
    return 0;
}
