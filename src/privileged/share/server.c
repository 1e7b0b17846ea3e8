/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two servers, and the plan for each. docs/file-server.md says why it is done
 * so, and what was tried.
 */
#include "privileged/share/internal.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *const known_places[] = {
    "/usr/libexec/virtiofsd",  /* Debian, Fedora: the Rust one */
    "/usr/lib/virtiofsd",      /* Arch */
    "/usr/lib/qemu/virtiofsd", /* Debian 12: the C one, of QEMU 7.2 */
};

enum { SERVER_SOCKETS = 4, SERVER_MEMORIES = 8, SERVER_EVENTS = 64, SERVER_POLLS = 8 };
enum { SERVER_FILE_MAX = 256 << 20, ORDINARY_IDS = 65536, SEGMENTS_MAX = CONFINE_MAPS_MAX - 2 };

/* By an option that only the one has: a file server is never run by root just to be asked. */
static int look_into(int fd, enum share_server *ret, const char *path, struct err *err) {
    static const char rust[] = "translate-uid", c[] = "sandbox=namespace|chroot";
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > SERVER_FILE_MAX)
        return err_set(err, ENOEXEC, "%s is not a program", path);
    size_t length = (size_t)st.st_size;
    void *content = mmap(NULL, length, PROT_READ, MAP_PRIVATE, fd, 0);
    if (content == MAP_FAILED)
        return err_set(err, errno, "cannot read %s (%s)", path, strerrorname_np(errno));
    bool is_rust = memmem(content, length, rust, sizeof rust - 1);
    bool is_c = !is_rust && memmem(content, length, c, sizeof c - 1);
    (void)munmap(content, length);
    if (!is_rust && !is_c)
        return err_set(err, ENOTSUP,
                       "%s is neither virtiofsd 1.11 or later nor the virtiofsd of QEMU 7; set virtio_fs_daemon to one",
                       path);
    *ret = is_rust ? SHARE_SERVER_RUST : SHARE_SERVER_C;
    return 0;
}

int share_find_server(const char *config_path, enum share_server *ret_kind, char **ret_path, struct err *err) {
    const char *const configured[] = {config_path};
    bool by_user = config_path && *config_path;
    const char *const *places = by_user ? configured : known_places;
    size_t count = by_user ? 1 : ARRAY_SIZE(known_places);
    for (size_t i = 0; i < count; i++) {
        _cleanup_close_ int fd = open(places[i], O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
            continue;
        enum share_server kind = SHARE_SERVER_RUST;
        int r = look_into(fd, &kind, places[i], err);
        if (r < 0)
            return r;
        char *path = strdup(places[i]);
        if (!path)
            return err_set(err, ENOMEM, "out of memory");
        *ret_kind = kind;
        *ret_path = path;
        return 0;
    }
    if (by_user)
        return err_set(err, ENOENT, "the file server %s cannot be opened; correct virtio_fs_daemon", config_path);
    return err_set(err, ENOENT, "there is no virtiofsd; install the package virtiofsd (Debian 12: qemu-system-common)");
}

/* Sets of ids as sorted, disjoint segments [start, end). */
struct segment {
    uint64_t start, end;
};

struct segments {
    struct segment at[SEGMENTS_MAX * 4];
    size_t count;
};

static void add_segment(struct segments *s, uint64_t start, uint64_t end) {
    if (start < end && s->count < ARRAY_SIZE(s->at))
        s->at[s->count++] = (struct segment){start, end};
}

static int by_start(const void *a, const void *b) {
    const struct segment *x = a, *y = b;
    return (x->start > y->start) - (x->start < y->start);
}

/* Sorted and disjoint: uid and gid mappings of a container are mostly the same, and the kernel refuses overlaps. */
static void unite(struct segments *s) {
    qsort(s->at, s->count, sizeof *s->at, by_start);
    size_t last = 0;
    for (size_t i = 1; i < s->count; i++) {
        if (s->at[i].start > s->at[last].end)
            s->at[++last] = s->at[i];
        else if (s->at[i].end > s->at[last].end)
            s->at[last].end = s->at[i].end;
    }
    s->count = s->count ? last + 1 : 0;
}

/* What of a is in b too. */
static struct segments intersect(const struct segments *a, const struct segments *b) {
    struct segments out = {0};
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++) {
            uint64_t start = a->at[i].start > b->at[j].start ? a->at[i].start : b->at[j].start;
            uint64_t end = a->at[i].end < b->at[j].end ? a->at[i].end : b->at[j].end;
            add_segment(&out, start, end);
        }
    return out;
}

static struct segments without(const struct segments *s, uint64_t id) {
    struct segments others = {0};
    add_segment(&others, 0, id);
    add_segment(&others, id + 1, UINT64_C(1) << 32);
    return intersect(s, &others);
}

/* The ids that the caller's own user namespace has. */
static int read_own_ids(const char *path, struct segments *ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    int r = read_file(AT_FDCWD, path, 65536, &text, NULL, NULL);
    if (r < 0)
        return err_set(err, -r, "cannot read %s (%s)", path, strerrorname_np(-r));
    struct segments s = {0};
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        unsigned inside, outside, count;
        if (sscanf(line, " %u %u %u", &inside, &outside, &count) != 3)
            return err_set(err, EBADMSG, "cannot make sense of %s", path);
        add_segment(&s, inside, (uint64_t)inside + count);
    }
    *ret = s;
    return 0;
}

/* Which ids files of the share may have: the ordinary ones and the container's own, as far as the caller has them. */
static int file_ids(const struct share *share, struct segments *ret, struct err *err) {
    struct segments wanted = {0}, uids, gids;
    if (share->n_more_ids >= ARRAY_SIZE(wanted.at))
        return err_set(err, E2BIG, "the container's id mappings have more than %zu ranges", ARRAY_SIZE(wanted.at) - 1);
    add_segment(&wanted, 0, ORDINARY_IDS);
    for (size_t i = 0; i < share->n_more_ids; i++) {
        uint64_t start = share->more_ids[i].start, end = start + share->more_ids[i].count;
        add_segment(&wanted, start > ORDINARY_IDS ? start : ORDINARY_IDS, end);
    }
    unite(&wanted);
    int r = read_own_ids("/proc/self/uid_map", &uids, err);
    if (r == 0)
        r = read_own_ids("/proc/self/gid_map", &gids, err);
    if (r < 0)
        return r;
    wanted = intersect(&wanted, &uids);
    wanted = intersect(&wanted, &gids);
    *ret = without(&wanted, share->uid);
    if (ret->count > SEGMENTS_MAX)
        return err_set(err, E2BIG, "the container's id mappings have more than %d ranges", SEGMENTS_MAX);
    return 0;
}

static void add_map(struct confine_plan *plan, uint64_t inside, uint64_t outside, uint64_t count) {
    if (plan->n_maps == CONFINE_MAPS_MAX)
        abort(); /* file_ids() left room */
    plan->maps[plan->n_maps++] =
        (struct confine_id_map){.inside = (uint32_t)inside, .outside = (uint32_t)outside, .count = (uint32_t)count};
}

/* A vector of strings that grows; the plan's argv, and what else it points to. */
struct strings {
    char **at;
    size_t count, room;
};

/* text is taken over, also on failure; NULL means that it could not be made. */
static int push(struct strings *s, char *text) {
    if (!text || s->count + 1 >= s->room) {
        free(text);
        return -ENOMEM;
    }
    s->at[s->count++] = text;
    return 0;
}

/*
 * Rust: the leased uid is 0 inside, and the host's 0 is inside what the leased uid is outside. The server then never
 * gives up uid 0 for a request of the guest's root, which it does by not switching at all: the translation tells it
 * that the guest's 0 is not its own. But then the guest's root has no privilege in it either: it could not create a
 * file in a directory that is not its own, for the server drops to the request's uid for that, and is given back
 * CAP_DAC_OVERRIDE by itself only for guests before Linux 6.3. NO_SETUID_FIXUP keeps it; what may be accessed is for
 * the guest's kernel to check.
 */
static int plan_rust(const struct share *share, const struct segments *ids, struct confine_plan *plan,
                     struct strings *argv) {
    plan->user_namespace_uid = 0;
    plan->securebits = SECBIT_NO_SETUID_FIXUP;
    add_map(plan, 0, share->uid, 1);
    add_map(plan, share->uid, 0, 1);
    int r = push(argv, strdup("--fd=3"));
    static const char *const fixed[] = {("--shared-dir=" SHARE_DIR), "--sandbox=none", "--inode-file-handles=never",
                                        "--rlimit-nofile=0",         "--xattr",        "--log-level=warn"};
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fixed); i++)
        r = push(argv, strdup(fixed[i]));
    if (r == 0)
        r = push(argv, text_format("--cache=%s", share->cache));
    static const char *const options[] = {"--translate-uid", "--translate-gid"};
    for (size_t o = 0; r == 0 && o < ARRAY_SIZE(options); o++)
        r = push(argv, text_format("%s=map:0:%u:1", options[o], share->uid));
    for (size_t i = 0; r == 0 && i < ids->count; i++) {
        uint64_t start = ids->at[i].start ? ids->at[i].start : 1, end = ids->at[i].end;
        if (start >= end)
            continue;
        add_map(plan, start, start, end - start);
        for (size_t o = 0; r == 0 && o < ARRAY_SIZE(options); o++)
            r = push(argv, text_format("%s=map:%u:%u:%u", options[o], (unsigned)start, (unsigned)start,
                                       (unsigned)(end - start)));
    }
    return r;
}

/*
 * C: every id is itself inside, and the server runs as the leased uid there too. It switches ids for every request,
 * those of the guest's root included; without NO_SETUID_FIXUP the first switch from uid 0 back would take its
 * capabilities away for good (capabilities(7), "Effect of user ID changes").
 */
static int plan_c(const struct share *share, const struct segments *ids, struct confine_plan *plan,
                  struct strings *argv) {
    plan->user_namespace_uid = share->uid;
    plan->securebits = SECBIT_NO_SETUID_FIXUP;
    plan->keep_capabilities |= UINT64_C(1) << CAP_SYS_CHROOT;
    add_map(plan, share->uid, share->uid, 1);
    for (size_t i = 0; i < ids->count; i++)
        add_map(plan, ids->at[i].start, ids->at[i].start, ids->at[i].end - ids->at[i].start);
    static const char *const fixed[] = {"--fd=3", "--rlimit-nofile=0", "-o",
                                        ("source=" SHARE_DIR ",sandbox=chroot,xattr,announce_submounts,log_level=warn"),
                                        "-o"};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fixed); i++)
        r = push(argv, strdup(fixed[i]));
    const char *cache = strcmp(share->cache, "metadata") == 0 ? "auto" /* it has no metadata, */
                        : strcmp(share->cache, "never") == 0  ? "none" /* and another word for never */
                                                              : share->cache;
    return r < 0 ? r : push(argv, text_format("cache=%s", cache));
}

static int check_cache(const char *cache, struct err *err) {
    static const char *const known[] = {"auto", "always", "metadata", "never"};
    for (size_t i = 0; cache && i < ARRAY_SIZE(known); i++)
        if (strcmp(cache, known[i]) == 0)
            return 0;
    return err_set(err, EINVAL, "the file server's cache mode \"%s\" is not auto, always, metadata or never",
                   cache ? cache : "");
}

static int plan_files(const struct share *share, struct confine_plan *plan, struct err *err) {
    size_t count = 0;
    while (share->server_files[count])
        count++;
    if (count + 4 > CONFINE_MOUNTS_MAX)
        return err_set(err, E2BIG, "the file server %s needs %zu files", share->server_path, count);
    for (size_t i = 0; i < count; i++)
        confine_plan_add_mount(plan, CONFINE_MOUNT_BIND, share->server_files[i], share->server_files[i])->executable =
            true;
    confine_plan_add_mount(plan, CONFINE_MOUNT_TMPFS, NULL, SHARE_DIR)->stays = true;
    /*
     * Of proc they want /proc/self/fd, which they open once and keep, and one number each to choose a limit of open
     * files by; nothing else of it is there, and share_empty() takes this away too.
     */
    confine_plan_add_mount(plan, CONFINE_MOUNT_PROC, NULL, "/processes");
    confine_plan_add_mount(plan, CONFINE_MOUNT_SYMLINK, "/processes/self", "/proc/self");
    static const char *const limits[] = {"/proc/sys/fs/file-max", "/proc/sys/fs/nr_open"};
    const char *limit = limits[share->kind == SHARE_SERVER_RUST];
    confine_plan_add_mount(plan, CONFINE_MOUNT_BIND, limit, limit);
    return 0;
}

/* Its sockets are the listening one, the VMM's and the channel back. */
static void may_hold(struct confine_plan *plan) {
    const unsigned both = CONFINE_READ | CONFINE_WRITE;
    confine_plan_may_hold(plan, CONFINE_HOLDS_PIPE, NULL, 3, CONFINE_WRITE);
    confine_plan_may_hold(plan, CONFINE_HOLDS_UNIX_SOCKET, NULL, SERVER_SOCKETS, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_MEMORY, NULL, SERVER_MEMORIES, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "eventfd", SERVER_EVENTS, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_KERNEL, "eventpoll", SERVER_POLLS, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_OWN_PROC, NULL, 2, 0);
    confine_plan_may_hold(plan, CONFINE_HOLDS_TREE, SHARE_DIR, 0, both);
    confine_plan_may_hold(plan, CONFINE_HOLDS_TREE, "/", 2, 0); /* its root, which will be empty */
}

int share_plan(const struct share *share, struct confine_plan *plan, char ***ret_strings, struct err *err) {
    static char *const no_environment[] = {NULL};
    struct segments ids = {0};
    int r = check_cache(share->cache, err);
    if (r == 0)
        r = file_ids(share, &ids, err);
    if (r < 0)
        return r;
    confine_plan_init(plan, "file server", share->uid, share->uid);
    r = plan_files(share, plan, err);
    if (r < 0)
        return r;
    plan->pid_namespace = CONFINE_PID_NEW_INSIDE;
    plan->pid_namespace_of = share->pid_namespace_of;
    plan->user_namespace = true;
    plan->filter = share->kind == SHARE_SERVER_RUST ? &filter_server_rust : &filter_server_c;
    plan->ambient = true;
    plan->keep_capabilities = SHARE_CAPABILITIES;
    for (int number = 0; number < 3; number++) /* Rust's runtime wants all three; reading from a pipe's end fails */
        confine_plan_add_fd(plan, share->stderr_fd, number);
    confine_plan_add_fd(plan, share->listen_fd, 3);
    may_hold(plan);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return err_set(err, errno, "cannot read the limit of open files (%s)", strerrorname_np(errno));
    files.rlim_cur = files.rlim_max; /* a descriptor per file that the guest knows */
    plan->rlimits[plan->n_rlimits].resource = RLIMIT_NOFILE;
    plan->rlimits[plan->n_rlimits++].limit = files;

    struct strings argv = {.room = 40};
    argv.at = calloc(argv.room, sizeof *argv.at);
    r = argv.at ? push(&argv, strdup(share->server_path)) : -ENOMEM;
    if (r == 0)
        r = share->kind == SHARE_SERVER_RUST ? plan_rust(share, &ids, plan, &argv) : plan_c(share, &ids, plan, &argv);
    if (r < 0) {
        free_strv(&argv.at);
        return err_set(err, -r, "out of memory planning the file server");
    }
    plan->executable = share->server_path;
    plan->argv = argv.at;
    plan->envp = no_environment;
    *ret_strings = argv.at;
    return 0;
}
