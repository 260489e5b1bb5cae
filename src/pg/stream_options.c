#include "pg/stream_options.h"

#include <stdio.h>

#define LIST_BYTES ((size_t)1 << 20)

struct list {
    struct ph_buf *out;
    enum ph_option_form form;
    bool begun;
};

/* Quotes are doubled, a backslash is a character like any other: so it is in both grammars. */
static void
put_quoted(struct ph_buf *out, const char *text)
{
    ph_buf_putc(out, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            ph_buf_putc(out, '\'');
        ph_buf_putc(out, *text);
    }
    ph_buf_putc(out, '\'');
}

static void
put(struct list *list, const char *name, const char *value)
{
    ph_buf_puts(list->out, list->begun ? ", " : "");
    if (list->form == PH_OPTIONS_OF_COMMAND) {
        ph_buf_printf(list->out, "%s ", name);
    } else {
        put_quoted(list->out, name);
        ph_buf_puts(list->out, ", ");
    }
    put_quoted(list->out, value);
    list->begun = true;
}

/* A list of identifiers inside an option's value. */
static void
put_publications(struct list *list, const struct ph_stream_params *params)
{
    struct ph_buf names;

    ph_buf_init(&names, LIST_BYTES);
    for (uint32_t i = 0; i < params->n_publications; i++) {
        ph_buf_puts(&names, i > 0 ? "," : "");
        ph_buf_put_ident(&names, params->publications[i]);
    }
    put(list, "publication_names", ph_buf_text(&names));
    list->out->failed |= names.failed;
    ph_buf_free(&names);
}

static const char *
protocol_version(int server)
{
    if (server >= 160000)
        return "4";
    if (server >= 150000)
        return "3";
    return server >= 140000 ? "2" : "1";
}

void
ph_put_stream_options(struct ph_buf *out, int server, const struct ph_stream_params *params,
                      enum ph_option_form form)
{
    struct list list = {.out = out, .form = form};

    put(&list, "proto_version", protocol_version(server));
    put_publications(&list, params);
    if (server >= 140000) {
        put(&list, "messages", "true");
        if (params->values == PH_STREAM_BINARY)
            put(&list, "binary", "true");
        if (params->large == PH_STREAM_IN_BLOCKS)
            put(&list, "streaming", "on");
    }
    if (params->origins == PH_STREAM_OWN_ORIGIN)
        put(&list, "origin", "none");
}
