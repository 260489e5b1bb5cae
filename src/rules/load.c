/*
 * A compiled object is code that runs with pghaul's rights: before it is loaded, it must be a file
 * that only root or this user could have written, and what it says of itself must be what the
 * rules at hand came to.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rules/ruleset_parts.h"

static ph_code
check_owner(const struct stat *is, const char *path, const char *what, struct ph_error *err)
{
    if (is->st_uid != 0 && is->st_uid != geteuid())
        return PH_FAIL(err, PH_E_COMPILER, "%s %s belongs to another user", what, path);
    if ((is->st_mode & 022) != 0)
        return PH_FAIL(err, PH_E_COMPILER, "%s %s can be written by others", what, path);
    return PH_OK;
}

ph_code
ph_rules_check_file(const char *path, const char *what, struct ph_error *err)
{
    struct stat is;

    if (stat(path, &is) != 0)
        return PH_FAIL(err, PH_E_COMPILER, "%s %s: %s", what, path, strerror(errno));
    if (!S_ISREG(is.st_mode))
        return PH_FAIL(err, PH_E_COMPILER, "%s %s is not a file", what, path);
    return check_owner(&is, path, what, err);
}

static ph_code
check_object(const struct ph_ruleset *set, const struct ph_rule_object *object, const char *path,
             struct ph_error *err)
{
    if (object == NULL)
        return PH_FAIL(err, PH_E_COMPILER, "%s exports no ph_rule_object", path);
    if (object->abi != PH_RULE_ABI)
        return PH_FAIL(err, PH_E_COMPILER, "%s was made for interface %u of rules, not %u", path,
                       object->abi, PH_RULE_ABI);
    if (strcmp(object->fingerprint, set->fingerprint) != 0)
        return PH_FAIL(err, PH_E_COMPILER,
                       "%s was made of other rules or other tables (%.32s, these are %s)", path,
                       object->fingerprint, set->fingerprint);
    if (object->n_routes != set->n_routes || object->n_calls != set->n_calls)
        return PH_FAIL(err, PH_E_COMPILER, "%s has other routes than its fingerprint says", path);
    return PH_OK;
}

ph_code
ph_rules_load(struct ph_ruleset *set, const char *path, struct ph_error *err)
{
    PH_TRY(ph_rules_check_file(path, "the compiled rules", err));
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return PH_FAIL(err, PH_E_COMPILER, "the compiled rules cannot be loaded: %s", dlerror());
    const struct ph_rule_object *object = dlsym(handle, "ph_rule_object");
    ph_code rc = check_object(set, object, path, err);
    if (rc != PH_OK) {
        dlclose(handle);
        return rc;
    }
    set->handle = handle;
    set->object = object;
    return PH_OK;
}

void
ph_rules_unload(struct ph_ruleset *set)
{
    if (set->handle != NULL)
        dlclose(set->handle);
    set->handle = NULL;
    set->object = NULL;
    for (uint32_t i = 0; i < set->n_libraries; i++)
        dlclose(set->libraries[i].handle);
    set->n_libraries = 0;
}
