/* SPDX-License-Identifier: Apache-2.0 */
/* The three documents that come from whoever calls minka: config.json, process.json, resources. */
#include "facts/oci/oci.h"
#include "shared/base/buf.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What went in may come out again as annotations of the state document, which must then be one. */
static void write_state(const struct oci_spec *spec) {
    _cleanup_buf_ struct buf out = {0};
    struct oci_spec *again = NULL;
    struct err err = {0};
    if (oci_state_json(&out, spec->version, "id", "running", 1, "/", spec->annotations, spec->n_annotations) < 0)
        return;
    /* It has no root, and that must be all that is wrong with it. */
    int r = oci_spec_parse((const char *)out.data, out.length, &again, &err);
    assert(r < 0 && strcmp(err.text, "config.json: root is missing") == 0);
    (void)r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    int r = oci_spec_parse((const char *)data, size, &spec, &err);
    assert((r < 0) == !spec && (r < 0) == (err.code != 0));
    if (spec) {
        assert(spec->version && spec->root_path && spec->hostname && spec->cgroups_path && spec->masked_paths);
        assert(!spec->has_process || (spec->process.n_args > 0 && spec->process.cwd[0] == '/'));
        for (size_t i = 0; i < spec->n_mounts; i++)
            assert(spec->mounts[i].destination[0] == '/' && spec->mounts[i].options);
        write_state(spec);
    }
    _cleanup_oci_process_ struct oci_process *process = NULL;
    (void)oci_process_parse((const char *)data, size, &process, &err);
    _cleanup_oci_resources_ struct oci_resources *resources = NULL;
    (void)oci_resources_parse((const char *)data, size, &resources, &err);
    return 0;
}
