/* SPDX-License-Identifier: Apache-2.0 */
/* config.json, process.json and resources become the plan for the guest, or a refusal in one sentence. */
#include "facts/plan/plan.h"
#include "shared/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was compiled can be read again and shown; what was refused has a reason. */
static void must_be_whole(const char *message, int r, struct buf *packed, const struct err *err) {
    _cleanup_buf_ struct buf text = {0};
    struct err why = {0};
    if (r < 0 ? err->text[0] == '\0' || strchr(err->text, '\n') != NULL
              : plan_print(message, packed, &text, &why) < 0 || text.length == 0)
        abort();
}

/* As setup does it, on a host where every other bind source is a file. */
static void compile_container(const struct oci_spec *spec, bool has_disk) {
    _cleanup_buf_ struct buf packed = {0};
    struct plan_host_mount *mounts = NULL;
    struct err err = {0};
    int r = plan_host_mounts(spec, "/bundle", &mounts, &err);
    if (r < 0) {
        if (err.text[0] == '\0' || mounts)
            abort();
        return;
    }
    for (size_t i = 0; i < spec->n_mounts; i++) {
        if (mounts[i].source && mounts[i].source[0] != '/')
            abort();
        mounts[i].is_file = mounts[i].source && i % 2 == 1;
        mounts[i].size = mounts[i].size_of ? 64 << 20 : 0;
    }
    struct plan_host host = {.container_id = "c", .bundle = "/bundle", .mounts = mounts};
    if (has_disk) {
        host.disk_serial = "root";
        host.disk_type = "ext4";
    }
    r = plan_container(spec, &host, &packed, &err);
    must_be_whole("container", r, &packed, &err);
    plan_host_mounts_free(mounts, spec->n_mounts);
}

static void compile_exec(const struct oci_spec *spec, const struct oci_process *process) {
    _cleanup_buf_ struct buf packed = {0};
    struct err err = {0};
    uint8_t kinds[STREAMS_STANDARD];
    streams_standard(kinds, process->terminal);
    const struct plan_streams streams = {kinds, sizeof kinds};
    int r = plan_exec(spec, process, &streams, "c", "e", &packed, &err);
    must_be_whole("exec", r, &packed, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    if (oci_spec_parse((const char *)data, size, &spec, &err) >= 0) {
        compile_container(spec, size % 2 == 1);
        if (spec->has_process)
            compile_exec(spec, &spec->process);
    }
    _cleanup_oci_resources_ struct oci_resources *resources = NULL;
    if (oci_resources_parse((const char *)data, size, &resources, &err) >= 0) {
        _cleanup_buf_ struct buf packed = {0};
        int r = plan_update(resources, "c", &packed, &err);
        must_be_whole("update", r, &packed, &err);
    }
    return 0;
}
