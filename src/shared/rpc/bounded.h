/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking protobuf from a peer that is not trusted: an allocator with a budget.
 * Two bytes on the wire can ask for a hundred bytes of memory (an empty message in
 * a repeated field), so the size of the input alone bounds nothing.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct proto_budget {
    ProtobufCAllocator allocator;
    size_t left;
};

/* NULL when the bytes are no such message or want more memory than 1 MiB and four times their size. */
ProtobufCMessage *proto_unpack(struct proto_budget *budget, const ProtobufCMessageDescriptor *descriptor,
                               const uint8_t *data, size_t length);
/* With the budget that it was unpacked with. NULL is fine. */
void proto_free(struct proto_budget *budget, ProtobufCMessage *message);
