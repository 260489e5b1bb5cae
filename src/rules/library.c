/* dlopen after a look at who could have written the file: its code runs with pghaul's rights. */
#include "rules/library.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "rules/ruleset_parts.h"

#define LIBRARIES_MAX 32u

static const char *
resolve(struct ph_ruleset *set, const char *job_file, const char *path)
{
    const char *slash = job_file == NULL ? NULL : strrchr(job_file, '/');
    char real[PATH_MAX];
    const char *full = path;

    if (path[0] != '/' && slash != NULL)
        full = ph_arena_printf(&set->arena, "%.*s/%s", (int)(slash - job_file), job_file, path);
    if (full == NULL || realpath(full, real) == NULL)
        return NULL;
    return ph_arena_strdup(&set->arena, real);
}

static ph_code
check_library(const struct ph_rule_library *library, const char *path, struct ph_error *err)
{
    if (library == NULL)
        return PH_FAIL(err, PH_E_RULES, "%s exports no ph_rule_library", path);
    if (library->abi != PH_RULE_ABI)
        return PH_FAIL(
            err, PH_E_RULES,
            "%s was made for interface %u of rules, this pghaul has %u: compile it again", path,
            library->abi, PH_RULE_ABI);
    for (uint32_t i = 0; i < library->n_ops; i++) {
        const struct ph_rule_op *op = &library->ops[i];
        if (op->name == NULL || op->signature == NULL || op->run == NULL)
            return PH_FAIL(err, PH_E_RULES, "%s: operator %u lacks name, signature or run", path,
                           i + 1);
    }
    return PH_OK;
}

ph_code
ph_rules_open_library(struct ph_ruleset *set, const char *job_file, const char *path,
                      const struct ph_rule_library **out, struct ph_error *err)
{
    const char *real = resolve(set, job_file, path);

    if (real == NULL)
        return PH_FAIL(err, PH_E_RULES, "there is no library %s", path);
    for (uint32_t i = 0; i < set->n_libraries; i++) {
        if (strcmp(set->libraries[i].path, real) == 0) {
            *out = set->libraries[i].library;
            return PH_OK;
        }
    }
    if (set->libraries == NULL)
        set->libraries = PH_ARENA_ARRAY(&set->arena, struct ph_rule_library_handle, LIBRARIES_MAX);
    if (set->libraries == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for libraries");
    if (set->n_libraries == LIBRARIES_MAX)
        return PH_FAIL(err, PH_E_RULES, "more than %u libraries", LIBRARIES_MAX);
    PH_TRY(ph_rules_check_file(real, "the library", err));
    void *handle = dlopen(real, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return PH_FAIL(err, PH_E_RULES, "the library cannot be loaded: %s", dlerror());
    *out = dlsym(handle, "ph_rule_library");
    ph_code rc = check_library(*out, real, err);
    if (rc != PH_OK) {
        dlclose(handle);
        return rc;
    }
    set->libraries[set->n_libraries++] =
        (struct ph_rule_library_handle){.path = real, .handle = handle, .library = *out};
    return PH_OK;
}
