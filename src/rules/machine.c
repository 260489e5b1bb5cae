/*
 * One thread's machine: the calls of all operators with what they prepared, and the memory of the
 * row at hand. That memory is one block which every row begins at its start; what does not fit gets
 * blocks of its own, which the next row gives back. Where a row becomes several, each of these can
 * be given back by itself.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "rules/hidden.h"
#include "rules/ruleset_parts.h"

#define BLOCK_BYTES ((size_t)64 << 10)
#define ROW_MEMORY_MAX ((size_t)2 << 30)
#define ALIGN ((size_t)16)
#define TOLD_BYTES 200 /* of a value in a message */

struct large { /* a block of its own */
    struct large *next;
    size_t pad; /* keeps what follows aligned */
    uint8_t data[];
};

struct row_memory {
    uint8_t *block;
    size_t used;
    struct large *large;
    size_t large_bytes;
};

struct mark { /* of memory: what came behind it is given back */
    size_t used;
    struct large *large;
    size_t large_bytes;
};

struct ph_rule_machine {
    const struct ph_ruleset *set;
    struct ph_rule_call *calls;
    uint32_t n_prepared; /* of them, to be released */
    struct ph_rule_frame frame;
    struct row_memory memory;
    struct mark begun;            /* what all rows share that the row at hand becomes */
    const struct ph_route *route; /* of the row at hand */
    const struct ph_value *in;
    char message[400]; /* when it has to be put together */
    uint8_t *secret;
    size_t secret_len;
};

/* ---- memory ---- */

static void *
row_alloc(void *arena, size_t len)
{
    struct row_memory *memory = arena;

    if (len > ROW_MEMORY_MAX)
        return NULL;
    len = (len + ALIGN - 1) & ~(ALIGN - 1);
    if (len <= BLOCK_BYTES - memory->used) {
        void *out = memory->block + memory->used;
        memory->used += len;
        return out;
    }
    if (len > ROW_MEMORY_MAX - memory->large_bytes)
        return NULL;
    struct large *large = malloc(sizeof *large + len);
    if (large == NULL)
        return NULL;
    large->next = memory->large;
    memory->large = large;
    memory->large_bytes += len;
    return large->data;
}

static void
give_back(struct row_memory *memory, struct mark mark)
{
    memory->used = mark.used;
    while (memory->large != mark.large) {
        struct large *next = memory->large->next;
        free(memory->large);
        memory->large = next;
    }
    memory->large_bytes = mark.large_bytes;
}

/* ---- calls ---- */

static ph_code
prepare_call(struct ph_rule_machine *machine, uint32_t i, struct ph_error *err)
{
    const struct ph_call_plan *plan = &machine->set->calls[i];
    struct ph_rule_call *call = &machine->calls[i];

    *call = (struct ph_rule_call){.params = plan->params,
                                  .n_params = plan->n_params,
                                  .n_args = plan->n_args,
                                  .row_key = {NULL, PH_VALUE_NULL},
                                  .arena = &machine->memory,
                                  .alloc = row_alloc};
    if ((plan->op->flags & PH_RULE_SECRET) != 0) {
        if (machine->secret == NULL)
            return PH_FAIL(err, PH_E_RULES, "the operator %s needs the job's secret",
                           plan->op->name);
        call->secret = machine->secret;
        call->secret_len = machine->secret_len;
    }
    if (plan->op->prepare != NULL && !plan->op->prepare(call))
        return PH_FAIL(err, PH_E_RULES, "line %u: %s: %s", plan->place.line, plan->op->name,
                       call->message[0] != '\0' ? call->message : "its constants are wrong");
    machine->n_prepared = i + 1;
    return PH_OK;
}

static ph_code
prepare_all(struct ph_rule_machine *machine, const uint8_t *secret, size_t secret_len,
            struct ph_error *err)
{
    const struct ph_ruleset *set = machine->set;

    machine->calls = calloc((size_t)set->n_calls + 1, sizeof *machine->calls);
    machine->memory.block = malloc(BLOCK_BYTES);
    if (secret != NULL) {
        machine->secret = malloc(secret_len + 1);
        machine->secret_len = secret_len;
    }
    if (machine->calls == NULL || machine->memory.block == NULL ||
        (secret != NULL && machine->secret == NULL))
        return PH_FAIL(err, PH_E_MEMORY, "no memory to run rules");
    if (secret != NULL)
        memcpy(machine->secret, secret, secret_len);
    machine->frame = (struct ph_rule_frame){.calls = machine->calls, .ops = set->ops};
    for (uint32_t i = 0; i < set->n_calls; i++)
        PH_TRY(prepare_call(machine, i, err));
    return PH_OK;
}

ph_code
ph_rule_machine_new(const struct ph_ruleset *set, const uint8_t *secret, size_t secret_len,
                    struct ph_rule_machine **out, struct ph_error *err)
{
    struct ph_rule_machine *machine = calloc(1, sizeof *machine);

    *out = NULL;
    if (machine == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory to run rules");
    machine->set = set;
    ph_code rc = prepare_all(machine, secret, secret_len, err);
    if (rc != PH_OK) {
        ph_rule_machine_free(machine);
        return rc;
    }
    *out = machine;
    return PH_OK;
}

void
ph_rule_machine_free(struct ph_rule_machine *machine)
{
    if (machine == NULL)
        return;
    for (uint32_t i = 0; i < machine->n_prepared; i++) {
        if (machine->set->ops[i]->release != NULL)
            machine->set->ops[i]->release(&machine->calls[i]);
    }
    if (machine->secret != NULL) {
        explicit_bzero(machine->secret, machine->secret_len);
        free(machine->secret);
    }
    give_back(&machine->memory, (struct mark){0});
    free(machine->memory.block);
    free(machine->calls);
    free(machine);
}

/* ---- rows ---- */

/* The key as COPY BINARY would have it, for operators whose result depends on it. */
static ph_code
set_key(struct ph_rule_machine *machine, struct ph_error *err)
{
    const struct ph_route *route = machine->route;
    const struct ph_route_plan *plan = &machine->set->plans[route->number];
    size_t len = 0;

    if (plan->n_keyed_calls == 0)
        return PH_OK;
    for (uint32_t i = 0; i < route->n_key_inputs; i++) {
        const struct ph_value *value = &machine->in[route->key_inputs[i]];
        len += 4 + (value->len > 0 ? (size_t)value->len : 0);
    }
    uint8_t *bytes = len > INT32_MAX ? NULL : row_alloc(&machine->memory, len);
    if (bytes == NULL)
        return PH_FAIL(err, PH_E_MEMORY, "no memory for the key of a row");
    uint8_t *at = bytes;
    for (uint32_t i = 0; i < route->n_key_inputs; i++) {
        const struct ph_value *value = &machine->in[route->key_inputs[i]];
        ph_store_u32(at, (uint32_t)value->len);
        at += 4;
        if (value->len > 0) {
            memcpy(at, value->data, (size_t)value->len);
            at += value->len;
        }
    }
    for (uint32_t i = 0; i < plan->n_keyed_calls; i++)
        machine->calls[plan->keyed_calls[i]].row_key = (struct ph_value){bytes, (int32_t)len};
    return PH_OK;
}

/* The frame's, and the value that a map does not have, unless it is a long one or hidden. */
static const char *
message_of(struct ph_rule_machine *machine)
{
    const struct ph_rule_frame *frame = &machine->frame;

    if (frame->message == NULL || frame->message[0] == '\0')
        return "a rule cannot handle the value";
    if (frame->bad_value.len < 0 || frame->bad_value.len > TOLD_BYTES ||
        ph_route_hides_of(machine->route, frame->bad_output))
        return frame->message;
    snprintf(machine->message, sizeof machine->message, "%s \"%.*s\"", frame->message,
             (int)frame->bad_value.len, (const char *)frame->bad_value.data);
    return machine->message;
}

static ph_code
report(struct ph_rule_machine *machine, enum ph_rule_result result, struct ph_rule_outcome *outcome,
       struct ph_error *err)
{
    switch (result) {
    case PH_RULE_OK:
        outcome->verdict = PH_ROW_TAKEN;
        return PH_OK;
    case PH_RULE_BAD:
        outcome->verdict = PH_ROW_BAD;
        outcome->output = machine->frame.bad_output;
        outcome->message = message_of(machine);
        outcome->quarantine = machine->route->quarantines || machine->frame.quarantine;
        return PH_OK;
    case PH_RULE_NO_MEMORY:
        break;
    }
    return PH_FAIL(err, PH_E_MEMORY, "%s: no memory for a row", machine->route->name);
}

ph_code
ph_rule_begin_row(struct ph_rule_machine *machine, const struct ph_route *route,
                  const struct ph_value *in, struct ph_rule_outcome *outcome, struct ph_error *err)
{
    const struct ph_route_code *code = &machine->set->object->routes[route->number];

    give_back(&machine->memory, (struct mark){0});
    machine->begun = (struct mark){0};
    machine->route = route;
    machine->in = in;
    machine->frame.quarantine = false;
    machine->frame.message = NULL;
    machine->frame.bad_value.len = PH_VALUE_NULL;
    *outcome = (struct ph_rule_outcome){.verdict = PH_ROW_TAKEN, .rows = 1};
    PH_TRY(set_key(machine, err));
    enum ph_rule_result result = PH_RULE_OK;
    if (code->rows != NULL)
        result = code->rows(&machine->frame, in, &outcome->rows);
    machine->begun =
        (struct mark){machine->memory.used, machine->memory.large, machine->memory.large_bytes};
    return report(machine, result, outcome, err);
}

void
ph_rule_drop_made(struct ph_rule_machine *machine)
{
    give_back(&machine->memory, machine->begun);
}

ph_code
ph_rule_take_row(struct ph_rule_machine *machine, uint32_t row, struct ph_value *out,
                 struct ph_rule_outcome *outcome, struct ph_error *err)
{
    const struct ph_route_code *code = &machine->set->object->routes[machine->route->number];

    machine->frame.quarantine = false;
    machine->frame.message = NULL;
    machine->frame.bad_value.len = PH_VALUE_NULL;
    return report(machine, code->row(&machine->frame, machine->in, row, out), outcome, err);
}
