/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of share-guest-test's virtual machine: mounts the share, does to it what a
 * container's root and users do, and says on the console how each thing went, one
 * line "NAME VALUE" each. The test looks at the same files from the host.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ROOT "/s/box/rootfs/"

static void say(const char *name, int failed) {
    printf("%s %d\n", name, failed < 0 ? errno : 0);
}

static void load(const char *name) {
    char path[64];
    (void)snprintf(path, sizeof path, "/m/%s.ko", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return; /* built in, or what needs it says so */
    if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
        say(name, -1);
    if (fd >= 0)
        (void)close(fd);
}

static int put(const char *path, const char *text, mode_t mode) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, text, strlen(text));
    return close(fd) < 0 || n != (ssize_t)strlen(text) ? -1 : 0;
}

static int holds(const char *path, const char *text) {
    char content[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, content, sizeof content - 1);
    (void)close(fd);
    if (n >= 0 && strcmp(content, text) == 0)
        return 0;
    errno = EBADMSG;
    return -1;
}

static void as_root(void) {
    char value[16] = "";
    struct stat st;
    say("secret", holds(ROOT "secret", "secret\n"));
    say("new", put(ROOT "byroot", "x", 0644));
    say("chown", put(ROOT "owned", "x", 0600) < 0 ? -1 : chown(ROOT "owned", 1234, 4321));
    say("chown-back", chown(ROOT "u1000", 0, 0));
    say("mkdir", mkdir(ROOT "d", 0755) < 0 || chown(ROOT "d", 0, 50) < 0 ? -1 : chmod(ROOT "d", 02775));
    say("inherit", put(ROOT "d/f", "x", 0644));
    say("inherited", stat(ROOT "d/f", &st) < 0 ? -1 : (errno = EINVAL, st.st_gid == 50 ? 0 : -1));
    say("fifo", mkfifo(ROOT "fifo", 0640));
    say("symlink", symlink("/etc/passwd", ROOT "symlink"));
    say("link", link(ROOT "byroot", ROOT "hardlink"));
    say("rename", put(ROOT "old", "x", 0600) < 0 ? -1 : rename(ROOT "old", ROOT "renamed"));
    say("unlink", unlink(ROOT "renamed"));
    say("setxattr", setxattr(ROOT "byroot", "user.key", "value", 5, 0));
    say("getxattr",
        getxattr(ROOT "byroot", "user.key", value, sizeof value) == 5 && strcmp(value, "value") == 0 ? 0 : -1);
    say("setuid", put(ROOT "setuid", "x", 0755) < 0 ? -1 : chmod(ROOT "setuid", 04755));
    say("device", mknod(ROOT "device", S_IFCHR | 0600, makedev(1, 3)));
    say("whiteout", mknod(ROOT "whiteout", S_IFCHR | 0600, makedev(0, 0)));
    static const unsigned char raw[20] = {0x01, 0, 0, 0x02, 0, 0x04}; /* VFS_CAP_REVISION_2, NET_BIND_SERVICE */
    unsigned char caps[20];
    say("setcap", setxattr(ROOT "byroot", "security.capability", raw, sizeof raw, 0));
    say("getcap", getxattr(ROOT "byroot", "security.capability", caps, sizeof caps) == sizeof caps ? 0 : -1);
    say("file", holds("/s/box/3", "of a file\n"));
    say("file-write", put("/s/box/3", "x", 0600));
    say("share-write", put("/s/new", "x", 0600));
    say("truncate", put(ROOT "large", "0123456789", 0600) < 0 ? -1 : truncate(ROOT "large", 1 << 20));
}

static void as_user(void) {
    int status;
    (void)fflush(stdout);
    if (fork() == 0) {
        if (setgid(1000) < 0 || setuid(1000) < 0)
            say("user", -1);
        say("user-secret", holds(ROOT "secret", "secret\n"));
        say("user-new", put(ROOT "tmp/byuser", "x", 0644));
        say("user-chown", chown(ROOT "tmp/byuser", 0, 0));
        say("user-unlink", unlink(ROOT "tmp/ofroot"));
        (void)fflush(stdout);
        _exit(0);
    }
    (void)wait(&status);
}

/* What the host attaches and detaches while the machine runs. */
static void late(void) {
    for (int i = 0; i < 200 && access("/s/late/rootfs/hello", F_OK) < 0; i++)
        (void)usleep(50000);
    say("late", holds("/s/late/rootfs/hello", "hello\n"));
    (void)fflush(stdout);
    for (int i = 0; i < 200 && access("/s/late/rootfs/hello", F_OK) == 0; i++)
        (void)usleep(50000);
    say("late-gone", access("/s/late/rootfs/hello", F_OK));
}

int main(void) {
    static const char *const modules[] = {"virtio_ring", "virtio", "virtio_mmio", "fuse", "virtiofs"};
    (void)mkdir("/proc", 0755);
    (void)mkdir("/dev", 0755);
    (void)mkdir("/s", 0755);
    (void)mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    if (console < 0 || dup2(console, 0) < 0 || dup2(console, 1) < 0)
        return 1;
    (void)umask(0);
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++)
        load(modules[i]);
    int mounted = -1;
    for (int i = 0; i < 100 && mounted < 0; i++) {
        mounted = mount("share", "/s", "virtiofs", 0, NULL);
        if (mounted < 0)
            (void)usleep(20000);
    }
    say("mount", mounted);
    as_root();
    as_user();
    printf("waiting 0\n");
    (void)fflush(stdout);
    late();
    printf("done 0\n");
    (void)fflush(stdout);
    sync();
    (void)reboot(RB_AUTOBOOT);
    return 0;
}
