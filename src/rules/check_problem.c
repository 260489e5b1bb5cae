/*
 * What is wrong with a job's rules, put together: place, table, what it is and what may have been
 * meant. Said once, in the order of the file.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/nearest.h"
#include "rules/check_parts.h"

#define SEPARATOR "\n  "

ph_code
ph_check_no_memory(struct ph_checker *checker)
{
    return PH_FAIL(checker->err, PH_E_MEMORY, "no memory for the rules");
}

/* Routes of one table have much in common, and a message has not room for everything. */
static void
drop_repeated(struct ph_buf *problems, size_t start)
{
    const char *text = ph_buf_text(problems);
    const char *said = text + start + (start > 0 ? strlen(SEPARATOR) : 0);

    for (const char *at = strstr(text, said); at != NULL && at < said; at = strstr(at + 1, said)) {
        if (at[strlen(said)] == '\n') {
            problems->len = start;
            return;
        }
    }
}

/* Its directory is said once, with the first problem: a message has room for few of them. */
static const char *
file_of(const struct ph_checker *checker)
{
    const char *file = checker->params->rules->file;
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;

    if (file == NULL)
        return "rules";
    return slash != NULL && checker->problems.len > 0 ? slash + 1 : file;
}

void
ph_check_problem(struct ph_checker *checker, const struct ph_draft *draft,
                 struct ph_rule_place place, const char *format, ...)
{
    struct ph_buf *out = &checker->problems;
    size_t start = out->len;
    va_list args;

    checker->n_problems++;
    ph_buf_printf(out, "%s%s:", out->len > 0 ? SEPARATOR : "", file_of(checker));
    if (place.line > 0)
        ph_buf_printf(out, "%u:%u:", place.line, place.column);
    ph_buf_putc(out, ' ');
    if (draft != NULL && draft->source != NULL)
        ph_buf_printf(out, "%s.%s: ", draft->source->schema, draft->source->name);
    va_start(args, format);
    ph_buf_vprintf(out, format, args);
    va_end(args);
    drop_repeated(out, start);
}

void
ph_check_told(struct ph_checker *checker, const char *message)
{
    checker->n_problems++;
    ph_buf_printf(&checker->problems, "%s%s", checker->problems.len > 0 ? SEPARATOR : "", message);
}

const char *
ph_check_nearest_column(const struct ph_rel *rel, const char *name, char out[100])
{
    struct ph_nearest nearest = {.word = name};

    out[0] = '\0';
    for (uint32_t i = 0; i < rel->n_columns; i++)
        ph_nearest_offer(&nearest, rel->columns[i].name);
    if (nearest.best != NULL)
        snprintf(out, 100, "; did you mean %s?", nearest.best);
    return out;
}

const struct ph_column *
ph_check_source_column(struct ph_checker *checker, const struct ph_draft *draft,
                       struct ph_rule_word word)
{
    const struct ph_column *column = ph_rel_column_named(draft->source, word.text);
    char nearest[100];

    if (column == NULL)
        ph_check_problem(checker, draft, word.place, "the source has no column %s%s", word.text,
                         ph_check_nearest_column(draft->source, word.text, nearest));
    return column;
}
