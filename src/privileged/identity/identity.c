/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: first line "next UID", where the next search starts, then one line
 * "UID OWNER" per lease. The lock is a file of its own beside it, because the
 * ledger is replaced by rename(2), which would leave waiters with a lock on the
 * old one.
 */
#include "privileged/identity/identity.h"

#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

enum { LEDGER_MAX = 32 << 20 };

struct lease {
    uint32_t id;
    const char *owner; /* points into the text, or is the caller's */
};

struct ledger {
    char *text;
    struct lease *leases;
    size_t count;
    uint32_t next;
};

static void ledger_done(struct ledger *ledger) {
    free(ledger->text);
    free(ledger->leases);
}

static int check_request(const struct identity_range *range, const char *owner, struct err *err) {
    if (range->size == 0 || range->start > UINT32_MAX - range->size)
        return err_set(err, EINVAL, "the range of uids %u+%u is empty or too large", range->start, range->size);
    if (owner && (!*owner || strchr(owner, '\n')))
        return err_set(err, EINVAL, "a lease's owner is empty or has a line break");
    return 0;
}

static int take_lock(const struct identity_range *range, struct err *err) {
    _cleanup_free_ char *path = text_format("%s.lock", range->ledger);
    if (!path)
        return err_set(err, ENOMEM, "out of memory");
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(err, errno, "cannot open the lock of the uid ledger, %s (%s)", path, strerrorname_np(errno));
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_set(err, errno, "cannot lock the uid ledger, %s (%s)", path, strerrorname_np(errno));
    return take_fd(&fd);
}

static int parse_id(const char *text, uint32_t *ret) {
    uint64_t value;
    int r = parse_u64(text, &value);
    if (r < 0 || value > UINT32_MAX - 1)
        return -EINVAL;
    *ret = (uint32_t)value;
    return 0;
}

/* One line, cut at its line break. */
static int parse_line(struct ledger *ledger, char *line, bool first) {
    if (first) {
        if (!text_has_prefix(line, "next "))
            return -EINVAL;
        return parse_id(line + strlen("next "), &ledger->next);
    }
    char *space = strchr(line, ' ');
    if (!space || !space[1])
        return -EINVAL;
    *space = '\0';
    struct lease *lease = &ledger->leases[ledger->count];
    int r = parse_id(line, &lease->id);
    if (r < 0)
        return r;
    lease->owner = space + 1;
    ledger->count++;
    return 0;
}

/* room: for how many more leases there shall be space. */
static int ledger_read(const struct identity_range *range, size_t room, struct ledger *ret, struct err *err) {
    __attribute__((cleanup(ledger_done))) struct ledger ledger = {.next = range->start};
    struct err why;
    size_t length = 0;
    int r = read_file(AT_FDCWD, range->ledger, LEDGER_MAX, &ledger.text, &length, &why);
    if (r < 0 && r != -ENOENT)
        return err_set(err, -r, "cannot read the uid ledger %s (%s)", range->ledger, strerrorname_np(-r));
    size_t lines = 0;
    for (size_t i = 0; i < length; i++)
        if (ledger.text[i] == '\n')
            lines++;
    ledger.leases = calloc(lines + room + 1, sizeof *ledger.leases);
    if (!ledger.leases)
        return err_set(err, ENOMEM, "out of memory reading the uid ledger");
    size_t number = 0;
    for (char *line = ledger.text; line && *line; number++) {
        char *end = strchr(line, '\n');
        if (end)
            *end = '\0';
        if (!end || parse_line(&ledger, line, number == 0) < 0)
            return err_set(err, EUCLEAN,
                           "the uid ledger %s is damaged at line %zu; when no container runs, remove the file",
                           range->ledger, number + 1);
        line = end + 1;
    }
    if (length > 0 && number != lines)
        return err_set(err, EUCLEAN, "the uid ledger %s has NUL bytes; when no container runs, remove the file",
                       range->ledger);
    *ret = ledger;
    ledger = (struct ledger){0};
    return 0;
}

static int ledger_write(const struct identity_range *range, const struct ledger *ledger, struct err *err) {
    _cleanup_buf_ struct buf out = {0};
    int r = buf_append_format(&out, "next %u\n", ledger->next);
    for (size_t i = 0; r == 0 && i < ledger->count; i++)
        r = buf_append_format(&out, "%u %s\n", ledger->leases[i].id, ledger->leases[i].owner);
    if (r < 0)
        return err_set(err, -r, "out of memory writing the uid ledger");
    r = write_file_atomic(AT_FDCWD, range->ledger, out.data, out.length, 0600, NULL);
    if (r < 0)
        return err_set(err, -r, "cannot write the uid ledger %s (%s)", range->ledger, strerrorname_np(-r));
    return 0;
}

/*
 * Mark the ids of the range that a process has. The directory /proc/PID belongs to the effective uid, dumpable or not
 * (proc(5)), and a process of ours has one uid only (confine_prove).
 */
static int mark_living(const struct identity_range *range, uint8_t *taken, struct err *err) {
    _cleanup_closedir_ DIR *proc = opendir("/proc");
    if (!proc)
        return err_set(err, errno, "cannot list /proc to see which uids are in use (%s)", strerrorname_np(errno));
    for (struct dirent *e; (e = readdir(proc));) {
        struct stat st;
        if (!isdigit((unsigned char)e->d_name[0]) || fstatat(dirfd(proc), e->d_name, &st, 0) < 0)
            continue; /* gone meanwhile */
        if (st.st_uid - range->start < range->size)
            taken[st.st_uid - range->start] = 1;
    }
    return 0;
}

/* A command that was killed at the wrong moment leaves leases whose state directory is gone. */
static void drop_orphans(struct ledger *ledger) {
    size_t kept = 0;
    for (size_t i = 0; i < ledger->count; i++) {
        const char *owner = ledger->leases[i].owner;
        if (owner[0] == '/' && access(owner, F_OK) < 0 && errno == ENOENT)
            continue;
        ledger->leases[kept++] = ledger->leases[i];
    }
    ledger->count = kept;
}

/* Choose count free ids, in turn from ledger->next on; how many were found. */
static size_t choose(const struct identity_range *range, struct ledger *ledger, const uint8_t *living, uint8_t *taken,
                     size_t count, uint32_t *ret_ids) {
    memcpy(taken, living, range->size);
    for (size_t i = 0; i < ledger->count; i++)
        if (ledger->leases[i].id - range->start < range->size)
            taken[ledger->leases[i].id - range->start] = 1;
    uint32_t at = ledger->next - range->start < range->size ? ledger->next - range->start : 0;
    size_t found = 0;
    for (uint32_t tried = 0; tried < range->size && found < count; tried++, at = (at + 1) % range->size)
        if (!taken[at])
            ret_ids[found++] = range->start + at;
    if (found == count)
        ledger->next = range->start + at;
    return found;
}

int identity_lease(const struct identity_range *range, const char *owner, size_t count, uint32_t *ret_ids,
                   struct err *err) {
    int r = check_request(range, owner, err);
    if (r < 0)
        return r;
    if (count == 0 || count > range->size)
        return err_set(err, EINVAL, "the range of %u uids cannot give %zu at once", range->size, count);
    _cleanup_free_ uint8_t *living = calloc(range->size, 1);
    _cleanup_free_ uint8_t *taken = calloc(range->size, 1);
    _cleanup_free_ uint32_t *ids = calloc(count, sizeof *ids);
    if (!living || !taken || !ids)
        return err_set(err, ENOMEM, "out of memory leasing uids");
    _cleanup_close_ int lock = take_lock(range, err);
    if (lock < 0)
        return lock;
    __attribute__((cleanup(ledger_done))) struct ledger ledger = {0};
    r = ledger_read(range, count, &ledger, err);
    if (r == 0)
        r = mark_living(range, living, err);
    if (r < 0)
        return r;
    if (choose(range, &ledger, living, taken, count, ids) < count) {
        drop_orphans(&ledger);
        if (choose(range, &ledger, living, taken, count, ids) < count)
            return err_set(err, EDQUOT,
                           "all %u uids of the range from %u are in use; delete containers or configure a larger range",
                           range->size, range->start);
    }
    for (size_t i = 0; i < count; i++)
        ledger.leases[ledger.count++] = (struct lease){.id = ids[i], .owner = owner};
    r = ledger_write(range, &ledger, err);
    if (r < 0)
        return r;
    memcpy(ret_ids, ids, count * sizeof *ids);
    return 0;
}

int identity_release(const struct identity_range *range, const char *owner, struct err *err) {
    int r = check_request(range, owner, err);
    if (r < 0)
        return r;
    _cleanup_close_ int lock = take_lock(range, err);
    if (lock < 0)
        return lock;
    __attribute__((cleanup(ledger_done))) struct ledger ledger = {0};
    r = ledger_read(range, 0, &ledger, err);
    if (r < 0)
        return r;
    size_t kept = 0;
    for (size_t i = 0; i < ledger.count; i++)
        if (strcmp(ledger.leases[i].owner, owner) != 0)
            ledger.leases[kept++] = ledger.leases[i];
    if (kept == ledger.count)
        return 0;
    ledger.count = kept;
    return ledger_write(range, &ledger, err);
}

int identity_owned(const struct identity_range *range, const char *owner, uint32_t *ret_ids, size_t size,
                   struct err *err) {
    int r = check_request(range, owner, err);
    if (r < 0)
        return r;
    _cleanup_close_ int lock = take_lock(range, err);
    if (lock < 0)
        return lock;
    __attribute__((cleanup(ledger_done))) struct ledger ledger = {0};
    r = ledger_read(range, 0, &ledger, err);
    if (r < 0)
        return r;
    int count = 0;
    for (size_t i = 0; i < ledger.count; i++) {
        if (owner && strcmp(ledger.leases[i].owner, owner) != 0)
            continue;
        if ((size_t)count < size)
            ret_ids[count] = ledger.leases[i].id;
        count++;
    }
    return count;
}

int identity_count(const struct identity_range *range, const char *owner, struct err *err) {
    return identity_owned(range, owner, NULL, 0, err);
}
