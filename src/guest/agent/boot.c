/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/boot.h"

#include "guest/agent/launch.h"
#include "guest/agent/modules.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const struct {
    const char *type, *path, *options;
    unsigned long flags;
} boot_mounts[] = {
    /* devtmpfs first: it has the nodes that the rest of the boot opens. */
    {"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
    {"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
    {"tmpfs", "/run", "mode=0755", MS_NOSUID | MS_NODEV},
    {"devpts", "/dev/pts", "mode=0620,gid=5,ptmxmode=0666", MS_NOSUID | MS_NOEXEC},
};

/* The kernel starts PID 1 with the console on 0 to 2, or with nothing there, and then a pipe could land on them. */
static int open_standard_descriptors(struct err *err) {
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_errno(err, "cannot open /dev/null");
    for (int fd = 0; fd <= 2; fd++) {
        if (fd == null)
            (void)take_fd(&null);
        else if (dup2(null >= 0 ? null : 0, fd) < 0)
            return err_errno(err, "cannot open the standard descriptors");
    }
    return 0;
}

int boot_mount(struct err *err) {
    for (size_t i = 0; i < ARRAY_SIZE(boot_mounts); i++) {
        if (mkdir(boot_mounts[i].path, 0755) < 0 && errno != EEXIST)
            return err_errno(err, "cannot create %s", boot_mounts[i].path);
        /* EBUSY: the kernel has mounted /dev itself (CONFIG_DEVTMPFS_MOUNT). */
        if (mount(boot_mounts[i].type, boot_mounts[i].path, boot_mounts[i].type, boot_mounts[i].flags,
                  boot_mounts[i].options) < 0 &&
            errno != EBUSY)
            return err_errno(err, "cannot mount %s on %s", boot_mounts[i].type, boot_mounts[i].path);
    }
    int r = open_standard_descriptors(err);
    if (r < 0)
        return r;
    /* The OOM killer takes a container's process instead; launch gives every child a value of its own. */
    (void)write_kernel_file(AT_FDCWD, "/proc/self/oom_score_adj", "-1000");
    return container_cgroup_setup(err);
}

char *boot_parameter(const char *command_line, const char *key) {
    const char *value = NULL;
    size_t value_length = 0, key_length = strlen(key);
    for (const char *word = command_line; *word;) {
        word += strspn(word, " \t\n");
        size_t length = strcspn(word, " \t\n");
        if (length > key_length && memcmp(word, key, key_length) == 0 && word[key_length] == '=') {
            value = word + key_length + 1;
            value_length = length - key_length - 1;
        }
        word += length;
    }
    return value ? strndup(value, value_length) : NULL;
}

int boot_load_modules(struct err *err) {
    _cleanup_free_ char *command_line = NULL;
    int r = read_file(AT_FDCWD, "/proc/cmdline", 65536, &command_line, NULL, err);
    if (r < 0)
        return r;
    _cleanup_free_ char *groups = boot_parameter(command_line, "minka.modules");
    char *rest = groups;
    for (char *group; rest && (group = strsep(&rest, ","));) {
        if (!*group)
            continue;
        r = modules_load(group, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- the agent channel's port ---- */

/* Kernel events: the port's `add`, and the `change` when its name has arrived. Opened before the look that must not
 * miss it. */
static int open_uevents(struct err *err) {
    _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(err, "cannot listen to kernel events");
    return take_fd(&fd);
}

/* Wait until a virtio port changed. ENOBUFS means that events were lost: look again, too. */
static int wait_for_port_event(int uevents, int64_t deadline) {
    for (;;) {
        char event[4096];
        ssize_t n = recv(uevents, event, sizeof event - 1, 0);
        if (n < 0 && errno == ENOBUFS)
            return 0;
        if (n > 0) {
            event[n] = '\0';
            if (strstr(event, "/virtio-ports/")) /* in the first string, "add@/devices/…" */
                return 0;
            continue;
        }
        int64_t left = deadline - monotonic_msec();
        if (left <= 0)
            return -ETIMEDOUT;
        struct pollfd poll_fd = {.fd = uevents, .events = POLLIN};
        (void)poll(&poll_fd, 1, (int)left);
    }
}

/* The device of the port with this name, "/dev/vport0p1", or NULL. */
static char *find_port(const char *name) {
    _cleanup_closedir_ DIR *ports = opendir("/sys/class/virtio-ports");
    if (!ports)
        return NULL;
    for (struct dirent *e; (e = readdir(ports));) {
        if (e->d_name[0] == '.')
            continue;
        _cleanup_free_ char *path = text_format("%s/name", e->d_name);
        _cleanup_free_ char *found = NULL;
        if (!path || read_file(dirfd(ports), path, 4096, &found, NULL, NULL) < 0)
            continue;
        found[strcspn(found, "\n")] = '\0';
        if (strcmp(found, name) == 0)
            return text_format("/dev/%s", e->d_name);
    }
    return NULL;
}

static int wait_for_port(const char *name, int64_t msec, char **ret_device, struct err *err) {
    int64_t deadline = monotonic_msec() + msec;
    _cleanup_close_ int uevents = open_uevents(err);
    if (uevents < 0)
        return uevents;
    while (!(*ret_device = find_port(name)))
        if (wait_for_port_event(uevents, deadline) < 0)
            return err_set(err, ETIMEDOUT,
                           "the machine has no virtio-serial port '%s'; is the right bus in minka.modules=?", name);
    return 0;
}

/* Edge-triggered, because a port without a host reports EPOLLHUP all the time; the host's arrival is the next edge. */
static int wait_for_host(int port, struct err *err) {
    _cleanup_close_ int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, port, &event) < 0)
        return err_errno(err, "cannot watch the agent channel");
    for (;;) {
        int n = epoll_wait(epoll_fd, &event, 1, -1);
        if (n < 0 && errno != EINTR)
            return err_errno(err, "cannot wait for the host on the agent channel");
        if (n == 1 && !(event.events & EPOLLHUP))
            return 0;
    }
}

int boot_open_port(const char *name, int64_t appear_msec, struct err *err) {
    _cleanup_free_ char *device = find_port(name); /* usually the driver has found it while it was loaded */
    int r = device ? 0 : wait_for_port(name, appear_msec, &device, err);
    if (r < 0)
        return r;
    _cleanup_close_ int port = open(device, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (port < 0)
        return err_errno(err, "cannot open %s", device);
    r = wait_for_host(port, err);
    return r < 0 ? r : take_fd(&port);
}
