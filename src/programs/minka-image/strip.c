/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/strip.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

enum { STRIPPED_MAX = 64 << 20 };

const char *strip_program(void) {
    static const char *const places[] = {"/usr/bin/objcopy", "/usr/bin/x86_64-linux-gnu-objcopy", "/bin/objcopy"};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

static void destroy_actions(posix_spawn_file_actions_t *actions) {
    (void)posix_spawn_file_actions_destroy(actions);
}

/* Run it in dir with in.o as input and out.o as output. */
static int run(const char *program, int dir, struct err *err) {
    /*
     * Without debugging information, and without tables that cost a good part of the time that the guest takes to load
     * a module and that the kernel does without: for printing a stack exactly (ORC), for tracing functions, for taking
     * out lock prefixes (vmm/kernel.c says noreplace-smp) and for calling through a static call directly. The tables
     * of mitigations (return_sites, retpoline_sites) stay.
     */
    static const char *const argv[] = {"objcopy",
                                       "--strip-unneeded",
                                       "--remove-section=.BTF",
                                       "--remove-section=.orc_unwind",
                                       "--remove-section=.orc_unwind_ip",
                                       "--remove-section=.orc_header",
                                       "--remove-section=__mcount_loc",
                                       "--remove-section=.smp_locks",
                                       "--remove-section=.static_call_sites",
                                       "in.o",
                                       "out.o",
                                       NULL};
    static const char *const envp[] = {"LC_ALL=C", "TMPDIR=.", NULL};
    __attribute__((cleanup(destroy_actions))) posix_spawn_file_actions_t actions;
    pid_t pid;
    int status, r = posix_spawn_file_actions_init(&actions);
    if (r == 0)
        r = posix_spawn_file_actions_addfchdir_np(&actions, dir);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)envp);
    if (r != 0)
        return err_set(err, r, "cannot run %s: %s", program, strerror(r));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, "cannot wait for %s", program);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, EIO, "%s failed", program);
    return 0;
}

int strip_object(const char *program, int dir, struct buf *object, const char *name, struct err *err) {
    _cleanup_free_ char *stripped = NULL;
    size_t length = 0;
    {
        _cleanup_close_ int in = openat(dir, "in.o", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        int r = in < 0 ? -errno : write_all(in, object->data, object->length);
        if (r < 0)
            return err_set(err, -r, "cannot write a temporary file for %s: %s", name, strerror(-r));
    }
    int r = run(program, dir, err);
    if (r == 0)
        r = read_file(dir, "out.o", STRIPPED_MAX, &stripped, &length, err);
    (void)unlinkat(dir, "in.o", 0);
    (void)unlinkat(dir, "out.o", 0);
    if (r < 0)
        return err_wrap(err, "cannot strip %s", name);
    buf_done(object);
    *object = (struct buf){.data = (uint8_t *)take_ptr(stripped), .length = length, .capacity = length};
    return 0;
}
