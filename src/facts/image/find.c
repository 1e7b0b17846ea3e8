/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/image/image.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void image_done(struct image *image) {
    free(image->directory);
    free(image->vmlinux);
    free(image->initrd);
    *image = (struct image){0};
}

void image_list_free(struct image *images, size_t count) {
    for (size_t i = 0; i < count; i++)
        image_done(&images[i]);
    free(images);
}

static bool is_cloud(const char *release) {
    return strstr(release, "-cloud-") != NULL;
}

int image_compare_releases(const char *a, const char *b) {
    if (is_cloud(a) != is_cloud(b))
        return is_cloud(a) ? 1 : -1;
    int order = strverscmp(a, b);
    return order ? order : strcmp(a, b);
}

/* 0, -ENOENT when there is no such image, or another error with err filled. */
static int load(const char *image_dir, const char *release, struct image *ret, struct err *err) {
    _cleanup_image_ struct image image = {.directory = text_format("%s/%s", image_dir, release)};
    _cleanup_free_ char *manifest = text_format("%s/%s/manifest", image_dir, release);
    if (!image.directory || !manifest)
        return err_set(err, ENOMEM, "out of memory");
    image.vmlinux = text_format("%s/vmlinux", image.directory);
    image.initrd = text_format("%s/initrd", image.directory);
    if (!image.vmlinux || !image.initrd)
        return err_set(err, ENOMEM, "out of memory");

    struct stat st;
    if (stat(manifest, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return -ENOENT;
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = read_file(AT_FDCWD, manifest, IMAGE_MANIFEST_MAX, &text, &length, NULL);
    if (r < 0) /* not read_file()'s words: podman takes strerror()'s for the container's own */
        return err_set(err, -r, "the guest image %s cannot be used, its manifest cannot be read (%s)", image.directory,
                       strerrorname_np(-r));
    if (image_manifest_parse(text, length, manifest, &image.manifest, err) < 0)
        return err_wrap(err, "the guest image %s is broken (run `minka image build`)", image.directory);
    if (strcmp(image.manifest.kernel, release) != 0)
        return err_set(err, EBADMSG, "the guest image %s is one for kernel %s: run `minka image build`",
                       image.directory, image.manifest.kernel);
    const char *files[] = {image.vmlinux, image.initrd};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (stat(files[i], &st) < 0 || !S_ISREG(st.st_mode))
            return err_set(err, EBADMSG, "the guest image %s is broken, %s is missing: run `minka image build`",
                           image.directory, files[i]);
    *ret = image;
    image = (struct image){0};
    return 0;
}

/* The names in image_dir that can be images, in a new vector. -ENOENT when there is no such directory. */
static int candidates(const char *image_dir, char ***ret, size_t *ret_count, struct err *err) {
    _cleanup_closedir_ DIR *dir = opendir(image_dir);
    if (!dir) {
        if (errno == ENOENT || errno == ENOTDIR)
            return -ENOENT;
        return err_set(err, errno, "the guest images in %s cannot be read (%s)", image_dir, strerrorname_np(errno));
    }
    _cleanup_strv_ char **names = calloc(1, sizeof *names);
    size_t count = 0;
    if (!names)
        return err_set(err, ENOMEM, "out of memory");
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!image_release_is_valid(entry->d_name))
            continue;
        char **grown = reallocarray(names, count + 2, sizeof *names);
        if (!grown)
            return err_set(err, ENOMEM, "out of memory");
        names = grown;
        names[count] = strdup(entry->d_name);
        if (!names[count])
            return err_set(err, ENOMEM, "out of memory");
        names[++count] = NULL;
    }
    *ret = take_ptr(names);
    *ret_count = count;
    return 0;
}

static int best_first(const void *a, const void *b) {
    return image_compare_releases(*(char *const *)b, *(char *const *)a);
}

static int none_found(const char *image_dir, const char *release, struct err *err) {
    if (release)
        return err_set(err, ENOENT, "no guest image for kernel %s in %s: run `minka image build --kernel %s`", release,
                       image_dir, release);
    return err_set(err, ENOENT, "no guest image in %s: run `minka image build`", image_dir);
}

int image_find(const char *image_dir, const char *release, struct image *ret, struct err *err) {
    if (release) {
        int r = image_release_is_valid(release) ? load(image_dir, release, ret, err) : -ENOENT;
        return r == -ENOENT ? none_found(image_dir, release, err) : r;
    }
    _cleanup_strv_ char **names = NULL;
    size_t count = 0;
    int r = candidates(image_dir, &names, &count, err);
    if (r < 0 && r != -ENOENT)
        return r;
    if (count > 0)
        qsort(names, count, sizeof *names, best_first);
    /* A directory without manifest is no image; a broken image is an error, not a reason to take an older kernel. */
    for (size_t i = 0; i < count; i++) {
        r = load(image_dir, names[i], ret, err);
        if (r != -ENOENT)
            return r;
    }
    return none_found(image_dir, NULL, err);
}

int image_list(const char *image_dir, struct image **ret, size_t *ret_count, struct err *err) {
    _cleanup_strv_ char **names = NULL;
    size_t count = 0, loaded = 0;
    int r = candidates(image_dir, &names, &count, err);
    if (r < 0 && r != -ENOENT)
        return r;
    struct image *images = calloc(count + 1, sizeof *images);
    if (!images)
        return err_set(err, ENOMEM, "out of memory");
    if (count > 0)
        qsort(names, count, sizeof *names, best_first);
    for (size_t i = 0; i < count; i++)
        if (load(image_dir, names[i], &images[loaded], NULL) == 0)
            loaded++;
    *ret = images;
    *ret_count = loaded;
    return 0;
}
