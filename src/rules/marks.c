/*
 * Marks of what the values of rules depend on beside the rules themselves: the job's secret, keys
 * in variables, users' libraries. They are not in the fingerprint, since `rules build` has none of
 * them; and a job goes on only with the same ones, or equal values would get different masks.
 *
 * A mark of a key is 64 bits of an HMAC of it. Who reads it can try keys against it, as against any
 * mask that the target has.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "rules/mask_parts.h"
#include "rules/ruleset_parts.h"

#define N_PARTS 3u
#define PART_LEN 16u /* hex digits */
#define KEYS_LIMIT ((size_t)1 << 20)
#define LIBRARY_LIMIT ((size_t)256 << 20)
#define NONE "-               " /* as long as a mark */

static void
mark_key(const char *label, struct ph_span key, char out[PART_LEN + 1])
{
    uint8_t hash[PH_PRF_SIZE];
    struct ph_prf prf;

    ph_prf_init(&prf, (struct ph_span){(const uint8_t *)label, strlen(label)});
    ph_prf(&prf, key, hash);
    snprintf(out, PART_LEN + 1, "%016llx", (unsigned long long)ph_load_u64(hash));
}

static void
mark_secret(const struct ph_ruleset *set, struct ph_span secret, char out[PART_LEN + 1])
{
    for (uint32_t i = 0; i < set->n_calls && secret.data != NULL; i++) {
        if ((set->calls[i].op->flags & PH_RULE_SECRET) != 0) {
            mark_key("pghaul job secret", secret, out);
            return;
        }
    }
}

/* The variable that has the call's key; NULL: none. */
static const char *
variable_of(const struct ph_call_plan *call)
{
    if (strcmp(call->op->name, "encrypt") != 0 || call->n_params == 0 ||
        strncmp(call->params[0], "env:", 4) != 0)
        return NULL;
    return getenv(call->params[0] + 4);
}

static ph_code
mark_variables(const struct ph_ruleset *set, char out[PART_LEN + 1], struct ph_error *err)
{
    struct ph_buf keys;

    ph_buf_init(&keys, KEYS_LIMIT);
    for (uint32_t i = 0; i < set->n_calls; i++) {
        const char *value = variable_of(&set->calls[i]);
        if (value != NULL)
            ph_buf_append(&keys, value, strlen(value) + 1);
    }
    bool complete = ph_buf_ok(&keys);
    if (complete && keys.len > 0)
        mark_key("pghaul job keys", (struct ph_span){keys.data, keys.len}, out);
    if (keys.data != NULL)
        OPENSSL_cleanse(keys.data, keys.len);
    ph_buf_free(&keys);
    return complete ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "no memory for the keys of rules");
}

static ph_code
append_file(const char *path, struct ph_buf *out, struct ph_error *err)
{
    char bytes[4096];
    FILE *file = fopen(path, "rbe");
    size_t len = 0;

    if (file == NULL)
        return PH_FAIL(err, PH_E_RULES, "the library %s cannot be read", path);
    while ((len = fread(bytes, 1, sizeof bytes, file)) > 0)
        ph_buf_append(out, bytes, len);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return PH_FAIL(err, PH_E_RULES, "the library %s cannot be read", path);
    return ph_buf_ok(out) ? PH_OK : PH_FAIL(err, PH_E_MEMORY, "no memory for a library's bytes");
}

static ph_code
mark_libraries(const struct ph_ruleset *set, char out[PART_LEN + 1], struct ph_error *err)
{
    struct ph_buf all;
    ph_code rc = PH_OK;

    if (set->n_libraries == 0)
        return PH_OK;
    ph_buf_init(&all, LIBRARY_LIMIT);
    for (uint32_t i = 0; rc == PH_OK && i < set->n_libraries; i++)
        rc = append_file(set->libraries[i].path, &all, err);
    struct ph_hash128 hash = ph_digest_row((struct ph_span){all.data, all.len});
    snprintf(out, PART_LEN + 1, "%016llx", (unsigned long long)hash.hi);
    ph_buf_free(&all);
    return rc;
}

ph_code
ph_ruleset_marks(const struct ph_ruleset *set, struct ph_span secret, char out[PH_RULE_MARKS_SIZE],
                 struct ph_error *err)
{
    char parts[N_PARTS][PART_LEN + 1] = {NONE, NONE, NONE};

    mark_secret(set, secret, parts[0]);
    PH_TRY(mark_variables(set, parts[1], err));
    PH_TRY(mark_libraries(set, parts[2], err));
    snprintf(out, PH_RULE_MARKS_SIZE, "%s %s %s", parts[0], parts[1], parts[2]);
    return PH_OK;
}

const char *
ph_ruleset_marks_differ(const char *then, const char *now)
{
    static const char *const words[N_PARTS] = {"the secret", "a key of `encrypt`",
                                               "a library of operators"};

    if (strlen(then) != PH_RULE_MARKS_SIZE - 1 || strlen(now) != PH_RULE_MARKS_SIZE - 1)
        return NULL;
    for (size_t i = 0; i < N_PARTS; i++) {
        const char *a = then + i * (PART_LEN + 1);
        const char *b = now + i * (PART_LEN + 1);
        if (*a != '-' && *b != '-' && memcmp(a, b, PART_LEN) != 0)
            return words[i];
    }
    return NULL;
}
