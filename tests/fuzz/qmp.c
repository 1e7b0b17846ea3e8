/* SPDX-License-Identifier: Apache-2.0 */
/* One line of QMP. */
#include "unprivileged/monitor/qmp.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct qmp_message message;
    struct err err = {0};
    int r = qmp_message_parse((const char *)data, size, &message, &err);
    if (r < 0 ? err.text[0] == '\0' : strnlen(message.text, sizeof message.text) == sizeof message.text)
        abort();
    for (const char *c = r == 0 ? message.text : ""; *c; c++)
        if ((unsigned char)*c < 0x20)
            abort();
    return 0;
}
