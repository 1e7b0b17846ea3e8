/* SPDX-License-Identifier: Apache-2.0 */
/* minka-image: what `minka image …` executes. Apart from the command, so that engines do not load its libraries. */
#include "facts/image/image.h"
#include "facts/json/json.h"
#include "minka-build.h"
#include "programs/minka-image/build.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "Usage: minka image build [OPTION...]\n"
    "       minka image list [--format json|table] [--image-dir DIR]\n"
    "       minka image remove RELEASE... [--if-exists] [--image-dir DIR]\n"
    "\n"
    "  -k, --kernel RELEASE|PATH  the guest's kernel; by default the newest cloud kernel in /boot, or else the newest\n"
    "  -m, --modules DIR          its modules (/lib/modules/RELEASE)\n"
    "  -a, --agent PATH           the guest's init (minka-agent of this minka)\n"
    "  -o, --output DIR           the same as --image-dir\n"
    "  -d, --image-dir DIR        where guest images are kept (image_dir of configuration.toml)\n"
    "      --all                  build for every kernel in /boot that has modules\n"
    "  -f, --format json|table    how to list\n"
    "      --if-exists            do not complain about an image that is not there\n"
    "  -q, --quiet                say nothing but errors\n"
    "  -h, --help                 this text\n";

struct options {
    struct build_request build;
    const char *format;
    bool all, quiet, if_exists;
};

static int fail(const struct err *err) {
    fprintf(stderr, "minka: %s\n", err->text);
    return 1;
}

static int misuse(const char *problem, const char *word) {
    fprintf(stderr, "minka: %s%s: see `minka image --help`\n", problem, word);
    return 2;
}

static void note(const char *sentence) {
    fprintf(stderr, "minka: note: %s\n", sentence);
}

/* The same time for every file, given by the builder of a distribution or else 1970: reproducible-builds.org. */
static int source_date_epoch(uint32_t *ret, struct err *err) {
    const char *text = getenv("SOURCE_DATE_EPOCH");
    uint64_t value = 0;
    if (text && *text && (parse_u64(text, &value) < 0 || value > UINT32_MAX))
        return err_set(err, EINVAL, "SOURCE_DATE_EPOCH is '%s', not a number of seconds up to %u", text, UINT32_MAX);
    *ret = (uint32_t)value;
    return 0;
}

static int build_one(const struct options *options, const char *kernel) {
    struct build_request request = options->build;
    char release[IMAGE_NAME_MAX];
    struct err err = {0};
    request.kernel = kernel;
    request.note = options->quiet ? NULL : note;
    int r = source_date_epoch(&request.mtime, &err);
    if (r == 0)
        r = build_image(&request, release, &err);
    if (r < 0)
        return fail(&err);
    if (!options->quiet)
        printf("%s/%s\n", request.image_dir, release);
    return 0;
}

static int verb_build(const struct options *options, char **words) {
    if (*words)
        return misuse("unexpected word ", *words);
    if (!options->all)
        return build_one(options, options->build.kernel);
    if (options->build.kernel || options->build.modules)
        return misuse("--all cannot be combined with --kernel or --modules", "");
    _cleanup_strv_ char **releases = NULL;
    struct err err = {0};
    int count = build_kernels(&releases, &err), status = 0;
    if (count < 0)
        return fail(&err);
    if (count == 0)
        return build_one(options, NULL); /* which says what to install */
    for (char **release = releases; *release; release++)
        status |= build_one(options, *release);
    return status;
}

static int verb_remove(const struct options *options, char **words) {
    int status = 0;
    if (!*words)
        return misuse("remove needs the RELEASE of an image", "");
    for (; *words; words++) {
        struct err err = {0};
        int r = build_remove(options->build.image_dir, *words, &err);
        if (r < 0 && !(r == -ENOENT && options->if_exists))
            status = fail(&err);
    }
    return status;
}

static void print_table(const struct image *images, size_t count) {
    printf("%-32s %-10s %-8s %s\n", "KERNEL", "MINKA", "PROTOCOL", "GROUPS");
    for (size_t i = 0; i < count; i++)
        printf("%-32s %-10s %-8u %s\n", images[i].manifest.kernel, images[i].manifest.version,
               images[i].manifest.protocol, images[i].manifest.groups);
}

static int print_json(const struct image *images, size_t count) {
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out, .pretty = true};
    json_write_begin_array(&w, NULL);
    for (size_t i = 0; i < count; i++) {
        const struct image_manifest *manifest = &images[i].manifest;
        json_write_begin_object(&w, NULL);
        json_write_string(&w, "kernel", manifest->kernel);
        json_write_string(&w, "version", manifest->version);
        json_write_uint(&w, "protocol", manifest->protocol);
        json_write_string(&w, "groups", manifest->groups);
        json_write_string(&w, "directory", images[i].directory);
        json_write_string(&w, "agentSha256", manifest->agent_sha256);
        json_write_string(&w, "vmlinuxSha256", manifest->vmlinux_sha256);
        json_write_string(&w, "initrdSha256", manifest->initrd_sha256);
        json_write_string(&w, "inputsSha256", manifest->inputs_sha256);
        json_write_end_object(&w);
    }
    json_write_end_array(&w);
    const char *text = w.failed ? NULL : buf_string(&out);
    return text && puts(text) >= 0 ? 0 : -EIO;
}

static int verb_list(const struct options *options, char **words) {
    struct image *images = NULL;
    size_t count = 0;
    struct err err = {0};
    if (*words)
        return misuse("unexpected word ", *words);
    bool json = strcmp(options->format, "json") == 0;
    if (!json && strcmp(options->format, "table") != 0)
        return misuse("--format is json or table, not ", options->format);
    if (image_list(options->build.image_dir, &images, &count, &err) < 0)
        return fail(&err);
    int status = 0;
    if (!json)
        print_table(images, count);
    else if (print_json(images, count) < 0)
        status = 1;
    image_list_free(images, count);
    if (fflush(stdout) != 0)
        status = 1;
    return status;
}

static int parse_options(int argc, char **argv, struct options *options) {
    enum { OPTION_ALL = 256, OPTION_IF_EXISTS };
    static const struct option long_options[] = {{"kernel", required_argument, NULL, 'k'},
                                                 {"modules", required_argument, NULL, 'm'},
                                                 {"agent", required_argument, NULL, 'a'},
                                                 {"output", required_argument, NULL, 'o'},
                                                 {"image-dir", required_argument, NULL, 'd'},
                                                 {"format", required_argument, NULL, 'f'},
                                                 {"all", no_argument, NULL, OPTION_ALL},
                                                 {"if-exists", no_argument, NULL, OPTION_IF_EXISTS},
                                                 {"quiet", no_argument, NULL, 'q'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {0}};
    for (int c; (c = getopt_long(argc, argv, "k:m:a:o:d:f:qh", long_options, NULL)) != -1;) {
        switch (c) {
        case 'k':
            options->build.kernel = optarg;
            break;
        case 'm':
            options->build.modules = optarg;
            break;
        case 'a':
            options->build.agent = optarg;
            break;
        case 'o':
        case 'd':
            options->build.image_dir = optarg;
            break;
        case 'f':
            options->format = optarg;
            break;
        case 'q':
            options->quiet = true;
            break;
        case OPTION_ALL:
            options->all = true;
            break;
        case OPTION_IF_EXISTS:
            options->if_exists = true;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            return -EINVAL; /* getopt has said why */
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(const struct options *options, char **words);
    } verbs[] = {{"build", verb_build}, {"list", verb_list}, {"remove", verb_remove}};
    static char program[] = "minka image";
    struct options options = {.build = {.agent = MINKA_LIBEXEC_DIR "/minka-agent", .image_dir = MINKA_IMAGE_DIR},
                              .format = "table"};

    argv[0] = program; /* for getopt's messages */
    if (parse_options(argc, argv, &options) < 0)
        return 2;
    if (optind == argc) {
        fputs(usage, stderr);
        return 2;
    }
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (strcmp(argv[optind], verbs[i].name) == 0)
            return verbs[i].run(&options, argv + optind + 1);
    return misuse("no such verb: ", argv[optind]);
}
