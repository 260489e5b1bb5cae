/* The ruleset as a whole: check, generate, compile or find, load; and what is asked of it. */
#include "rules/ruleset.h"

#include <stdlib.h>
#include <unistd.h>

#include "rules/ruleset_parts.h"

#define ARENA_LIMIT ((size_t)1 << 30)
#define CODE_LIMIT ((size_t)64 << 20)

/* Into `output`, or loaded. What is loaded needs no file any more. */
static ph_code
compile(const struct ph_ruleset_params *params, struct ph_ruleset *set, const struct ph_buf *code,
        const char *output, struct ph_error *err)
{
    char folder[4096];
    char path[4096];
    struct ph_build_params build = {
        .dir = params->dir, .fingerprint = set->fingerprint, .code = code, .output = output};

    if (params->dir == NULL) {
        PH_TRY(ph_rules_temporary_folder(folder, sizeof folder, err));
        build.dir = folder;
    }
    ph_code rc = ph_rules_build(&build, path, sizeof path, err);
    if (rc == PH_OK && output == NULL)
        rc = ph_rules_load(set, path, err);
    if (params->dir == NULL) {
        ph_rules_clear_folder(folder);
        (void)rmdir(folder);
    }
    return rc;
}

static ph_code
make_object(const struct ph_ruleset_params *params, struct ph_ruleset *set,
            const struct ph_buf *code, struct ph_error *err)
{
    char path[4096];

    if (params->object != NULL)
        return ph_rules_load(set, params->object, err);
    if (params->dir == NULL ||
        ph_rules_cached(params->dir, set->fingerprint, path, sizeof path) != PH_OK ||
        access(path, F_OK) != 0)
        return compile(params, set, code, NULL, err);
    return ph_rules_load(set, path, err);
}

/* All but the object: `code` is what would be compiled. */
static ph_code
prepare(const struct ph_ruleset_params *params, struct ph_ruleset *set, struct ph_buf *code,
        struct ph_error *err)
{
    PH_TRY(ph_rules_check(params, set, err));
    PH_TRY(ph_rules_generate(set, code, err));
    PH_TRY(ph_rules_fingerprint(set, code, err));
    ph_rules_generate_object(set, code);
    if (!ph_buf_ok(code))
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the rules' C");
    if (params->keep_c != NULL)
        PH_TRY(ph_rules_write_code(params->keep_c, code, err));
    return PH_OK;
}

static ph_code
list_ops(struct ph_ruleset *set, struct ph_error *err)
{
    set->ops = PH_ARENA_ARRAY(&set->arena, const struct ph_rule_op *, (size_t)set->n_calls + 1);
    if (set->ops == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the rules");
    for (uint32_t i = 0; i < set->n_calls; i++)
        set->ops[i] = set->calls[i].op;
    return PH_OK;
}

static struct ph_ruleset *
new_set(void)
{
    struct ph_ruleset *set = calloc(1, sizeof *set);

    if (set != NULL)
        ph_arena_init(&set->arena, ARENA_LIMIT);
    return set;
}

ph_code
ph_ruleset_make(const struct ph_ruleset_params *params, struct ph_ruleset **out,
                struct ph_error *err)
{
    struct ph_ruleset *set = new_set();
    struct ph_buf code;

    *out = NULL;
    if (set == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the rules");
    ph_buf_init(&code, CODE_LIMIT);
    ph_code rc = prepare(params, set, &code, err);
    if (rc == PH_OK && set->has_program)
        rc = make_object(params, set, &code, err);
    if (rc == PH_OK)
        rc = list_ops(set, err);
    ph_buf_free(&code);
    if (rc != PH_OK) {
        ph_ruleset_free(set);
        return rc;
    }
    *out = set;
    return PH_OK;
}

ph_code
ph_ruleset_build(const struct ph_ruleset_params *params, const char *output, struct ph_error *err)
{
    struct ph_ruleset *set = new_set();
    struct ph_buf code;

    if (set == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the rules");
    ph_buf_init(&code, CODE_LIMIT);
    ph_code rc = prepare(params, set, &code, err);
    if (rc == PH_OK)
        rc = compile(params, set, &code, output, err);
    ph_buf_free(&code);
    ph_ruleset_free(set);
    return rc;
}

ph_code
ph_ruleset_find_fingerprint(const struct ph_ruleset_params *params, char out[PH_FINGERPRINT_SIZE],
                            struct ph_error *err)
{
    struct ph_ruleset *set = new_set();
    struct ph_buf code;

    if (set == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the rules");
    ph_buf_init(&code, CODE_LIMIT);
    ph_code rc = prepare(params, set, &code, err);
    if (rc == PH_OK)
        memcpy(out, set->fingerprint, PH_FINGERPRINT_SIZE);
    ph_buf_free(&code);
    ph_ruleset_free(set);
    return rc;
}

void
ph_ruleset_free(struct ph_ruleset *set)
{
    if (set == NULL)
        return;
    ph_rules_unload(set);
    ph_arena_reset(&set->arena);
    free(set);
}

uint32_t
ph_ruleset_count(const struct ph_ruleset *set)
{
    return set->n_routes;
}

const struct ph_route *
ph_ruleset_route(const struct ph_ruleset *set, uint32_t number)
{
    return &set->routes[number];
}

/* Of a chain that ends in a map which lets nothing else through. */
static const struct ph_step_plan *
last_map(const struct ph_make_plan *make)
{
    const struct ph_step_plan *last = make->n_steps > 0 ? &make->steps[make->n_steps - 1] : NULL;

    return make->kind == PH_MAKE_CHAIN && last != NULL && last->kind == PH_STEP_MAP &&
                   last->otherwise != PH_ELSE_KEEP
               ? last
               : NULL;
}

bool
ph_route_preserves(const struct ph_route *route, uint32_t output)
{
    for (uint32_t i = 0; i < route->n_preserved; i++) {
        if (route->preserved[i] == output)
            return true;
    }
    return false;
}

enum ph_output_values
ph_ruleset_output_values(const struct ph_ruleset *set, const struct ph_route *route,
                         uint32_t output)
{
    const struct ph_make_plan *make = &set->plans[route->number].makes[output];

    switch (make->kind) {
    case PH_MAKE_PASS:
        return PH_VALUES_PASSED;
    case PH_MAKE_CONSTANT:
    case PH_MAKE_NAME:
        return PH_VALUES_CERTAIN;
    case PH_MAKE_CHAIN:
        if (make->n_steps == 0 && make->args[0].kind == PH_ARG_INPUT &&
            route->inputs[make->args[0].input].column != NULL)
            return PH_VALUES_PASSED;
        break;
    case PH_MAKE_POSITION:
        break;
    }
    return last_map(make) != NULL ? PH_VALUES_MAPPED : PH_VALUES_MADE;
}

static bool
mapped_value(const struct ph_step_plan *map, uint32_t i, struct ph_value *out)
{
    if (i < map->n_entries) {
        *out = map->entries[i].value;
        return true;
    }
    i -= map->n_entries;
    if (map->has_null && i-- == 0) {
        *out = map->null_value;
        return true;
    }
    *out = map->constant;
    return map->otherwise == PH_ELSE_VALUE && i == 0;
}

/* The constants of the defaults at the end of a chain, then those of the map before them. */
static bool
last_constant(const struct ph_make_plan *make, uint32_t i, struct ph_value *out)
{
    uint32_t n = make->n_steps;

    while (n > 0 && make->steps[n - 1].kind == PH_STEP_DEFAULT) {
        *out = make->steps[--n].constant;
        if (i-- == 0)
            return true;
    }
    return n > 0 && make->steps[n - 1].kind == PH_STEP_MAP &&
           mapped_value(&make->steps[n - 1], i, out);
}

bool
ph_ruleset_output_value(const struct ph_ruleset *set, const struct ph_route *route, uint32_t output,
                        uint32_t i, struct ph_value *out)
{
    const struct ph_route_plan *plan = &set->plans[route->number];
    const struct ph_make_plan *make = &plan->makes[output];

    if (make->kind == PH_MAKE_CHAIN)
        return last_constant(make, i, out);
    if (make->kind == PH_MAKE_NAME && i < plan->shape.n_inputs) {
        *out = plan->shape.names[i];
        return true;
    }
    *out = make->constant;
    return make->kind == PH_MAKE_CONSTANT && i == 0;
}

const char *
ph_ruleset_fingerprint(const struct ph_ruleset *set)
{
    return set->fingerprint;
}

uint32_t
ph_ruleset_count_lookups(const struct ph_ruleset *set)
{
    return set->n_lookups;
}

const struct ph_lookup *
ph_ruleset_lookup(const struct ph_ruleset *set, uint32_t number)
{
    return &set->lookups[number];
}

const struct ph_route *
ph_ruleset_of(const struct ph_ruleset *set, ph_oid source_oid, uint32_t *n_routes)
{
    uint32_t lo = 0;
    uint32_t hi = set->n_by_source;

    *n_routes = 0;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (set->by_source[mid].oid < source_oid)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == set->n_by_source || set->by_source[lo].oid != source_oid)
        return NULL;
    *n_routes = set->by_source[lo].n;
    return &set->routes[set->by_source[lo].first];
}
