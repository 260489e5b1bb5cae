/*
 * The job file: YAML whose keys are those of the option table ("copy.split" is `split` under
 * `copy`), and what it says about rules (docs/rules.md), which becomes options->rules. Every
 * mistake is PH_E_JOBFILE with file:line:column and what was expected.
 *
 * Bounds: PH_JOBFILE_MAX_BYTES, nesting of 16, no aliases, no tags, one document; so nothing in the
 * file can make reading it expensive.
 */
#ifndef PH_JOB_JOBFILE_H
#define PH_JOB_JOBFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "job/option_table.h"
#include "job/options.h"

#define PH_JOBFILE_MAX_BYTES ((size_t)4 * 1024 * 1024)

/* By position in ph_option_table: what the command line said, which the file does not override. */
struct ph_option_marks {
    bool given[PH_OPTIONS_MAX];
};

/*
 * Store what the file says in `options`, except for marked ones (which are checked all the same).
 * PH_E_JOBFILE also when the file cannot be read.
 */
ph_code ph_jobfile_load(const char *path, const struct ph_option_marks *marks,
                        struct ph_options *options, struct ph_error *err);
/* The same from memory; `name` stands for the file in messages. */
ph_code ph_jobfile_parse(const char *name, const uint8_t *data, size_t len,
                         const struct ph_option_marks *marks, struct ph_options *options,
                         struct ph_error *err);

#endif
