/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real containers for the tests of src/guest/agent/launch*.c, stage*.c and what they use: in a mount and cgroup
 * namespace of the test's own, with a root file system of one static busybox. Needs root.
 */
#pragma once

#include "guest/agent/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h> /* after what it needs */

enum { FIXTURE_LIST_MAX = 32, FIXTURE_OUTPUT_MAX = 1 << 16 };

/* A plan with room to add to. fixture_plan() fills in what nearly every container has. */
struct fixture_plan {
    Minka__Plan__V1__Container container;
    Minka__Plan__V1__Namespaces namespaces;
    Minka__Plan__V1__Root root;
    Minka__Plan__V1__Process process;
    Minka__Plan__V1__Capabilities capabilities;
    Minka__Plan__V1__Cgroup cgroup;
    Minka__Plan__V1__Mount mount[FIXTURE_LIST_MAX], *mounts[FIXTURE_LIST_MAX];
    Minka__Plan__V1__Device device[FIXTURE_LIST_MAX], *devices[FIXTURE_LIST_MAX];
    Minka__Plan__V1__Symlink symlink[FIXTURE_LIST_MAX], *symlinks[FIXTURE_LIST_MAX];
    Minka__Plan__V1__IdMapping mapping[2], *uids[1], *gids[1];
    char *args[FIXTURE_LIST_MAX];
    char *env[FIXTURE_LIST_MAX];
    uint8_t streams[STREAMS_MAX];
    char root_path[64];
    char id[16];
};

struct fixture_result {
    struct launch launch;
    pid_t pid;   /* of the container's process, 0 if none was told */
    bool ready;  /* READY came */
    bool failed; /* FAILED came, with code and text */
    int code;
    char text[ERR_TEXT_MAX];
    int master; /* of the terminal, or -EBADF */
    int status; /* as of waitpid(2) */
    char out[FIXTURE_OUTPUT_MAX];
    char error[FIXTURE_OUTPUT_MAX];
};

/* Run tests as the group's main(): prepares the namespaces in a child, removes the cgroup afterwards. */
int fixture_main(int (*tests)(void));

/* A plan for `sh -c script` in a fresh root directory. */
void fixture_plan(struct fixture_plan *plan, const char *script);
/* In the same root: another script. */
void fixture_script(struct fixture_plan *plan, const char *script);
Minka__Plan__V1__Mount *fixture_mount(struct fixture_plan *plan, const char *type, const char *source,
                                      const char *destination, uint64_t flags, const char *data);
void fixture_device(struct fixture_plan *plan, const char *path, uint32_t mode, uint32_t major, uint32_t minor);
/* terminal: instead of pipes. */
void fixture_terminal(struct fixture_plan *plan, bool terminal);
/* One more descriptor for the process; its number. */
size_t fixture_stream(struct fixture_plan *plan, enum stream_kind kind);
/* A user namespace: 0 to 65535 inside are 100000 and up outside. The root directory is given to it. */
void fixture_user_namespace(struct fixture_plan *plan);
/* A shell command outside, in the root directory. */
void fixture_shell(const struct fixture_plan *plan, const char *command);
/* The content of a file in the root directory, cut at its first newline; static; "" if there is none. */
const char *fixture_file(const struct fixture_plan *plan, const char *path);

/* launch_container and the reports up to READY or FAILED. */
void fixture_create(const struct fixture_plan *plan, struct fixture_result *result);
void fixture_exec(const struct fixture_plan *plan, pid_t init_pid, struct fixture_result *result);
/* The reports up to READY or FAILED of a launch that was begun otherwise. */
void fixture_continue(struct fixture_result *result);
/* GO, and the reports until end of file. */
void fixture_start(struct fixture_result *result);
/* The output until it ends, and the exit status. */
void fixture_wait(struct fixture_result *result);
/* All of that, and the removal of the cgroup. */
void fixture_run(const struct fixture_plan *plan, struct fixture_result *result);
void fixture_remove(const struct fixture_plan *plan, struct fixture_result *result);

/* Runs, and expects exit status 0 and exactly this on stdout. */
void fixture_expect(const struct fixture_plan *plan, const char *out);
/* Runs, and expects the launch to fail with exactly this sentence. */
void fixture_expect_failure(const struct fixture_plan *plan, const char *text);
