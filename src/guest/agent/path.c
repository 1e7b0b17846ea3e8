/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/path.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { LINKS_MAX = 40 }; /* as the kernel's MAXSYMLINKS */

/*
 * A walk from the root: done is the path so far, without links or dots, "" for the root itself; todo is what is
 * left, with the links met on the way put in front of it.
 */
struct walk {
    int root_fd;
    char done[PATH_MAX];
    char todo[PATH_MAX];
    unsigned links;
};

static int open_done(const struct walk *walk, int flags) {
    return open_in_root(walk->root_fd, *walk->done ? walk->done : "/", O_PATH | O_NOFOLLOW | flags, 0);
}

/* Take the next component out of todo into name; 0 when there is none left. */
static int next_component(struct walk *walk, char name[NAME_MAX + 1]) {
    char *start = walk->todo + strspn(walk->todo, "/");
    size_t length = strcspn(start, "/");
    if (length > NAME_MAX)
        return -ENAMETOOLONG;
    memcpy(name, start, length);
    name[length] = '\0';
    memmove(walk->todo, start + length, strlen(start + length) + 1);
    return length > 0;
}

static bool is_last(const struct walk *walk) {
    return walk->todo[strspn(walk->todo, "/")] == '\0';
}

static int append_done(struct walk *walk, const char *name) {
    size_t used = strlen(walk->done), more = strlen(name);
    if (used + 1 + more >= sizeof walk->done)
        return -ENAMETOOLONG;
    walk->done[used] = '/';
    memcpy(walk->done + used + 1, name, more + 1);
    return 0;
}

static int follow_link(struct walk *walk, int parent, const char *name) {
    if (++walk->links > LINKS_MAX)
        return -ELOOP;
    char target[PATH_MAX];
    ssize_t length = readlinkat(parent, name, target, sizeof target);
    if (length < 0)
        return -errno;
    size_t rest = strlen(walk->todo);
    if (length == 0 || (size_t)length + 1 + rest >= sizeof walk->todo)
        return -ENAMETOOLONG;
    memmove(walk->todo + length + 1, walk->todo, rest + 1);
    memcpy(walk->todo, target, (size_t)length);
    walk->todo[length] = '/';
    if (target[0] == '/')
        walk->done[0] = '\0';
    return 0;
}

/* One component: make it if it is missing, follow it if it is a link, else step into it. */
static int step(struct walk *walk, const char *name, bool file) {
    if (strcmp(name, ".") == 0)
        return 0;
    if (strcmp(name, "..") == 0) {
        char *slash = strrchr(walk->done, '/');
        if (slash)
            *slash = '\0';
        return 0;
    }
    _cleanup_close_ int parent = open_done(walk, O_DIRECTORY);
    if (parent < 0)
        return parent;
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return -errno;
        if (file && is_last(walk)) {
            _cleanup_close_ int made = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
            if (made < 0 && errno != EEXIST) /* somebody else may have been faster, in a shared volume */
                return -errno;
        } else if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST) {
            return -errno;
        }
        return append_done(walk, name);
    }
    return S_ISLNK(st.st_mode) ? follow_link(walk, parent, name) : append_done(walk, name);
}

static int make(int root_fd, const char *path, bool file, struct err *err) {
    int existing = open_in_root(root_fd, path, O_PATH | (file ? 0 : O_DIRECTORY), 0);
    if (existing >= 0)
        return existing;
    if (existing != -ENOENT) {
        errno = -existing;
        return err_errno(err, "cannot open %s in the container's root file system", path);
    }
    struct walk walk = {.root_fd = root_fd};
    if (strlen(path) >= sizeof walk.todo)
        return err_set(err, ENAMETOOLONG, "the path %.64s… is too long", path);
    strcpy(walk.todo, path);
    char name[NAME_MAX + 1];
    int r;
    while ((r = next_component(&walk, name)) > 0) {
        r = step(&walk, name, file);
        if (r < 0)
            break;
    }
    int made = r < 0 ? r : open_done(&walk, file ? 0 : O_DIRECTORY);
    if (made < 0) {
        errno = -made;
        return err_errno(err, "cannot create %s in the container's root file system", path);
    }
    return made;
}

int path_make_directory(int root_fd, const char *path, struct err *err) {
    return make(root_fd, path, false, err);
}

int path_make_file(int root_fd, const char *path, struct err *err) {
    return make(root_fd, path, true, err);
}

int path_make_parent(int root_fd, const char *path, const char **ret_name, struct err *err) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(err, EINVAL, "'%s' cannot be created: it does not end in a name", path);
    _cleanup_free_ char *directory = text_format("/%.*s", (int)(name - path), path);
    if (!directory)
        return err_set(err, ENOMEM, "out of memory");
    int fd = make(root_fd, directory, false, err);
    if (fd >= 0)
        *ret_name = name;
    return fd;
}

int path_open_plain(int root_fd, const char *path) {
    struct open_how how = {
        /* Without O_NOFOLLOW, which would return a link at the end as itself. */
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
    };
    for (int tries = 0; tries < 32; tries++) {
        int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            return fd >= 0 ? fd : -errno;
    }
    return -EAGAIN;
}
