/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest images, as src/programs/minka-image leaves them and a start finds them:
 *
 *  IMAGE_DIR/RELEASE/vmlinux   the kernel, an uncompressed ELF with a PVH entry
 *  IMAGE_DIR/RELEASE/initrd    the agent and the kernel's modules, a newc cpio archive
 *  IMAGE_DIR/RELEASE/manifest  what they are: lines KEY=VALUE (docs/guest-image.md)
 *
 * Pure, but for image_find() and image_list(), which read directories and manifests.
 */
#pragma once

#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IMAGE_MANIFEST_MAX = 16 << 10, /* bytes of the whole file */
    IMAGE_NAME_MAX = 128,          /* a kernel release or a version, NUL included */
    IMAGE_GROUPS_MAX = 1024,
    IMAGE_DIGEST_SIZE = 65, /* SHA-256 in lower-case hexadecimal, NUL included */
};

struct image_manifest {
    char version[IMAGE_NAME_MAX];         /* of the minka that built it */
    uint32_t protocol;                    /* AGENT_PROTOCOL of the agent in it */
    char kernel[IMAGE_NAME_MAX];          /* release: what uname -r says in the guest */
    char groups[IMAGE_GROUPS_MAX];        /* module groups that the guest can load, "blk,console,..." */
    char agent_sha256[IMAGE_DIGEST_SIZE]; /* of the agent as installed, before it was stripped */
    char vmlinux_sha256[IMAGE_DIGEST_SIZE];
    char initrd_sha256[IMAGE_DIGEST_SIZE];
    char inputs_sha256[IMAGE_DIGEST_SIZE]; /* over everything the image was made of: equal means nothing to rebuild */
};

struct image {
    char *directory; /* IMAGE_DIR/RELEASE */
    char *vmlinux;   /* paths of the files in it */
    char *initrd;
    struct image_manifest manifest;
};
void image_done(struct image *image); /* frees what it holds; a zeroed struct is fine */
#define _cleanup_image_ __attribute__((cleanup(image_done)))

/* Strict: every key once, none missing; unknown keys are skipped, so that a later minka may add some. name for err. */
int image_manifest_parse(const char *text, size_t length, const char *name, struct image_manifest *ret,
                         struct err *err);
bool image_has_group(const struct image_manifest *manifest, const char *group);

/*
 * The image to start: that of this kernel release, or (release NULL) the best one in image_dir by
 * image_compare_releases(). -ENOENT and "no guest image in DIR: run `minka image build`" when there is none.
 */
int image_find(const char *image_dir, const char *release, struct image *ret, struct err *err);

/* 0, or -EPROTO and one sentence with the remedy when this minka cannot talk to the image's agent. */
int image_check(const struct image *image, struct err *err);

/* All images, best first, in a new array of *ret_count; broken ones are left out. An absent directory has none. */
int image_list(const char *image_dir, struct image **ret, size_t *ret_count, struct err *err);
void image_list_free(struct image *images, size_t count);

/*
 * strcmp-like: > 0 when kernel release a is to be preferred to b. A cloud kernel before any other, as it is the
 * smaller one made for guests; then the higher version.
 */
int image_compare_releases(const char *a, const char *b);

/* A release may be the name of a directory: 1 to 127 of [A-Za-z0-9.+_~-], not starting with a dot. */
bool image_release_is_valid(const char *release);
