/*
 * Rules on catalogs made by hand: a job file's text is read, checked, compiled and run on rows that
 * are written as text, fields apart by '|': "-" is NULL, "~" an unchanged value.
 */
#ifndef PH_TEST_FAKE_RULES_H
#define PH_TEST_FAKE_RULES_H

#include "base/buf.h"
#include "fake_tables.h"
#include "job/jobfile.h"
#include "rules/ruleset.h"

struct fake_rules {
    struct fake_tables source;
    struct fake_tables target;
    struct ph_options options;
    struct ph_ruleset *set;
    struct ph_rule_machine *machine;
    struct ph_error err;
    struct ph_ruleset_params params; /* as the test wants it, completed by fake_make */
    struct ph_arena arena;
    struct ph_buf out;
    char dir[64];       /* of the test, and of the cache */
    const char *cache;  /* another folder of the cache; "": none is kept; NULL: dir */
    uint32_t constants; /* how many were asked of the target */
};

static inline void
fake_rules_begin(struct fake_rules *fake)
{
    char dir[64];

    memcpy(dir, fake->dir, sizeof dir);
    memset(fake, 0, sizeof *fake);
    memcpy(fake->dir, dir, sizeof dir);
    fake_tables_init(&fake->source);
    fake_tables_init(&fake->target);
    ph_arena_init(&fake->arena, (size_t)64 << 20);
    ph_buf_init(&fake->out, (size_t)1 << 20);
    if (ph_options_init(&fake->options, &fake->err) != PH_OK)
        abort();
}

static inline void
fake_rules_unmake(struct fake_rules *fake)
{
    ph_rule_machine_free(fake->machine);
    ph_ruleset_free(fake->set);
    ph_options_free(&fake->options);
    fake->machine = NULL;
    fake->set = NULL;
}

static inline void
fake_rules_end(struct fake_rules *fake)
{
    fake_rules_unmake(fake);
    ph_arena_reset(&fake->arena);
    ph_buf_free(&fake->out);
}

static inline ph_code
fake_make(struct fake_rules *fake, const char *job)
{
    static const struct ph_option_marks none;

    fake_rules_unmake(fake);
    if (ph_options_init(&fake->options, &fake->err) != PH_OK ||
        ph_jobfile_parse("job.yaml", (const uint8_t *)job, strlen(job), &none, &fake->options,
                         &fake->err) != PH_OK) {
        fprintf(stderr, "%s %s\n", fake->err.object, fake->err.message);
        abort();
    }
    fake->params.rules = fake->options.rules;
    fake->params.source = &fake->source.catalog;
    fake->params.target = &fake->target.catalog;
    fake->params.dir = fake->cache == NULL      ? fake->dir
                       : fake->cache[0] != '\0' ? fake->cache
                                                : NULL;
    fake->params.constant = fake_constant;
    ph_error_reset(&fake->err);
    return ph_ruleset_make(&fake->params, &fake->set, &fake->err);
}

static inline void
fake_must_make(struct fake_rules *fake, const char *job)
{
    static const uint8_t secret[] = "a secret of a few bytes";

    if (fake_make(fake, job) != PH_OK || ph_rule_machine_new(fake->set, secret, sizeof secret - 1,
                                                             &fake->machine, &fake->err) != PH_OK) {
        fprintf(stderr, "%s\n", fake->err.message);
        abort();
    }
}

static inline struct ph_value
fake_value(struct fake_rules *fake, ph_oid type_oid, const char *text)
{
    const struct ph_column column = {.type_oid = type_oid, .type_text = "?"};
    struct ph_value value = {NULL, PH_VALUE_NULL};

    if (strcmp(text, "-") == 0)
        return value;
    if (strcmp(text, "~") == 0)
        return (struct ph_value){NULL, PH_VALUE_UNCHANGED};
    if (fake_constant(NULL, &column, text, &fake->arena, &value, &fake->err) != PH_OK)
        abort();
    return value;
}

static inline void
fake_put(struct ph_buf *out, ph_oid type_oid, struct ph_value value)
{
    if (value.len < 0)
        ph_buf_putc(out, value.len == PH_VALUE_NULL ? '-' : '~');
    else if (type_oid == 23 && value.len == 4)
        ph_buf_printf(out, "%d", ph_rule_get_i32(&value));
    else if (type_oid == 20 && value.len == 8)
        ph_buf_printf(out, "%lld", (long long)ph_rule_get_i64(&value));
    else if (type_oid == 21 && value.len == 2)
        ph_buf_printf(out, "%d", ph_rule_get_i16(&value));
    else if (type_oid == 16 && value.len == 1)
        ph_buf_putc(out, value.data[0] ? 't' : 'f');
    else
        ph_buf_append(out, value.data, (size_t)value.len);
}

static inline void
fake_put_bad(struct fake_rules *fake, const struct ph_route *route,
             const struct ph_rule_outcome *outcome)
{
    ph_buf_printf(&fake->out, "%s%s: %s", outcome->quarantine ? "QUARANTINE " : "BAD ",
                  route->outputs[outcome->output].target->name, outcome->message);
}

/* What comes out of a row of values, rows apart by ';'. */
static inline const char *
fake_run_values(struct fake_rules *fake, const struct ph_route *route, const struct ph_value *in)
{
    struct ph_rule_outcome outcome;
    struct ph_value out[FAKE_COLUMNS];

    ph_buf_clear(&fake->out);
    if (ph_rule_begin_row(fake->machine, route, in, &outcome, &fake->err) != PH_OK)
        abort();
    uint32_t rows = outcome.rows;
    if (outcome.verdict == PH_ROW_BAD)
        fake_put_bad(fake, route, &outcome);
    for (uint32_t row = 0; outcome.verdict == PH_ROW_TAKEN && row < rows; row++) {
        if (ph_rule_take_row(fake->machine, row, out, &outcome, &fake->err) != PH_OK)
            abort();
        ph_buf_puts(&fake->out, row > 0 ? ";" : "");
        for (uint32_t i = 0; outcome.verdict == PH_ROW_TAKEN && i < route->n_outputs; i++) {
            ph_buf_puts(&fake->out, i > 0 ? "|" : "");
            fake_put(&fake->out, route->outputs[i].target->type_oid, out[i]);
        }
        if (outcome.verdict == PH_ROW_BAD)
            fake_put_bad(fake, route, &outcome);
    }
    return ph_buf_text(&fake->out);
}

/* Fields in the order of the route's inputs. */
static inline const char *
fake_run(struct fake_rules *fake, uint32_t number, const char *row)
{
    const struct ph_route *route = ph_ruleset_route(fake->set, number);
    struct ph_value in[FAKE_COLUMNS];
    char fields[1024];
    char *at = fields;

    snprintf(fields, sizeof fields, "%s", row);
    for (uint32_t i = 0; i < route->n_inputs; i++) {
        char *end = at == NULL ? NULL : strchr(at, '|');
        if (at == NULL)
            abort();
        if (end != NULL)
            *end++ = '\0';
        in[i] = fake_value(fake,
                           route->inputs[i].column != NULL ? route->inputs[i].column->type_oid : 25,
                           ph_arena_strdup(&fake->arena, at));
        at = end;
    }
    return fake_run_values(fake, route, in);
}

#endif
