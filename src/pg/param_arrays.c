#include "pg/param_arrays.h"

#include <stdlib.h>
#include <string.h>

/* PostgreSQL takes no message of 1 GB; the rest of a Bind message is some bytes a parameter. */
#define MESSAGE_BYTES (((size_t)1 << 30) - ((size_t)1 << 20))
#define MAX_PARAMS 65535
#define MAX_TEXT_BYTES ((size_t)1 << 31)
/* More memory than this is not kept for the next statement. */
#define KEPT_BYTES ((size_t)65536)

void
ph_param_arrays_init(struct ph_param_arrays *arrays)
{
    *arrays = (struct ph_param_arrays){0};
    ph_buf_init(&arrays->texts, MAX_TEXT_BYTES);
}

void
ph_param_arrays_reset(struct ph_param_arrays *arrays)
{
    free(arrays->values);
    free(arrays->lengths);
    free(arrays->formats);
    ph_buf_free(&arrays->texts);
    ph_param_arrays_init(arrays);
}

void
ph_param_arrays_clear(struct ph_param_arrays *arrays)
{
    if (arrays->texts.cap > KEPT_BYTES)
        ph_buf_free(&arrays->texts);
    ph_buf_clear(&arrays->texts);
}

static ph_code
reserve(struct ph_param_arrays *arrays, uint32_t n, struct ph_error *err)
{
    if (n > MAX_PARAMS)
        return PH_FAIL(err, PH_E_INTERNAL, "a statement of %u parameters", n);
    if (n <= arrays->cap)
        return PH_OK;
    free(arrays->values);
    free(arrays->lengths);
    free(arrays->formats);
    arrays->values = calloc(n, sizeof *arrays->values);
    arrays->lengths = calloc(n, sizeof *arrays->lengths);
    arrays->formats = calloc(n, sizeof *arrays->formats);
    arrays->cap = n;
    if (arrays->values != NULL && arrays->lengths != NULL && arrays->formats != NULL)
        return PH_OK;
    arrays->cap = 0;
    return PH_FAIL(err, PH_E_MEMORY, "out of memory");
}

/* The bytes of all parameters, and how many of them are texts, which libpq wants terminated. */
static ph_code
measure(const struct ph_statement *statement, size_t *bytes, size_t *text_bytes,
        struct ph_error *err)
{
    *bytes = strlen(statement->sql);
    *text_bytes = 0;
    for (uint32_t i = 0; i < statement->n_params; i++) {
        const struct ph_param *param = &statement->params[i];
        if (param->kind == PH_PARAM_NULL)
            continue;
        *bytes += param->bytes.len;
        if (param->kind == PH_PARAM_TEXT)
            *text_bytes += param->bytes.len + 1;
        if (param->bytes.len > MESSAGE_BYTES || *bytes > MESSAGE_BYTES)
            return PH_FAIL(err, PH_E_ROW_TOO_LARGE,
                           "a statement with its values is larger than the 1 GB that the protocol"
                           " allows");
    }
    return PH_OK;
}

ph_code
ph_param_arrays_fill(struct ph_param_arrays *arrays, const struct ph_statement *statement,
                     size_t *bytes, struct ph_error *err)
{
    size_t text_bytes;

    PH_TRY(measure(statement, bytes, &text_bytes, err));
    PH_TRY(reserve(arrays, statement->n_params, err));
    ph_buf_clear(&arrays->texts);
    if (text_bytes > 0 && !ph_buf_reserve(&arrays->texts, text_bytes))
        return PH_FAIL(err, PH_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < statement->n_params; i++) {
        const struct ph_param *param = &statement->params[i];
        const char *value = param->bytes.data != NULL ? (const char *)param->bytes.data : "";
        arrays->values[i] = param->kind == PH_PARAM_NULL ? NULL : value;
        arrays->lengths[i] = (int)param->bytes.len;
        arrays->formats[i] = param->kind == PH_PARAM_BINARY ? 1 : 0;
        if (param->kind != PH_PARAM_TEXT)
            continue;
        arrays->values[i] = (const char *)arrays->texts.data + arrays->texts.len;
        ph_buf_append(&arrays->texts, param->bytes.data, param->bytes.len);
        ph_buf_append(&arrays->texts, "", 1);
    }
    return PH_OK;
}
