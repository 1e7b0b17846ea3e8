/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest answers: every message that the monitor unpacks, chosen by the first byte, within its budget. */
#include "agent.pb-c.h"
#include "shared/base/cleanup.h"
#include "shared/rpc/bounded.h"
#include "ttrpc.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const ProtobufCMessageDescriptor *const descriptors[] = {
        &minka__ttrpc__response__descriptor,
        &minka__agent__v1__hello_response__descriptor,
        &minka__agent__v1__create_container_response__descriptor,
        &minka__agent__v1__wait_response__descriptor,
        &minka__agent__v1__read_response__descriptor,
        &minka__agent__v1__list_response__descriptor,
        &minka__agent__v1__stats_response__descriptor,
        &minka__agent__v1__event__descriptor,
        &minka__agent__v1__empty__descriptor,
    };
    struct proto_budget budget;
    if (size < 1)
        return 0;
    const ProtobufCMessageDescriptor *descriptor = descriptors[data[0] % ARRAY_SIZE(descriptors)];
    ProtobufCMessage *message = proto_unpack(&budget, descriptor, data + 1, size - 1);
    /* A message that was taken can be packed again: its strings end and its lengths are true. */
    if (message) {
        _cleanup_free_ uint8_t *packed = malloc(protobuf_c_message_get_packed_size(message) + 1);
        if (packed)
            (void)protobuf_c_message_pack(message, packed);
    }
    proto_free(&budget, message);
    return 0;
}
