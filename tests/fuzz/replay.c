/*
 * Runs a fuzz target over its corpus without libFuzzer, so that every build replays it.
 *
 * Each file of the directory given is passed whole, and then cut short at up to 256 places, since
 * input that ends too early is what a codec is most often wrong about. Every input lies in a heap
 * block of exactly its size: AddressSanitizer sees a read of one byte too many. A directory that
 * does not exist leaves the empty input as the only one.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CUTS_MAX 256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
run_exact(const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    if (copy == NULL)
        abort();
    if (len > 0)
        memcpy(copy, data, len);
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
}

static uint8_t *
read_file(const char *path, size_t *len)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;

    if (file == NULL || fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode))
        goto out;
    *len = (size_t)st.st_size;
    data = malloc(*len > 0 ? *len : 1);
    if (data == NULL || fread(data, 1, *len, file) != *len) {
        fprintf(stderr, "%s: cannot read\n", path);
        exit(2);
    }
out:
    if (file != NULL)
        fclose(file);
    return data;
}

static void
run_file(const char *path)
{
    size_t len = 0;
    uint8_t *data = read_file(path, &len);
    size_t step = len / CUTS_MAX + 1;

    if (data == NULL)
        return;
    run_exact(data, len);
    for (size_t cut = 0; cut < len; cut += step)
        run_exact(data, cut);
    free(data);
}

int
main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int count = 0;
    int files = 0;

    run_exact((const uint8_t *)"", 0);
    if (argc > 1)
        count = scandir(argv[1], &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[4096];

        if (entries[i]->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", argv[1], entries[i]->d_name);
            run_file(path);
            files++;
        }
        free(entries[i]);
    }
    free(entries);
    printf("%d corpus files replayed\n", files);
    return 0;
}
