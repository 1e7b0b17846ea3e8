/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/rpc/bounded.h"

#include <stdlib.h>

enum { BUDGET_BASE = 1 << 20, BUDGET_FACTOR = 4 };

static void *budget_alloc(void *data, size_t size) {
    struct proto_budget *budget = data;
    /* What malloc(3) adds to a small block counts too. */
    if (size > SIZE_MAX - 16 || size + 16 > budget->left)
        return NULL;
    budget->left -= size + 16;
    return malloc(size);
}

static void budget_free(void *data, void *pointer) {
    (void)data;
    free(pointer);
}

ProtobufCMessage *proto_unpack(struct proto_budget *budget, const ProtobufCMessageDescriptor *descriptor,
                               const uint8_t *data, size_t length) {
    *budget = (struct proto_budget){
        .allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = budget},
        .left = BUDGET_BASE + BUDGET_FACTOR * length,
    };
    return protobuf_c_message_unpack(descriptor, &budget->allocator, length, data);
}

void proto_free(struct proto_budget *budget, ProtobufCMessage *message) {
    if (message)
        protobuf_c_message_free_unpacked(message, &budget->allocator);
}
