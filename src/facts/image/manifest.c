/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/image/image.h"

#include "minka-build.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

enum value_kind { VALUE_NAME, VALUE_GROUPS, VALUE_DIGEST, VALUE_PROTOCOL };

/* Every key that a manifest must have, and where its value goes. */
static const struct manifest_key {
    enum value_kind kind;
    const char *name;
    size_t offset, size;
} keys[] = {
#define FIELD(name) #name, offsetof(struct image_manifest, name), sizeof(((struct image_manifest *)0)->name)
    {VALUE_NAME, FIELD(version)},         {VALUE_PROTOCOL, FIELD(protocol)},    {VALUE_NAME, FIELD(kernel)},
    {VALUE_GROUPS, FIELD(groups)},        {VALUE_DIGEST, FIELD(agent_sha256)},  {VALUE_DIGEST, FIELD(vmlinux_sha256)},
    {VALUE_DIGEST, FIELD(initrd_sha256)}, {VALUE_DIGEST, FIELD(inputs_sha256)},
#undef FIELD
};
enum { N_KEYS = sizeof keys / sizeof *keys };

bool image_release_is_valid(const char *release) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+_~-";
    size_t length = strlen(release);
    return length > 0 && length < IMAGE_NAME_MAX && release[0] != '.' && strspn(release, allowed) == length;
}

static bool value_is_valid(enum value_kind kind, const char *value, size_t size) {
    size_t length = strlen(value);
    if (kind == VALUE_PROTOCOL) {
        uint64_t number;
        return parse_u64(value, &number) == 0 && number > 0 && number <= UINT32_MAX;
    }
    if (length >= size)
        return false;
    if (kind == VALUE_DIGEST)
        return length == IMAGE_DIGEST_SIZE - 1 && strspn(value, "0123456789abcdef") == length;
    if (kind == VALUE_GROUPS)
        return strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789,-") == length;
    return image_release_is_valid(value);
}

static int take_line(char *line, const char *name, size_t number, bool *seen, struct image_manifest *manifest,
                     struct err *err) {
    if (line[0] == '\0' || line[0] == '#')
        return 0;
    char *value = strchr(line, '=');
    if (!value)
        return err_set(err, EBADMSG, "%s:%zu: not a line of the form KEY=VALUE", name, number);
    *value++ = '\0';
    for (size_t i = 0; i < N_KEYS; i++) {
        if (strcmp(line, keys[i].name) != 0)
            continue;
        if (seen[i])
            return err_set(err, EBADMSG, "%s:%zu: %s is there twice", name, number, keys[i].name);
        if (!value_is_valid(keys[i].kind, value, keys[i].size))
            return err_set(err, EBADMSG, "%s:%zu: %s has a value that it cannot have", name, number, keys[i].name);
        seen[i] = true;
        if (keys[i].kind == VALUE_PROTOCOL) {
            uint64_t protocol = 0;
            (void)parse_u64(value, &protocol);
            manifest->protocol = (uint32_t)protocol;
        } else {
            memcpy((char *)manifest + keys[i].offset, value, strlen(value) + 1);
        }
    }
    return 0;
}

int image_manifest_parse(const char *text, size_t length, const char *name, struct image_manifest *ret,
                         struct err *err) {
    struct image_manifest manifest = {0};
    bool seen[N_KEYS] = {false};

    if (length > IMAGE_MANIFEST_MAX)
        return err_set(err, EFBIG, "%s is larger than %d bytes", name, IMAGE_MANIFEST_MAX);
    size_t number = 0;
    for (size_t at = 0; at < length;) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t line_length = end ? (size_t)(end - (text + at)) : length - at;
        char line[IMAGE_GROUPS_MAX + IMAGE_NAME_MAX];
        number++;
        if (line_length >= sizeof line || memchr(text + at, '\0', line_length))
            return err_set(err, EBADMSG, "%s:%zu: the line is too long or not text", name, number);
        memcpy(line, text + at, line_length);
        line[line_length] = '\0';
        int r = take_line(line, name, number, seen, &manifest, err);
        if (r < 0)
            return r;
        at += line_length + 1;
    }
    for (size_t i = 0; i < N_KEYS; i++)
        if (!seen[i])
            return err_set(err, EBADMSG, "%s: %s is missing", name, keys[i].name);
    *ret = manifest;
    return 0;
}

bool image_has_group(const struct image_manifest *manifest, const char *group) {
    size_t length = strlen(group);
    for (const char *p = manifest->groups; *p != '\0';) {
        size_t n = strcspn(p, ",");
        if (n == length && memcmp(p, group, n) == 0)
            return true;
        p += n;
        p += *p == ',';
    }
    return false;
}

int image_check(const struct image *image, struct err *err) {
    if (image->manifest.protocol == AGENT_PROTOCOL)
        return 0;
    return err_set(err, EPROTO,
                   "the guest image %s was built by minka %s (protocol %u), but this is minka %s (protocol %d): "
                   "run `minka image build`",
                   image->directory, image->manifest.version, image->manifest.protocol, MINKA_VERSION, AGENT_PROTOCOL);
}
