/* SPDX-License-Identifier: Apache-2.0 */
/* config.json in (tests/golden/spec), the plan for the guest out, or the sentence by which it is refused. */
#include "facts/plan/plan.h"
#include "facts/oci/oci.h"
#include "golden.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <string.h>

static const char bundle[] = "/bundle";

/* What setup would find on the host: engines bind files to names like /etc/hosts. */
static void look(const struct oci_spec *spec, struct plan_host_mount *mounts) {
    static const char *const files[] = {"/hosts", "/hostname", "/resolv.conf", "/.containerenv"};
    for (size_t i = 0; i < spec->n_mounts; i++) {
        const char *name = mounts[i].source ? strrchr(mounts[i].source, '/') : "";
        for (size_t k = 0; k < ARRAY_SIZE(files); k++)
            mounts[i].is_file |= strcmp(name, files[k]) == 0;
        if (mounts[i].size_of)
            mounts[i].size = 65536000;
    }
}

static int show_sources(const struct oci_spec *spec, const struct plan_host_mount *mounts, struct buf *out) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < spec->n_mounts; i++)
        if (mounts[i].source)
            r = buf_append_format(out, "share %zu: %s%s%s\n", i, mounts[i].source,
                                  mounts[i].readonly ? ", read-only" : "",
                                  mounts[i].recursive ? ", with what is mounted below" : "");
        else if (mounts[i].size_of)
            r = buf_append_format(out, "size of %zu: %s\n", i, mounts[i].size_of);
    return r;
}

/* A further container of a pod has namespaces with a path. */
static bool joins(const struct oci_spec *spec) {
    return spec->namespaces[OCI_NS_IPC].path != NULL;
}

static int compile(const char *json, size_t length, struct buf *out, struct err *err) {
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    _cleanup_buf_ struct buf packed = {0};
    struct plan_host_mount *mounts = NULL;
    int r = oci_spec_parse(json, length, &spec, err);
    if (r >= 0)
        r = plan_host_mounts(spec, bundle, &mounts, err);
    if (r < 0)
        return r;
    look(spec, mounts);
    struct plan_host host = {.container_id = "ctr1", .bundle = bundle, .mounts = mounts, .joins_sandbox = joins(spec)};
    r = plan_container(spec, &host, &packed, err);
    if (r >= 0 && show_sources(spec, mounts, out) < 0)
        r = -ENOMEM;
    if (r > 0 && buf_append_format(out, "left out: %d devices of the host\n", r) < 0)
        r = -ENOMEM;
    plan_host_mounts_free(mounts, spec->n_mounts);
    return r < 0 ? r : plan_print("container", &packed, out, err);
}

int main(int argc, char **argv) {
    struct golden golden;
    char **inputs;
    golden_start(&golden, argc, argv, &inputs);
    for (; *inputs; inputs++) {
        _cleanup_free_ char *json = NULL, *name = NULL;
        _cleanup_buf_ struct buf out = {0};
        struct err err = {0};
        size_t length = 0;
        if (read_file(AT_FDCWD, *inputs, OCI_CONFIG_MAX, &json, &length, &err) < 0) {
            fprintf(stderr, "%s\n", err.text);
            return 2;
        }
        if (compile(json, length, &out, &err) < 0) {
            out.length = 0;
            (void)buf_append_format(&out, "refused: %s\n", err.text);
        }
        const char *base = strrchr(*inputs, '/') ? strrchr(*inputs, '/') + 1 : *inputs;
        name = text_format("%.*s.txt", (int)strcspn(base, "."), base);
        golden_check(&golden, name, &out);
    }
    return golden_finish(&golden);
}
