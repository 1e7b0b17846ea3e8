/* SPDX-License-Identifier: Apache-2.0 */
/* The plans of the file servers, as confine_plan_print() writes them. */
#include "privileged/confine/confine.h"
#include "golden.h"
#include "privileged/share/share.h"
#include "shared/base/cleanup.h"

#include <stdio.h>

enum { LEASED = 1879048202 };

static const struct share_id_range user_namespace[] = {{100000, 65536}};

static const struct {
    const char *name;
    struct share share;
} cases[] = {
    {"share-rust", {.kind = SHARE_SERVER_RUST, .server_path = "/usr/libexec/virtiofsd", .cache = "auto"}},
    {"share-rust-more-ids",
     {.kind = SHARE_SERVER_RUST,
      .server_path = "/usr/libexec/virtiofsd",
      .cache = "never",
      .more_ids = user_namespace,
      .n_more_ids = 1}},
    {"share-c", {.kind = SHARE_SERVER_C, .server_path = "/usr/lib/qemu/virtiofsd", .cache = "metadata"}},
};

int main(int argc, char **argv) {
    struct golden golden;
    char **rest;
    golden_start(&golden, argc, argv, &rest);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        static char interpreter[] = "/lib64/ld-linux-x86-64.so.2", library[] = "/lib/x86_64-linux-gnu/libc.so.6";
        static char program[64];
        (void)snprintf(program, sizeof program, "%s", cases[i].share.server_path);
        char *files[] = {program, interpreter, library, NULL};
        struct share share = cases[i].share;
        share.uid = LEASED;
        share.listen_fd = share.stderr_fd = share.pid_namespace_of = 0;
        share.server_files = files;
        struct confine_plan plan;
        _cleanup_strv_ char **strings = NULL;
        _cleanup_buf_ struct buf text = {0};
        struct err err = {0};
        if (share_plan(&share, &plan, &strings, &err) < 0) {
            (void)fprintf(stderr, "%s: %s\n", cases[i].name, err.text);
            return 1;
        }
        plan.n_rlimits = 0; /* this machine's */
        if (confine_plan_print(&plan, &text) < 0)
            return 1;
        golden_check(&golden, cases[i].name, &text);
    }
    return golden_finish(&golden);
}
