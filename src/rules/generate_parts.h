/* What the files of the generator share. Private to src/rules. */
#ifndef PH_RULES_GENERATE_PARTS_H
#define PH_RULES_GENERATE_PARTS_H

#include "rules/ruleset_parts.h"

struct ph_generator { /* for one route */
    const struct ph_ruleset *set;
    const struct ph_route *route;
    const struct ph_route_plan *plan;
    struct ph_buf *out;
};

/* A name or text as part of a comment: nothing in it ends the comment. */
void ph_generate_comment(struct ph_buf *out, const char *text);
/* `{(const uint8_t *)"abc", 3}` */
void ph_generate_value(struct ph_value value, struct ph_buf *out);

/* generate_output.c: whether the output has a function of its own, and that. */
bool ph_generate_has_function(const struct ph_make_plan *make);
void ph_generate_output(const struct ph_generator *generator, uint32_t n);

/* generate_shape.c: route_N_rows, and `v` of an output that unpivot or each makes; `name` of
 * what `from:` takes of the row at hand. */
bool ph_generate_has_rows(const struct ph_route_plan *plan);
void ph_generate_shape(const struct ph_generator *generator);
void ph_generate_shaped(const struct ph_generator *generator, uint32_t n);
void ph_generate_part(const struct ph_generator *generator, uint32_t n,
                      const struct ph_arg_plan *arg, const char *name);
/* `name` without the blanks of character(n). */
void ph_generate_stripped(const struct ph_generator *generator, enum ph_padding padding,
                          const char *name);

#endif
