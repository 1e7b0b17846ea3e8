/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a guest image, from files of the distribution to IMAGE_DIR/RELEASE
 * (facts/image/image.h). The same inputs give the same bytes, whoever builds them,
 * wherever and whenever (docs/guest-image.md). Needs no privilege beyond write
 * access to the output directory.
 */
#pragma once

#include "programs/minka-image/cpio.h"
#include "programs/minka-image/kernel.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct build_request {
    const char *kernel;                 /* a release, a path (with a slash), or NULL: the best of /boot */
    const char *modules;                /* the directory with modules.dep; NULL: /lib/modules/RELEASE */
    const char *agent;                  /* static program, /init of the guest */
    const char *image_dir;              /* created if need be */
    uint32_t mtime;                     /* of all files in the initrd, seconds: SOURCE_DATE_EPOCH */
    void (*note)(const char *sentence); /* what the user should know but need not mend */
};

/* *ret_release gets the name of the new image. */
int build_image(const struct build_request *request, char ret_release[IMAGE_NAME_MAX], struct err *err);

/* The releases that have both a kernel in /boot and modules, best first, as a new vector. Returns their count. */
int build_kernels(char ***ret, struct err *err);

/* Take the image of this release away. -ENOENT when there is none. */
int build_remove(const char *image_dir, const char *release, struct err *err);

/* ---- the steps, for build.c and the tests ---- */

/* The files of a guest image before they are written. */
struct build_result {
    struct kernel kernel;
    struct buf initrd, manifest;
};
void build_result_done(struct build_result *result);
#define _cleanup_build_result_ __attribute__((cleanup(build_result_done)))

/* initrd.c: modules and agent into an archive. scratch: an empty directory of our own. inputs: digests are appended. */
int build_initrd(const struct build_request *request, const char *release, int scratch, struct buf *inputs,
                 struct buf *ret_initrd, struct buf *ret_groups, char ret_agent_digest[IMAGE_DIGEST_SIZE],
                 struct err *err);

/* output.c: an empty directory IMAGE_DIR/.build-XXXXXX that only we can enter, under a lock that is held until
 * build_output_done(); and putting it in the place of RELEASE, so that there is always either the old image or the new
 * one. */
struct build_output {
    int image_dir, dir, lock;
    char name[24];
    const char *path; /* of image_dir, for messages */
};
int build_output_open(const char *image_dir, struct build_output *ret, struct err *err);
int build_output_commit(struct build_output *output, const struct build_result *result, struct err *err);
void build_output_done(struct build_output *output); /* removes what was not committed */
#define _cleanup_build_output_ __attribute__((cleanup(build_output_done)))
