/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's reading of every call. The first byte says which call, the rest is its payload. */
#include "guest/agent/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    if (size == 0)
        return 0;
    int r = request_read(data[0] % REQUEST_KINDS, data + 1, size - 1, &message, &err);
    if ((r == 0) != (message != NULL) || (r < 0) != (err.code != 0) || (err.code != 0) != (err.text[0] != '\0'))
        __builtin_trap();
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
    return 0;
}
