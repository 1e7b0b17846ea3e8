/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The census: what a process holds, and whether all of it is on the list of its plan.
 *
 * A file's name is no proof, since a process may choose it: what a descriptor is follows from the file system that its
 * inode is in, which for pipes, sockets and memory is one of the kernel's own. Of a socket that file system tells the
 * protocol, too, as an extended attribute.
 */
#include "privileged/confine/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

enum { DESCRIPTORS_MAX = 4 << 20, PTS_MAJOR = 136, PTS_MAJORS = 8 };

const char *confine_holding_text(enum confine_holding_kind kind) {
    static const char *const names[] = {
        [CONFINE_HOLDS_PIPE] = "pipe",
        [CONFINE_HOLDS_UNIX_SOCKET] = "unix socket",
        [CONFINE_HOLDS_SOCKET] = "socket that is no unix socket",
        [CONFINE_HOLDS_MEMORY] = "memory file",
        [CONFINE_HOLDS_FILE] = "file",
        [CONFINE_HOLDS_CHARACTER] = "character device",
        [CONFINE_HOLDS_TERMINAL] = "terminal",
        [CONFINE_HOLDS_BLOCK] = "block device",
        [CONFINE_HOLDS_KERNEL] = "kernel object",
        [CONFINE_HOLDS_TREE] = "object in the tree",
        [CONFINE_HOLDS_OWN_PROC] = "place in a proc of its own",
        [CONFINE_HOLDS_DIRECTORY] = "directory",
        [CONFINE_HOLDS_OTHER] = "special file",
    };
    return names[kind];
}

const char *confine_access_text(unsigned access) {
    static const char *const texts[] = {"nothing but its place", "reading", "writing", "reading and writing"};
    return texts[access & (CONFINE_READ | CONFINE_WRITE)];
}

/* The kernel's own file systems, and the proc of here. */
struct known {
    dev_t pipes, memory, proc;
};

static int know(struct known *ret, struct err *err) {
    int ends[2];
    struct stat pipe_stat, memory_stat, proc_stat;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno_name(err, "cannot make a pipe to compare with");
    (void)close(ends[1]);
    _cleanup_close_ int in = ends[0], memory = memfd_create("minka-census", MFD_CLOEXEC);
    if (memory < 0 || fstat(in, &pipe_stat) < 0 || fstat(memory, &memory_stat) < 0 || stat("/proc", &proc_stat) < 0)
        return err_errno_name(err, "cannot find out what to compare descriptors with");
    *ret = (struct known){pipe_stat.st_dev, memory_stat.st_dev, proc_stat.st_dev};
    return 0;
}

/* "anon_inode:[eventfd]" and "anon_inode:kvm-vcpu:0", which no path can be: paths begin with '/' (proc_pid_fd(5)). */
static bool read_kernel_name(const char *link, char *ret, size_t size) {
    static const char prefix[] = "anon_inode:";
    if (!text_has_prefix(link, prefix))
        return false;
    const char *name = link + strlen(prefix);
    size_t length = strlen(name);
    if (length > 2 && name[0] == '[' && name[length - 1] == ']') {
        name++;
        length -= 2;
    }
    const char *number = memchr(name, ':', length);
    if (number)
        length = (size_t)(number - name);
    (void)snprintf(ret, size, "%.*s", (int)length, name);
    return true;
}

/* "UNIX", or since Linux 5.15 "UNIX-STREAM". */
static bool is_unix_socket(const char *path) {
    char protocol[32] = "";
    ssize_t n = getxattr(path, "system.sockprotoname", protocol, sizeof protocol - 1);
    return n > 0 && (strcmp(protocol, "UNIX") == 0 || strcmp(protocol, "UNIX-STREAM") == 0);
}

/* Pseudo-terminals, virtual and serial consoles, and what stands for the one in use: tty(4), pty(7). */
static bool is_terminal(dev_t number) {
    return major(number) == TTY_MAJOR || major(number) == TTYAUX_MAJOR || major(number) - PTS_MAJOR < PTS_MAJORS;
}

static void classify(const struct known *known, const char *path, const char *link, const struct stat *st,
                     struct confine_descriptor *d) {
    char kernel_name[sizeof d->name];
    struct statfs fs;
    d->kind = CONFINE_HOLDS_OTHER;
    d->device = st->st_dev;
    d->inode = st->st_ino;
    if (read_kernel_name(link, kernel_name, sizeof kernel_name)) {
        d->kind = CONFINE_HOLDS_KERNEL;
        (void)strcpy(d->name, kernel_name);
    } else if (S_ISREG(st->st_mode)) {
        d->kind = st->st_dev == known->memory ? CONFINE_HOLDS_MEMORY : CONFINE_HOLDS_FILE;
    } else if (S_ISDIR(st->st_mode)) {
        d->kind = CONFINE_HOLDS_DIRECTORY;
        d->in_own_proc =
            st->st_dev != known->proc && statfs(path, &fs) == 0 && (unsigned long)fs.f_type == PROC_SUPER_MAGIC;
    } else if (d->access == 0) {
        d->kind = CONFINE_HOLDS_OTHER; /* the place of a node, which is not open */
    } else if (S_ISFIFO(st->st_mode)) {
        d->kind = st->st_dev == known->pipes ? CONFINE_HOLDS_PIPE : CONFINE_HOLDS_OTHER;
    } else if (S_ISSOCK(st->st_mode)) {
        d->kind = is_unix_socket(path) ? CONFINE_HOLDS_UNIX_SOCKET : CONFINE_HOLDS_SOCKET;
    } else if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
        d->device = st->st_rdev;
        d->kind = S_ISBLK(st->st_mode)       ? CONFINE_HOLDS_BLOCK
                  : is_terminal(st->st_rdev) ? CONFINE_HOLDS_TERMINAL
                                             : CONFINE_HOLDS_CHARACTER;
    }
}

/* The first lines of fdinfo, which are the same for all kinds: proc_pid_fdinfo(5). */
static int read_info(int proc, int number, struct confine_descriptor *d) {
    static const unsigned modes[] = {CONFINE_READ, CONFINE_WRITE, CONFINE_READ | CONFINE_WRITE, 0};
    char path[64], text[256];
    (void)snprintf(path, sizeof path, "fdinfo/%d", number);
    _cleanup_close_ int file = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    ssize_t n = read(file, text, sizeof text - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    unsigned flags;
    unsigned long long mount;
    const char *flags_line = strstr(text, "\nflags:\t"), *mount_line = strstr(text, "\nmnt_id:\t");
    if (!flags_line || sscanf(flags_line + 8, "%o", &flags) != 1 || !mount_line ||
        sscanf(mount_line + 9, "%llu", &mount) != 1)
        return -EBADMSG;
    d->access = flags & O_PATH ? 0 : modes[flags & O_ACCMODE];
    d->mount = mount;
    return 0;
}

/* 1, or 0 when it has just been closed. */
static int look_at(int proc, int number, const struct known *known, struct confine_descriptor *ret) {
    struct confine_descriptor d = {.number = number};
    char relative[64], path[64], link[sizeof d.name];
    (void)snprintf(relative, sizeof relative, "fd/%d", number);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/fd/%d", proc, number);
    ssize_t n = readlinkat(proc, relative, link, sizeof link - 1);
    struct statx x;
    /* Without asking the server of a network file system, which may be gone for good. */
    if (n < 0 || statx(proc, relative, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &x) < 0)
        return errno == ENOENT ? 0 : -errno;
    link[n] = '\0';
    int r = read_info(proc, number, &d);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    struct stat st = {.st_mode = x.stx_mode,
                      .st_ino = x.stx_ino,
                      .st_dev = makedev(x.stx_dev_major, x.stx_dev_minor),
                      .st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor)};
    (void)strcpy(d.name, link);
    text_make_printable(d.name);
    classify(known, path, link, &st, &d);
    *ret = d;
    return 1;
}

static int compare_numbers(const void *a, const void *b) {
    const struct confine_descriptor *left = a, *right = b;
    return left->number - right->number;
}

int confine_list_descriptors(const struct confine_subject *s, struct confine_descriptor **ret, size_t *ret_count,
                             struct err *err) {
    struct known known;
    int r = know(&known, err);
    if (r < 0)
        return r;
    int fds = openat(s->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *entries = fds < 0 ? NULL : fdopendir(fds);
    if (!entries)
        return err_errno_name(err, "cannot list its descriptors");
    _cleanup_free_ struct confine_descriptor *list = NULL;
    size_t count = 0, room = 0;
    for (struct dirent *e; (e = readdir(entries));) {
        uint64_t number;
        if (parse_u64(e->d_name, &number) < 0)
            continue;
        if (count == room) {
            room = room ? room * 2 : 64;
            struct confine_descriptor *more = room > DESCRIPTORS_MAX ? NULL : realloc(list, room * sizeof *list);
            if (!more)
                return err_set(err, ENOMEM, "it holds more descriptors than can be looked at");
            list = more;
        }
        r = look_at(s->proc, (int)number, &known, &list[count]);
        if (r < 0)
            return err_set(err, -r, "cannot look at its descriptor %d (%s)", (int)number, strerrorname_np(-r));
        count += (size_t)r;
    }
    if (count > 1)
        qsort(list, count, sizeof *list, compare_numbers);
    *ret = take_ptr(list);
    *ret_count = count;
    return 0;
}

/* ---- the comparison ---- */

struct census {
    const struct confine_subject *subject;
    struct confine_mounted *mounts; /* read when first needed */
    size_t n_mounts;
    unsigned taken[CONFINE_HOLDINGS_MAX];
};

static void census_done(struct census *c) {
    confine_free_mounts(c->mounts, c->n_mounts);
}

static int read_mounts(struct census *c, struct err *err) {
    if (c->mounts)
        return 0;
    _cleanup_close_ int mountinfo = -EBADF, root = -EBADF;
    int r = confine_open_view(c->subject, &mountinfo, &root, err);
    return r < 0 ? r : confine_list_mounts(mountinfo, &c->mounts, &c->n_mounts, err);
}

/* By the mount that it was opened through, not by its path. 1 or 0. */
static int is_in_tree(struct census *c, const struct confine_descriptor *d, const char *target, struct err *err) {
    int r = read_mounts(c, err);
    for (size_t i = 0; r == 0 && i < c->n_mounts; i++)
        if (c->mounts[i].id == d->mount)
            return confine_is_below(c->mounts[i].point, target);
    return r;
}

/* 1 or 0. */
static int fits(struct census *c, const struct confine_holding *h, const struct confine_descriptor *d,
                struct err *err) {
    if (h->kind == CONFINE_HOLDS_TREE)
        return d->access & ~h->access ? 0 : is_in_tree(c, d, h->name, err);
    if (h->kind == CONFINE_HOLDS_OWN_PROC)
        return d->in_own_proc && d->access == 0;
    if (h->kind != d->kind || d->access == 0 || (d->access & ~h->access))
        return 0;
    switch (h->kind) {
    case CONFINE_HOLDS_FILE:
        return h->inode == 0 || (h->inode == d->inode && h->device == d->device);
    case CONFINE_HOLDS_CHARACTER:
        return h->device == 0 || h->device == d->device;
    case CONFINE_HOLDS_BLOCK:
        return h->device == d->device;
    case CONFINE_HOLDS_KERNEL:
        return h->name && strcmp(h->name, d->name) == 0;
    case CONFINE_HOLDS_DIRECTORY:
    case CONFINE_HOLDS_OTHER:
        return 0;
    case CONFINE_HOLDS_PIPE:
    case CONFINE_HOLDS_UNIX_SOCKET:
    case CONFINE_HOLDS_SOCKET:
    case CONFINE_HOLDS_MEMORY:
    case CONFINE_HOLDS_TERMINAL:
    case CONFINE_HOLDS_TREE:
    case CONFINE_HOLDS_OWN_PROC:
    default:
        return 1;
    }
}

static int count_one(struct census *c, const struct confine_descriptor *d, struct err *err) {
    const struct confine_plan *plan = c->subject->plan;
    unsigned full = 0;
    for (size_t i = 0; i < plan->n_holdings; i++) {
        const struct confine_holding *h = &plan->holdings[i];
        int r = fits(c, h, d, err);
        if (r < 0)
            return r;
        if (r == 0)
            continue;
        if (h->most == 0 || c->taken[i] < h->most) {
            c->taken[i]++;
            return 0;
        }
        full += h->most;
    }
    char wrong[64] = "which is not on its list";
    if (full)
        (void)snprintf(wrong, sizeof wrong, "one more than the %u that it may have", full);
    return err_set(err, EPERM, "it holds descriptor %d, a %s open for %s (%s), %s", d->number,
                   confine_holding_text(d->kind), confine_access_text(d->access), d->name, wrong);
}

/* As long as there are files in its jail it is loading, and opens them. */
int confine_prove_holdings(const struct confine_subject *s, struct err *err) {
    if (!s->emptied && s->plan->n_mounts > 0)
        return 0;
    __attribute__((cleanup(census_done))) struct census c = {.subject = s};
    _cleanup_free_ struct confine_descriptor *list = NULL;
    size_t count = 0;
    int r = confine_list_descriptors(s, &list, &count, err);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = count_one(&c, &list[i], err);
    return r;
}
