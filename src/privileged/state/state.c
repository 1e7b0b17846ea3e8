/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/state/state.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct state *state_new(const char *id) {
    struct state *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    state->id = strdup(id);
    state->bundle = strdup("");
    state->rootfs = strdup("");
    state->oci_version = strdup("");
    state->cgroup = strdup("");
    if (!state->id || !state->bundle || !state->rootfs || !state->oci_version || !state->cgroup)
        return state_free(state);
    return state;
}

struct state *state_free(struct state *state) {
    if (!state)
        return NULL;
    free(state->id);
    free(state->bundle);
    free(state->rootfs);
    free(state->oci_version);
    free(state->cgroup);
    free(state);
    return NULL;
}

void state_freep(struct state **state) {
    *state = state_free(*state);
}

static int does_not_exist(const char *id, struct err *err) {
    return err_set(err, ENOENT, "container %s does not exist", id);
}

static int check_id(const char *id, struct err *err) {
    if (!id_is_valid(id))
        return err_set(
            err, EINVAL,
            "the container id \"%.64s\" is not valid: use 1 to 255 letters, digits and the characters _ + . -", id);
    return 0;
}

static int open_directory(const char *root, const char *id, int lock, int *ret_dir, struct err *err) {
    int r = check_id(id, err);
    if (r < 0)
        return r;
    _cleanup_close_ int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return errno == ENOENT ? does_not_exist(id, err) : err_errno(err, "cannot open the state directory %s", root);
    _cleanup_close_ int dir = openat(root_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return errno == ENOENT || errno == ENOTDIR ? does_not_exist(id, err)
                                                   : err_errno(err, "cannot open the state of container %s", id);
    if (lock) {
        do
            r = flock(dir, lock);
        while (r < 0 && errno == EINTR);
        if (r < 0)
            return err_errno(err, "cannot lock container %s", id);
        /* Deleted while we waited for the lock? */
        struct stat st;
        if (fstat(dir, &st) < 0 || st.st_nlink == 0)
            return does_not_exist(id, err);
    }
    *ret_dir = take_fd(&dir);
    return 0;
}

int state_open(const char *root, const char *id, int *ret_dir, struct err *err) {
    return open_directory(root, id, LOCK_EX, ret_dir, err);
}

int state_peek(const char *root, const char *id, int *ret_dir, struct err *err) {
    return open_directory(root, id, 0, ret_dir, err);
}

static bool is_named(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bool state_is_ours(int dir, bool unfinished) {
    static const char *const names[] = {"config.json", "config.json.tmp", "state.json.tmp", /* before the first state */
                                        "state.json",  "control.sock",    "monitor.log"};
    size_t count = unfinished ? 3 : ARRAY_SIZE(names);
    struct stat st;
    if (fstat(dir, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
        return false;
    _cleanup_close_ int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (!entries)
        return false;
    (void)take_fd(&copy);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(entries);
        if (!entry)
            return errno == 0;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !is_named(entry->d_name, names, count))
            return false;
    }
}

static int not_ours(const char *root, const char *id, struct err *err) {
    return err_set(err, EEXIST,
                   "the id %s cannot be used: %s/%s exists and is no container's directory; remove it, or choose "
                   "another id",
                   id, root, id);
}

int state_create(const char *root, const char *id, int *ret_dir, struct err *err) {
    int r = check_id(id, err);
    if (r < 0)
        return r;
    r = mkdir_parents(AT_FDCWD, root, 0711);
    if (r < 0)
        return err_set(err, -r, "cannot create the state directory %s: %s; give another one with --root", root,
                       strerror(-r));
    _cleanup_close_ int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return err_errno(err, "cannot open the state directory %s", root);
    if (mkdirat(root_fd, id, 0700) < 0 && errno != EEXIST)
        return err_errno(err, "cannot create a directory for container %s in %s", id, root);
    struct stat st;
    if (fstatat(root_fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
        return not_ours(root, id, err);
    /*
     * A directory that nobody has locked and that holds no state was left by a `create` that was killed at its very
     * first step: it is taken over. Of two that race here, the one that gets the lock has the id.
     */
    _cleanup_close_ int dir = -EBADF;
    r = open_directory(root, id, LOCK_EX | LOCK_NB, &dir, err);
    if (r < 0 && r != -EWOULDBLOCK)
        return r;
    if (r < 0 || faccessat(dir, "state.json", F_OK, 0) == 0)
        return err_set(err, EEXIST, "a container with the id %s exists already; remove it with `minka delete %s`", id,
                       id);
    if (!state_is_ours(dir, true))
        return not_ours(root, id, err);
    *ret_dir = take_fd(&dir);
    return 0;
}

int state_load_spec(int dir, struct oci_spec **ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = read_file(dir, "config.json", OCI_CONFIG_MAX, &text, &length, err);
    if (r < 0)
        return r;
    return oci_spec_parse(text, length, ret, err);
}

int state_save_spec(int dir, const char *json, size_t length, struct err *err) {
    return write_file_atomic(dir, "config.json", json, length, 0600, err);
}

/* Everything in it was made by minka, in a directory that only its owner can enter: one level of plain files. */
static int empty_directory(int dir) {
    _cleanup_close_ int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0)
        return -errno;
    _cleanup_closedir_ DIR *entries = fdopendir(copy);
    if (!entries)
        return -errno;
    (void)take_fd(&copy);
    int result = 0;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(entries);
        if (!entry)
            return errno ? -errno : result;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dir, entry->d_name, 0) < 0 && errno != ENOENT) {
            if (errno != EISDIR || unlinkat(dir, entry->d_name, AT_REMOVEDIR) < 0)
                result = -errno;
        }
    }
}

int state_remove(const char *root, const char *id, struct err *err) {
    int r = check_id(id, err);
    if (r < 0)
        return r;
    _cleanup_close_ int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return err_errno(err, "cannot open the state directory %s", root);
    _cleanup_close_ int dir = openat(root_fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return errno == ENOENT ? 0 : err_errno(err, "cannot open the state of container %s", id);
    r = empty_directory(dir);
    if (r < 0)
        return err_set(err, -r, "cannot remove the state of container %s: %s", id, strerror(-r));
    if (unlinkat(root_fd, id, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_errno(err, "cannot remove the state of container %s", id);
    return 0;
}

static int is_container(const struct dirent *entry) {
    return id_is_valid(entry->d_name);
}

static int has_state(const char *root, const char *id) {
    _cleanup_free_ char *path = text_format("%s/%s/state.json", root, id);
    if (!path)
        return -ENOMEM;
    return access(path, F_OK) == 0;
}

int state_list(const char *root, char ***ret, struct err *err) {
    struct dirent **entries = NULL;
    int n = scandir(root, &entries, is_container, alphasort);
    if (n < 0 && errno != ENOENT)
        return err_errno(err, "cannot list the state directory %s", root);
    size_t count = n < 0 ? 0 : (size_t)n, kept = 0;
    _cleanup_strv_ char **ids = calloc(count + 1, sizeof *ids);
    int r = ids ? 0 : -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        if (r == 0) {
            int there = has_state(root, entries[i]->d_name);
            if (there > 0 && !(ids[kept++] = strdup(entries[i]->d_name)))
                there = -ENOMEM;
            if (there < 0)
                r = there;
        }
        free(entries[i]);
    }
    free(entries);
    if (r < 0)
        return err_set(err, ENOMEM, "out of memory listing %s", root);
    *ret = take_ptr(ids);
    return 0;
}

const char *state_status_text(enum state_status status) {
    static const char *const texts[] = {"creating", "created", "running", "paused", "stopped"};
    return texts[status];
}

void state_refresh(struct state *state) {
    if (state->status == STATE_STOPPED)
        return;
    bool lives = state->status == STATE_CREATING
                     ? state_process_alive(&state->creator)
                     : state_process_alive(&state->standin) && state_process_alive(&state->monitor);
    if (!lives)
        state->status = STATE_STOPPED;
}
