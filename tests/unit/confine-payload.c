/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What confine-test starts: a program that does one thing and is linked statically
 * and dynamically both.
 *
 *   pause          wait for a signal
 *   reap           pid 1 of a sandbox: wait for every child that comes
 *   exit N
 *   thread WHAT    make a thread that goes its own way in descriptors (files) or in a namespace (mounts), or not
 *                  (nothing), write one byte to descriptor 7 when it has, and pause
 *   report FD      write what it sees of itself to FD, one "key value" per line, then pause
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_child(int signal) {
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

static void report(int out) {
    uid_t u[3];
    gid_t g[3];
    (void)getresuid(&u[0], &u[1], &u[2]);
    (void)getresgid(&g[0], &g[1], &g[2]);
    dprintf(out, "uid %u %u %u\ngid %u %u %u\ngroups %d\n", u[0], u[1], u[2], g[0], g[1], g[2], getgroups(0, NULL));
    dprintf(out, "securebits %d\nnnp %d\ndumpable %d\n", prctl(PR_GET_SECUREBITS),
            prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), prctl(PR_GET_DUMPABLE));
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            dprintf(out, "fd %d\n", fd);
    DIR *root = opendir("/");
    for (struct dirent *e; root && (e = readdir(root));)
        if (e->d_name[0] != '.')
            dprintf(out, "root %s\n", e->d_name);
    if (root)
        closedir(root);
    int file = open("/written", O_CREAT | O_WRONLY, 0600);
    dprintf(out, "write-root %d\n", file < 0 ? errno : 0);
    dprintf(out, "mount %d\n", mount("none", "/", "tmpfs", 0, NULL) < 0 ? errno : 0);
    dprintf(out, "setuid %d\n", setuid(0) < 0 ? errno : 0);
    dprintf(out, "pid %d\nppid %d\nsid %d\n", (int)getpid(), (int)getppid(), (int)getsid(0));
    struct utsname name;
    if (uname(&name) == 0)
        dprintf(out, "host %s\n", name.nodename);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        dprintf(out, "nofile %llu\n", (unsigned long long)files.rlim_cur);
    /* Signals and mask as they came: "ignored" and "blocked" count what an execve(2) handed on. */
    sigset_t mask;
    int ignored = 0, blocked = 0;
    (void)sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int signal = 1; signal <= 64; signal++) {
        struct sigaction action;
        ignored += sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
        blocked += sigismember(&mask, signal) == 1;
    }
    mode_t mode = umask(0);
    dprintf(out, "ignored %d\nblocked %d\numask %o\n", ignored, blocked, (unsigned)mode);
    dprintf(out, "done 1\n");
}

static int thread(void *what) {
    int failed = 0;
    if (strcmp(what, "files") == 0)
        failed = unshare(CLONE_FILES) < 0 || open("/", O_RDONLY | O_DIRECTORY) < 0;
    else if (strcmp(what, "mounts") == 0)
        failed = unshare(CLONE_NEWNS) < 0;
    if (!failed && write(7, "x", 1) != 1)
        failed = 1;
    while (pause() < 0)
        ;
    return 0;
}

/* By system call, so that the static program needs no library of threads. */
static void make_thread(char *what) {
    static char stack[65536] __attribute__((aligned(16)));
    (void)clone(thread, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, what);
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "pause";
    if (strcmp(what, "exit") == 0)
        return argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(what, "reap") == 0)
        (void)signal(SIGCHLD, on_child);
    if (strcmp(what, "thread") == 0 && argc > 2)
        make_thread(argv[2]);
    if (strcmp(what, "report") == 0)
        report(argc > 2 ? atoi(argv[2]) : 1);
    for (;;)
        (void)pause();
}
