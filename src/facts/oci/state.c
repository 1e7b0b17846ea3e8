/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/json/json.h"
#include "facts/oci/oci.h"
#include "shared/base/buf.h"

#include <errno.h>

int oci_state_json(struct buf *out, const char *version, const char *id, const char *status, int pid,
                   const char *bundle, const struct oci_pair *annotations, size_t n_annotations) {
    struct json_writer w = {.out = out};
    json_write_begin_object(&w, NULL);
    json_write_string(&w, "ociVersion", version);
    json_write_string(&w, "id", id);
    json_write_string(&w, "status", status);
    if (pid > 0)
        json_write_int(&w, "pid", pid);
    json_write_string(&w, "bundle", bundle);
    if (n_annotations > 0) {
        json_write_begin_object(&w, "annotations");
        for (size_t i = 0; i < n_annotations; i++)
            json_write_string(&w, annotations[i].key, annotations[i].value);
        json_write_end_object(&w);
    }
    json_write_end_object(&w);
    return w.failed ? -ENOMEM : 0;
}
