/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's own programs print, and mountinfo: read by the command, which is privileged. */
#include "privileged/cgroup/internal.h"
#include "privileged/probe/internal.h"
#include "shared/base/cleanup.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_list(const char *text) {
    _cleanup_strv_ char **files = NULL;
    struct err err = {0};
    int r = closure_parse_list(text, "program", &files, &err);
    if (r < 0 && err.text[0] == '\0')
        abort();
    for (char **file = files; r >= 0 && file && *file; file++)
        if ((*file)[0] != '/')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    _cleanup_free_ char *text = strndup((const char *)data, size);
    if (!text)
        abort();
    struct vmm_features features = {0};
    (void)qemu_parse_version(text, &features);
    read_list(text);
    struct hierarchies hierarchies = {0};
    struct err err = {0};
    if (hierarchies_parse(text, &hierarchies, &err) < 0 && err.text[0] == '\0')
        abort();
    hierarchies_done(&hierarchies);
    return 0;
}
