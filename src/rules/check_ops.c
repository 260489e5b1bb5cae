/*
 * Finding the operator that a step names: by name, then by the types of its arguments. A family's
 * rows are few and read once a rule, so they are searched one after the other.
 */
#include <stdlib.h>

#include "base/nearest.h"
#include "rules/check_parts.h"
#include "rules/library.h"
#include "rules/ops.h"

#define PARAMS_LIMIT ((size_t)64 << 10)

struct rows { /* operators of one table */
    const struct ph_rule_op *ops;
    uint32_t n;
};

/* The table number `i` to look in; false: no more. */
static bool
next_rows(const struct ph_rule_library *library, uint32_t i, struct rows *rows)
{
    rows->ops = library != NULL ? library->ops : ph_rule_families[i].ops;
    rows->n = library != NULL ? library->n_ops : ph_rule_families[i].n_ops;
    return library != NULL ? i == 0 : ph_rule_families[i].name != NULL;
}

static const struct ph_rule_op *
find(const struct ph_rule_library *library, const struct ph_op_wanted *wanted, const char *want,
     char result[PH_CLASS_SIZE])
{
    struct rows rows;

    for (uint32_t i = 0; next_rows(library, i, &rows); i++) {
        for (uint32_t k = 0; k < rows.n; k++) {
            if (strcmp(rows.ops[k].name, wanted->name) == 0 &&
                ph_signature_fits(rows.ops[k].signature, wanted->args, wanted->n_args, result) &&
                (want == NULL || strcmp(want, result) == 0))
                return rows.ops + k;
        }
    }
    return NULL;
}

static void
put_args(struct ph_buf *out, const struct ph_op_wanted *wanted)
{
    for (uint32_t i = 0; i < wanted->n_args; i++)
        ph_buf_printf(out, "%s%s", i > 0 ? ", " : "", wanted->args[i]);
}

/* What the operator does take, or which one may be meant. */
static void
tell(struct ph_checker *checker, const struct ph_draft *draft,
     const struct ph_rule_library *library, const struct ph_op_wanted *wanted)
{
    struct ph_nearest nearest = {.word = wanted->name};
    struct ph_buf takes;
    struct rows rows;

    ph_buf_init(&takes, PARAMS_LIMIT);
    put_args(&takes, wanted);
    if (wanted->must_result)
        ph_buf_printf(&takes, " to give %s", wanted->result);
    ph_buf_puts(&takes, "; it takes ");
    size_t before = takes.len;
    for (uint32_t i = 0; next_rows(library, i, &rows); i++) {
        for (uint32_t k = 0; k < rows.n; k++) {
            ph_nearest_offer(&nearest, rows.ops[k].name);
            if (strcmp(rows.ops[k].name, wanted->name) == 0)
                ph_buf_printf(&takes, "%s(%s)", takes.len > before ? " or " : "",
                              rows.ops[k].signature);
        }
    }
    if (takes.len > before)
        ph_check_problem(checker, draft, wanted->place, "%s does not take %s", wanted->name,
                         ph_buf_text(&takes));
    else if (nearest.best != NULL)
        ph_check_problem(checker, draft, wanted->place, "there is no operator %s; did you mean %s?",
                         wanted->name, nearest.best);
    else
        ph_check_problem(checker, draft, wanted->place, "there is no operator %s%s", wanted->name,
                         library != NULL ? " in that library" : "; `pghaul rules list` has them");
    ph_buf_free(&takes);
}

ph_code
ph_check_find_op(struct ph_checker *checker, const struct ph_draft *draft,
                 const struct ph_op_wanted *wanted, const struct ph_rule_op **op,
                 char result[PH_CLASS_SIZE])
{
    const struct ph_rule_library *library = NULL;

    *op = NULL;
    if (wanted->library != NULL)
        PH_TRY(ph_rules_open_library(checker->set, checker->params->rules->file, wanted->library,
                                     &library, checker->err));
    if (wanted->result != NULL)
        *op = find(library, wanted, wanted->result, result);
    if (*op == NULL && !wanted->must_result)
        *op = find(library, wanted, NULL, result);
    if (*op == NULL && !wanted->is_silent)
        tell(checker, draft, library, wanted);
    return PH_OK;
}

/* An operator's own opinion of its constants, asked before anything starts. */
static void *
trial_alloc(void *arena, size_t len)
{
    return ph_arena_alloc(arena, len);
}

static void
try_params(struct ph_checker *checker, const struct ph_draft *draft,
           const struct ph_call_plan *plan)
{
    static const uint8_t no_secret[32];
    struct ph_arena arena;
    struct ph_rule_call call = {.params = plan->params,
                                .n_params = plan->n_params,
                                .n_args = plan->n_args,
                                .arena = &arena,
                                .alloc = trial_alloc};

    if (plan->op->prepare == NULL)
        return;
    ph_arena_init(&arena, (size_t)16 << 20);
    if ((plan->op->flags & PH_RULE_SECRET) != 0) {
        call.secret = no_secret;
        call.secret_len = sizeof no_secret;
    }
    if (!plan->op->prepare(&call))
        ph_check_problem(checker, draft, plan->place, "%s: %s", plan->op->name,
                         call.message[0] != '\0' ? call.message : "its constants are wrong");
    else if (plan->op->release != NULL)
        plan->op->release(&call);
    ph_arena_reset(&arena);
}

static ph_code
grow_calls(struct ph_checker *checker)
{
    struct ph_ruleset *set = checker->set;
    uint32_t cap = set->cap_calls == 0 ? 64 : set->cap_calls * 2;
    struct ph_call_plan *calls = PH_ARENA_ARRAY(checker->arena, struct ph_call_plan, cap);

    if (calls == NULL)
        return ph_check_no_memory(checker);
    if (set->n_calls > 0)
        memcpy(calls, set->calls, set->n_calls * sizeof *calls);
    set->calls = calls;
    set->cap_calls = cap;
    return PH_OK;
}

static void
check_params(struct ph_checker *checker, const struct ph_draft *draft,
             const struct ph_call_wanted *wanted)
{
    const struct ph_rule_op *op = wanted->op;
    uint32_t least;
    uint32_t most;

    ph_params_count(op->params, &least, &most);
    if (most == 0 && wanted->n_params > 0)
        ph_check_problem(checker, draft, wanted->place, "%s takes no constants", op->name);
    else if (wanted->n_params < least || wanted->n_params > most)
        ph_check_problem(checker, draft, wanted->place, "%s takes the constants (%s), not %u",
                         op->name, op->params, wanted->n_params);
    if ((op->flags & PH_RULE_SECRET) != 0 && checker->params->rules->secret_env == NULL &&
        checker->params->rules->secret_file == NULL)
        ph_check_problem(checker, draft, wanted->place,
                         "%s needs a secret; add `secret: {env: NAME}` to the job file", op->name);
}

ph_code
ph_check_add_call(struct ph_checker *checker, const struct ph_draft *draft,
                  const struct ph_call_wanted *wanted, uint32_t *number)
{
    struct ph_ruleset *set = checker->set;
    uint32_t problems = checker->n_problems;
    const char **params = PH_ARENA_ARRAY(checker->arena, const char *, wanted->n_params + 1);

    if (params == NULL)
        return ph_check_no_memory(checker);
    if (set->n_calls == set->cap_calls)
        PH_TRY(grow_calls(checker));
    for (uint32_t i = 0; i < wanted->n_params; i++) {
        params[i] = wanted->params[i].text;
        if (params[i] == NULL)
            ph_check_problem(checker, draft, wanted->place, "a constant of %s is null",
                             wanted->op->name);
    }
    check_params(checker, draft, wanted);
    *number = set->n_calls++;
    set->calls[*number] = (struct ph_call_plan){.op = wanted->op,
                                                .params = params,
                                                .n_params = wanted->n_params,
                                                .n_args = wanted->n_args,
                                                .route = set->n_routes,
                                                .place = wanted->place};
    if (problems == checker->n_problems)
        try_params(checker, draft, &set->calls[*number]);
    return PH_OK;
}
