/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/build.h"

#include "minka-build.h"
#include "programs/minka-image/digest.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { KERNEL_MAX = 512 << 20 };

static const char boot[] = "/boot", kernel_prefix[] = "vmlinuz-";

void build_result_done(struct build_result *result) {
    kernel_done(&result->kernel);
    buf_done(&result->initrd);
    buf_done(&result->manifest);
}

static int best_first(const void *a, const void *b) {
    return image_compare_releases(*(char *const *)b, *(char *const *)a);
}

int build_kernels(char ***ret, struct err *err) {
    _cleanup_closedir_ DIR *dir = opendir(boot);
    if (!dir)
        return err_errno(err, "cannot read %s", boot);
    _cleanup_strv_ char **releases = calloc(1, sizeof *releases);
    int count = 0;
    if (!releases)
        return err_set(err, ENOMEM, "out of memory");
    for (struct dirent *e; (e = readdir(dir));) {
        const char *release = e->d_name + strlen(kernel_prefix);
        if (!text_has_prefix(e->d_name, kernel_prefix) || !image_release_is_valid(release))
            continue;
        _cleanup_free_ char *dep = text_format("/lib/modules/%s/modules.dep", release);
        if (!dep)
            return err_set(err, ENOMEM, "out of memory");
        if (access(dep, R_OK) < 0)
            continue;
        char **grown = reallocarray(releases, (size_t)count + 2, sizeof *releases);
        if (!grown)
            return err_set(err, ENOMEM, "out of memory");
        releases = grown;
        releases[count] = strdup(release);
        if (!releases[count])
            return err_set(err, ENOMEM, "out of memory");
        releases[++count] = NULL;
    }
    qsort(releases, (size_t)count, sizeof *releases, best_first);
    *ret = take_ptr(releases);
    return count;
}

/* The path of the kernel that was asked for, in a new string. */
static int choose_kernel(const char *asked, char **ret, struct err *err) {
    if (asked && strchr(asked, '/')) {
        *ret = strdup(asked);
        return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
    }
    if (asked) {
        if (!image_release_is_valid(asked))
            return err_set(err, EINVAL, "'%s' is neither the release of a kernel nor a path (with a slash)", asked);
        _cleanup_free_ char *path = text_format("%s/%s%s", boot, kernel_prefix, asked);
        if (!path)
            return err_set(err, ENOMEM, "out of memory");
        if (access(path, F_OK) < 0)
            return err_set(err, ENOENT, "kernel %s is not installed, there is no %s: `ls %s` shows which are", asked,
                           path, boot);
        *ret = take_ptr(path);
        return 0;
    }
    _cleanup_strv_ char **releases = NULL;
    int count = build_kernels(&releases, err);
    if (count < 0)
        return count;
    if (count == 0)
        return err_set(err, ENOENT,
                       "no kernel with modules is installed in %s: run `apt install linux-image-cloud-amd64`, or name "
                       "one with --kernel",
                       boot);
    *ret = text_format("%s/%s%s", boot, kernel_prefix, releases[0]);
    return *ret ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int read_kernel(const char *path, struct kernel *ret, char ret_digest[IMAGE_DIGEST_SIZE], struct err *err) {
    _cleanup_free_ char *data = NULL;
    size_t length;
    int r = read_file(AT_FDCWD, path, KERNEL_MAX, &data, &length, err);
    if (r < 0)
        return r;
    digest_of(data, length, ret_digest);
    return kernel_extract((const uint8_t *)data, length, path, ret, err);
}

static int write_manifest(struct build_result *result, struct buf *groups, const struct buf *inputs,
                          const char *agent_digest, struct err *err) {
    char vmlinux[IMAGE_DIGEST_SIZE], initrd[IMAGE_DIGEST_SIZE], all[IMAGE_DIGEST_SIZE];
    digest_of(result->kernel.vmlinux.data, result->kernel.vmlinux.length, vmlinux);
    digest_of(result->initrd.data, result->initrd.length, initrd);
    digest_of(inputs->data, inputs->length, all);
    const char *names = groups->length > 0 ? buf_string(groups) : "";
    if (!names || buf_append_format(&result->manifest,
                                    "# A guest image of minka, made by `minka image build`.\n"
                                    "version=%s\nprotocol=%d\nkernel=%s\ngroups=%s\nagent_sha256=%s\n"
                                    "vmlinux_sha256=%s\ninitrd_sha256=%s\ninputs_sha256=%s\n",
                                    MINKA_VERSION, AGENT_PROTOCOL, result->kernel.release, names, agent_digest, vmlinux,
                                    initrd, all) < 0)
        return err_set(err, ENOMEM, "out of memory");
    /* What a start could not read must not be left behind. */
    struct image_manifest check;
    return image_manifest_parse((const char *)result->manifest.data, result->manifest.length, "the new manifest",
                                &check, err);
}

int build_image(const struct build_request *request, char ret_release[IMAGE_NAME_MAX], struct err *err) {
    _cleanup_build_output_ struct build_output output = {.image_dir = -EBADF, .dir = -EBADF, .lock = -EBADF};
    _cleanup_build_result_ struct build_result result = {0};
    _cleanup_buf_ struct buf inputs = {0}, groups = {0};
    _cleanup_free_ char *path = NULL;
    char kernel_digest[IMAGE_DIGEST_SIZE], agent_digest[IMAGE_DIGEST_SIZE];

    int r = choose_kernel(request->kernel, &path, err);
    if (r == 0)
        r = read_kernel(path, &result.kernel, kernel_digest, err);
    if (r < 0)
        return r;
    if (buf_append_format(&inputs, "minka %s protocol %d mtime %u\n%s vmlinuz\n", MINKA_VERSION, AGENT_PROTOCOL,
                          request->mtime, kernel_digest) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = build_output_open(request->image_dir, &output, err);
    if (r == 0)
        r = build_initrd(request, result.kernel.release, output.dir, &inputs, &result.initrd, &groups, agent_digest,
                         err);
    if (r == 0)
        r = write_manifest(&result, &groups, &inputs, agent_digest, err);
    if (r == 0)
        r = build_output_commit(&output, &result, err);
    if (r == 0)
        memcpy(ret_release, result.kernel.release, sizeof result.kernel.release);
    return r;
}
