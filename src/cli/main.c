/* pghaul: from the command line to one command and its exit code. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/stop.h"
#include "cli/args.h"
#include "cli/help.h"
#include "pg/holder.h"

#define HELP_LIMIT ((size_t)1 << 20)

static int
fail(const struct ph_error *err)
{
    ph_log_failure(PH_LOG_ERROR, err);
    return ph_error_exit_code(err->code, PH_NOTHING_WRITTEN);
}

static int
print_help(const struct ph_args *args)
{
    struct ph_buf out;
    struct ph_error err;
    int code = 0;

    ph_buf_init(&out, HELP_LIMIT);
    ph_error_reset(&err);
    if (args->topic == NULL)
        ph_help_put(&out, args->command);
    else if (ph_help_put_topic(&out, args->topic, &err) != PH_OK)
        code = fail(&err);
    fputs(ph_buf_text(&out), stdout);
    ph_buf_free(&out);
    return code;
}

static int
run_command(const struct ph_args *args)
{
    const struct ph_options *options = &args->options;
    struct ph_error err;

    ph_log_init(options->log_format, options->quiet ? PH_LOG_WARN : PH_LOG_INFO);
    ph_error_reset(&err);
    if (ph_stop_init(&err) != PH_OK)
        return fail(&err);
    return args->command->run(options);
}

static int
run(int argc, char *const *argv)
{
    struct ph_args args;
    struct ph_error err;
    int code = 0;

    ph_error_reset(&err);
    if (ph_args_parse(&args, argc, argv, &err) != PH_OK)
        code = fail(&err);
    else if (args.ask == PH_ASK_HELP)
        code = print_help(&args);
    else if (args.ask == PH_ASK_VERSION)
        printf("pghaul %s\n", PH_VERSION);
    else
        code = run_command(&args);
    ph_args_free(&args);
    return code;
}

/*
 * Large buffers go back to the system when freed, and threads do not each keep an arena: --memory
 * is measured as resident size.
 */
static void
tune_allocator(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

int
main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], PH_HOLDER_ARGUMENT) == 0)
        return ph_holder_main();
    tune_allocator();
    char **copy = ph_args_take(argc, argv);

    if (copy == NULL) {
        fputs("pghaul: out of memory\n", stderr);
        return 1;
    }
    umask(0077);
    ph_log_init(ph_args_log_format(argc, copy), PH_LOG_INFO);
    int code = run(argc, copy);
    ph_args_free_copy(copy);
    if (fflush(stdout) != 0 && code == 0)
        code = 1;
    return code;
}
