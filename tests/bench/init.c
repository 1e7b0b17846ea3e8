/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trivial init of the benchmark's bare VM: what is left when everything of minka's is taken away. With
 * `bench=FILES` on the kernel command line it loads the modules in /modules, mounts the virtiofs share "bench" and runs
 * /share/script.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void load_modules(void) {
    FILE *list = fopen("/modules.list", "re");
    char path[512];
    while (list && fgets(path, sizeof path, list)) {
        path[strcspn(path, "\n")] = '\0';
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            (void)syscall(SYS_finit_module, fd, "", 0);
            (void)close(fd);
        }
    }
}

int main(void) {
    (void)mkdir("/proc", 0755);
    (void)mount("proc", "/proc", "proc", 0, NULL);
    char line[4096] = "";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, line, sizeof line - 1) > 0 && strstr(line, "bench=share")) {
        load_modules();
        (void)mkdir("/share", 0755);
        (void)mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
        if (mount("bench", "/share", "virtiofs", 0, NULL) == 0 && chroot("/share") == 0 && chdir("/") == 0) {
            (void)mount("proc", "/proc", "proc", 0, NULL);
            pid_t child = fork();
            if (child == 0) {
                (void)execl("/bin/sh", "sh", "/script", (char *)NULL);
                _exit(127);
            }
            (void)waitpid(child, NULL, 0);
        }
    }
    sync();
    (void)reboot(RB_AUTOBOOT); /* with reboot=t and -no-reboot that ends QEMU */
    return 1;
}
