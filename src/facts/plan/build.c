/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/plan/build.h"

#include "shared/base/cleanup.h"

#include <string.h>

int plan_out_of_memory(struct err *err) {
    return err_set(err, ENOMEM, "out of memory while the container's plan was made");
}

int plan_set_string(char **field, const char *value, struct err *err) {
    char *copy = strdup(value);
    if (!copy)
        return plan_out_of_memory(err);
    if (*field != protobuf_c_empty_string)
        free(*field);
    *field = copy;
    return 0;
}

int plan_add_string(char ***list, size_t *count, const char *value, struct err *err) {
    char **larger = reallocarray(*list, *count + 1, sizeof(char *));
    if (!larger)
        return plan_out_of_memory(err);
    *list = larger;
    larger[*count] = strdup(value);
    if (!larger[*count])
        return plan_out_of_memory(err);
    (*count)++;
    return 0;
}

int plan_add_strings(char ***list, size_t *count, char *const *values, size_t n_values, struct err *err) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n_values; i++)
        r = plan_add_string(list, count, values[i], err);
    return r;
}

void *plan_new_message(const ProtobufCMessageDescriptor *descriptor) {
    ProtobufCMessage *message = calloc(1, descriptor->sizeof_message);
    if (message)
        protobuf_c_message_init(descriptor, message);
    return message;
}

void *plan_add_message(void *list, size_t *count, const ProtobufCMessageDescriptor *descriptor) {
    ProtobufCMessage ***messages = list;
    ProtobufCMessage **larger = reallocarray(*messages, *count + 1, sizeof(*larger));
    if (!larger)
        return NULL;
    *messages = larger;
    larger[*count] = plan_new_message(descriptor);
    return larger[*count] ? larger[(*count)++] : NULL;
}

int plan_pack_message(const ProtobufCMessage *message, struct buf *ret, struct err *err) {
    size_t length = protobuf_c_message_get_packed_size(message);
    if (buf_reserve(ret, length) < 0)
        return plan_out_of_memory(err);
    ret->length += protobuf_c_message_pack(message, ret->data + ret->length);
    return 0;
}
