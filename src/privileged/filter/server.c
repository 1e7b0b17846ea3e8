/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file servers: virtiofsd of QEMU 7.2, in C, and 1.11 to 1.13, in Rust. They load filters of their own above these,
 * after their start; theirs do not look at arguments.
 */
#include "privileged/filter/rows.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/prctl.h>

/* What the guest's requests become. */
static const struct filter_row files[] = {
    ALLOW(openat, "open, create"),
    ALLOW(openat2, "[read] the same"),
    ALLOW(getdents64, "directories"),
    ALLOW(readlinkat, "links"),
    ALLOW(symlinkat, "links"),
    ALLOW(linkat, "links"),
    ALLOW(unlinkat, "removal"),
    ALLOW(renameat, "renaming"),
    ALLOW(renameat2, "renaming"),
    ALLOW(mkdirat, "directories"),
    ALLOW(mknodat, "special files; the share is nodev, and there is no CAP_MKNOD on the host"),
    ALLOW(fchmod, "modes"),
    ALLOW(fchmodat, "modes"),
    ALLOW(fchown, "[read] owners"),
    ALLOW(fchownat, "owners"),
    ALLOW(utimensat, "times"),
    ALLOW(ftruncate, "sizes"),
    ALLOW(fallocate, "sizes"),
    ALLOW(copy_file_range, "copies"),
    ALLOW(preadv, "contents"),
    ALLOW(preadv2, "[read] contents"),
    ALLOW(pwrite64, "[read] contents"),
    ALLOW(pwritev, "contents"),
    ALLOW(pwritev2, "contents"),
    ALLOW(fsync, "contents on disk"),
    ALLOW(fdatasync, "contents on disk"),
    ALLOW(syncfs, "contents on disk"),
    ALLOW(flock, "[read] locks"),
    ALLOW(getxattr, "extended attributes"),
    ALLOW(setxattr, "extended attributes"),
    ALLOW(listxattr, "extended attributes"),
    ALLOW(removexattr, "extended attributes"),
    ALLOW(fgetxattr, "extended attributes"),
    ALLOW(fsetxattr, "extended attributes"),
    ALLOW(flistxattr, "extended attributes"),
    ALLOW(fremovexattr, "extended attributes"),
    ALLOW(fchdir, "extended attributes of links, by a thread with a directory of its own"),
    ALLOW(unshare, "which it makes for itself so", IS(0, CLONE_FS)),
    REFUSE(ioctl, ENOTTY, "requests of the guest for what a file system may have; is stderr a terminal"),
    REFUSE(name_to_handle_at, EOPNOTSUPP, "[read] files are known by descriptor, not by handle"),
    END,
};

/* A request is done as who made it. */
static const struct filter_row identity[] = {
    ALLOW(setresuid, "the owner of what a request creates"),
    ALLOW(setresgid, "the same"),
    ALLOW(setgroups, "[read] the same; groups are none as long as nothing gives some"),
    ALLOW(capget, "a capability less for a request that must clear set-id bits"),
    ALLOW(capset, "the same"),
    ALLOW(prctl, "libcap-ng reads what it has", IS(0, PR_CAPBSET_READ)),
    ALLOW(prctl, "and gives it up", IS(0, PR_CAPBSET_DROP)),
    ALLOW(prctl, "the same", IS(0, PR_CAP_AMBIENT)),
    ALLOW(prctl, "the same", IS(0, PR_GET_SECUREBITS)),
    END,
};

static const struct filter_row c_server[] = {
    ALLOW(accept, "the VMM connects"),
    ALLOW(chroot, "the share becomes its root"),
    ALLOW(chdir, "the same"),
    ALLOW(sched_getattr, "[read] its thread pool"),
    REFUSE(sched_setattr, EPERM, "[read] its thread pool"),
    END,
};

const struct filter filter_server_c = {
    "file server in C",
    {filter_start, filter_library, filter_threads, filter_own, files, identity, c_server, filter_foreign}};

static const struct filter_row rust_server[] = {
    ALLOW(accept4, "the VMM connects"),
    ALLOW(unlink, "[read] its socket, which is none here"),
    END,
};

const struct filter filter_server_rust = {
    "file server in Rust",
    {filter_start, filter_library, filter_threads, filter_own, files, identity, rust_server, filter_foreign}};
