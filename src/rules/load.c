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
    bool is_foreign = is->st_uid != 0 && is->st_uid != geteuid();

    if (!is_foreign && (is->st_mode & 022) == 0)
        return PH_OK;
    PH_FAIL(err, PH_E_COMPILER, "%s %s %s", what, path,
            is_foreign ? "belongs to another user" : "can be written by others");
    ph_error_hint(err, "its code would run with this user's rights: make it again, as this user or "
                       "root and with mode go-w");
    return PH_E_COMPILER;
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
hint_build(struct ph_error *err)
{
    ph_error_hint(err, "make it again of this job file and these two databases, by this version of "
                       "pghaul: `pghaul rules build JOB --output FILE.so`");
    return PH_E_COMPILER;
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
    if (handle == NULL) {
        PH_FAIL(err, PH_E_COMPILER, "the compiled rules cannot be loaded: %s", dlerror());
        ph_error_hint(err, "it must be an object that `pghaul rules build` made for this kind of "
                           "machine, on a file system that is not mounted noexec (--dir, TMPDIR)");
        return PH_E_COMPILER;
    }
    const struct ph_rule_object *object = dlsym(handle, "ph_rule_object");
    if (check_object(set, object, path, err) != PH_OK) {
        dlclose(handle);
        return hint_build(err);
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
