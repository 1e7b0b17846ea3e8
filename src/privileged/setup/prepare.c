/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/setup/internal.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

int setup_bundle_load(const char *path, struct setup_bundle *ret, struct err *err) {
    _cleanup_setup_bundle_ struct setup_bundle bundle = {.path = strdup(path)};
    if (!bundle.path)
        return err_set(err, ENOMEM, "out of memory");
    _cleanup_free_ char *file = text_format("%s/config.json", path);
    if (!file)
        return err_set(err, ENOMEM, "out of memory");
    int r = read_file(AT_FDCWD, file, OCI_CONFIG_MAX, &bundle.json, &bundle.length, err);
    if (r == -ENOENT)
        return err_set(err, ENOENT, "the bundle %s has no config.json: `minka spec` writes one", path);
    if (r >= 0)
        r = oci_spec_parse(bundle.json, bundle.length, &bundle.spec, err);
    if (r < 0)
        return r;
    *ret = bundle;
    bundle = (struct setup_bundle){0};
    return 0;
}

void setup_bundle_done(struct setup_bundle *bundle) {
    free(bundle->path);
    free(bundle->json);
    bundle->spec = oci_spec_free(bundle->spec);
    *bundle = (struct setup_bundle){0};
}

/* ---- the root file system ---- */

static int find_directory(struct sandbox *s, struct err *err) {
    const char *path = s->spec->root_path;
    _cleanup_free_ char *joined = path[0] == '/' ? strdup(path) : text_format("%s/%s", s->request->bundle->path, path);
    if (!joined)
        return err_set(err, ENOMEM, "out of memory");
    s->rootfs = realpath(joined, NULL);
    struct stat st;
    if (!s->rootfs || stat(s->rootfs, &st) < 0)
        return errno == ENOENT
                   ? err_set(err, ENOENT, "the root file system %s (root.path in config.json) does not exist", joined)
                   : err_errno_name(err, "cannot use the root file system %s", joined);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ENOTDIR, "the root file system %s is not a directory; for an image file use --image",
                       joined);
    return 0;
}

/* The few bytes that tell file systems apart (magic(5)); the image is mounted by nobody but the guest. */
static const char *disk_type(int fd) {
    static const struct {
        const char *type;
        off_t offset;
        const char *magic;
        size_t length;
    } types[] = {
        {"squashfs", 0, "hsqs", 4},
        {"erofs", 1024, "\xe2\xe1\xf5\xe0", 4},
        {"ext4", 1080, "\x53\xef", 2},
    };
    char magic[4];
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (pread(fd, magic, types[i].length, types[i].offset) == (ssize_t)types[i].length &&
            memcmp(magic, types[i].magic, types[i].length) == 0)
            return types[i].type;
    return NULL;
}

static int find_image(struct sandbox *s, struct err *err) {
    const char *path = s->request->image;
    s->rootfs = strdup(path);
    if (!s->rootfs)
        return err_set(err, ENOMEM, "out of memory");
    /* The guest writes to a tmpfs above it, so that one image serves many containers. */
    s->disk = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (s->disk < 0)
        return errno == ENOENT ? err_set(err, ENOENT, "the image %s does not exist", path)
                               : err_errno_name(err, "cannot open the image %s", path);
    struct stat st;
    if (fstat(s->disk, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)))
        return err_set(err, EINVAL, "the image %s is neither a file nor a block device", path);
    s->disk_type = disk_type(s->disk);
    if (!s->disk_type)
        return err_set(err, EINVAL, "the image %s holds no file system that minka knows: ext4, squashfs or erofs",
                       path);
    return 0;
}

/* ---- the mounts ---- */

/* The guest's own shared memory is as large as what the engine made on the host (podman --shm-size). */
static void look_at_size(struct plan_host_mount *mount) {
    struct statfs fs;
    if (statfs(mount->size_of, &fs) == 0 && fs.f_type == TMPFS_MAGIC)
        mount->size = (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize;
}

static int look_at_source(struct plan_host_mount *mount, struct err *err) {
    if (mount->size_of)
        look_at_size(mount);
    if (!mount->source)
        return 0;
    struct stat st;
    if (stat(mount->source, &st) < 0)
        return errno == ENOENT
                   ? err_set(err, ENOENT, "the source %s of a bind mount (config.json) does not exist", mount->source)
                   : err_errno_name(err, "cannot use the source %s of a bind mount", mount->source);
    mount->is_file = !S_ISDIR(st.st_mode);
    return 0;
}

void host_mounts_free(struct sandbox *s) {
    plan_host_mounts_free(s->mounts, s->spec->n_mounts);
    s->mounts = NULL;
}

/* Of a privileged container, whose engine lists every node of the host's /dev. */
static void warn_left_out(const struct setup_context *context, int count) {
    char sentence[128];
    if (count == 0 || !context->warn)
        return;
    (void)snprintf(sentence, sizeof sentence,
                   "%d device%s of the host %s left out: the container has its virtual machine's own /dev", count,
                   count == 1 ? "" : "s", count == 1 ? "is" : "are");
    context->warn(context->warn_data, sentence);
}

static const char DISK_SERIAL[] = "rootfs";

static int make_plan(struct sandbox *s, struct err *err) {
    int r = plan_host_mounts(s->spec, s->request->bundle->path, &s->mounts, err);
    if (r < 0)
        return r;
    s->uses_share = !s->disk_type;
    for (size_t i = 0; i < s->spec->n_mounts; i++) {
        if ((r = look_at_source(&s->mounts[i], err)) < 0)
            return r;
        s->uses_share = s->uses_share || s->mounts[i].source;
    }
    struct plan_host host = {
        .container_id = s->request->id,
        .bundle = s->request->bundle->path,
        .disk_serial = s->disk_type ? DISK_SERIAL : NULL,
        .disk_type = s->disk_type,
        .mounts = s->mounts,
        .streams = {s->streams.kinds, s->streams.count},
    };
    _cleanup_buf_ struct buf plan = {0};
    r = plan_container(s->spec, &host, &plan, err);
    if (r < 0)
        return r;
    warn_left_out(s->context, r);
    s->plan = memfd_of("minka-plan", plan.data, plan.length);
    return s->plan < 0 ? err_set(err, -s->plan, "cannot make the plan's memory file (%s)", strerrorname_np(-s->plan))
                       : 0;
}

static int open_net_namespace(struct sandbox *s, struct err *err) {
    const char *path = s->spec->namespaces[OCI_NS_NETWORK].path;
    if (!path)
        return 0;
    s->net_namespace = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    return s->net_namespace < 0 ? err_errno_name(err, "cannot open the network namespace %s", path) : 0;
}

int sandbox_prepare(struct sandbox *s, struct err *err) {
    if (!s->spec->has_process)
        return err_set(err, EINVAL, "config.json has no process");
    int r = sandbox_check_cgroup(s, err);
    if (r >= 0)
        r = streams_look(&s->streams, s->spec->process.terminal, &s->request->streams, err);
    if (r >= 0)
        r = s->request->image ? find_image(s, err) : find_directory(s, err);
    if (r >= 0)
        r = make_plan(s, err);
    if (r >= 0)
        r = open_net_namespace(s, err);
    if (r >= 0)
        r = setup_machine_find(s->context, &s->machine, err);
    if (r >= 0)
        r = machine_size(s->context, s->spec, s->machine.kvm, &s->size, err);
    return r;
}
