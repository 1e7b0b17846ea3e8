/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/config/config.h"

#include "facts/config/table.h"
#include "facts/config/toml.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <inttypes.h>
#include <string.h>

struct application {
    struct config *config;
    const char *name;
};

static void *member_of(const struct config *config, const struct config_key *key) {
    return (char *)config + key->offset;
}

static bool holds_text(const struct config_key *key) {
    return key->type == CONFIG_TEXT || key->type == CONFIG_PATH || key->type == CONFIG_OPTIONAL_PATH ||
           key->type == CONFIG_WORD_TEXT;
}

struct config *config_free(struct config *config) {
    for (size_t i = 0; config && i < n_config_keys; i++)
        if (holds_text(&config_keys[i]))
            free(*(char **)member_of(config, &config_keys[i]));
    free(config);
    return NULL;
}

void config_freep(struct config **config) {
    *config = config_free(*config);
}

/* ---- one key ---- */

static const struct config_key *find_key(const char *section, const char *name) {
    for (size_t i = 0; i < n_config_keys; i++)
        if (strcmp(config_keys[i].section, section) == 0 && strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    return NULL;
}

static int refuse(const struct application *a, const struct toml_item *item, const char *what, struct err *err) {
    return err_set(err, EINVAL, "%s:%u: %s in [%s] %s", a->name, item->line, item->key, item->table, what);
}

/* "microvm" or "q35" */
static void list_words(const char *const *words, char *text, size_t size) {
    size_t used = 0;
    for (size_t i = 0; words[i]; i++) {
        int n = snprintf(text + used, size - used, "%s\"%s\"", i == 0 ? "" : words[i + 1] ? ", " : " or ", words[i]);
        used += n > 0 && (size_t)n < size - used ? (size_t)n : 0;
    }
}

static int find_word(const struct application *a, const struct toml_item *item, const struct config_key *key,
                     struct err *err) {
    for (int i = 0; key->words[i]; i++)
        if (strcmp(key->words[i], item->string) == 0)
            return i;
    char known[256], what[300];
    list_words(key->words, known, sizeof known);
    (void)snprintf(what, sizeof what, "must be %s", known);
    return refuse(a, item, what, err);
}

static int set_text(const struct application *a, const struct toml_item *item, const struct config_key *key,
                    struct err *err) {
    if (item->type != TOML_STRING)
        return refuse(a, item, "must be text in quotes", err);
    bool is_path = key->type == CONFIG_PATH || (key->type == CONFIG_OPTIONAL_PATH && *item->string);
    if (is_path && item->string[0] != '/')
        return refuse(a, item, "must be an absolute path", err);
    int word = 0;
    if (key->type == CONFIG_WORD_TEXT || key->type == CONFIG_WORD)
        word = find_word(a, item, key, err);
    if (word < 0)
        return word;
    if (key->type == CONFIG_WORD) {
        *(unsigned *)member_of(a->config, key) = (unsigned)word; /* an enum: config.h */
        return 0;
    }
    char *copy = strdup(item->string);
    if (!copy)
        return err_set(err, ENOMEM, "not enough memory");
    char **member = member_of(a->config, key);
    free(*member);
    *member = copy;
    return 0;
}

static int set_number(const struct application *a, const struct toml_item *item, const struct config_key *key,
                      struct err *err) {
    if (item->type != TOML_INTEGER || item->integer < 0 || (uint64_t)item->integer < key->min ||
        (uint64_t)item->integer > key->max) {
        char what[128];
        (void)snprintf(what, sizeof what, "must be a whole number from %" PRIu64 " to %" PRIu64 "%s", key->min,
                       key->max, item->type == TOML_STRING ? ", without quotes" : "");
        return refuse(a, item, what, err);
    }
    if (key->type == CONFIG_U64)
        *(uint64_t *)member_of(a->config, key) = (uint64_t)item->integer;
    else
        *(uint32_t *)member_of(a->config, key) = (uint32_t)item->integer;
    return 0;
}

static int set_bool(const struct application *a, const struct toml_item *item, const struct config_key *key,
                    struct err *err) {
    if (item->type != TOML_BOOL)
        return refuse(a, item, "must be true or false, without quotes", err);
    *(bool *)member_of(a->config, key) = item->boolean;
    return 0;
}

/* Also "hypervisor", of which [hypervisor.qemu] is a part. */
static bool is_section(const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < n_config_keys; i++) {
        const char *section = config_keys[i].section;
        if (strncmp(section, name, length) == 0 && (section[length] == '\0' || section[length] == '.'))
            return true;
    }
    return false;
}

static int apply_item(const struct toml_item *item, void *data, struct err *err) {
    const struct application *a = data;
    if (item->type == TOML_TABLE && !item->key)
        return is_section(item->table)
                   ? 0
                   : err_set(err, EINVAL, "%s:%u: unknown section [%s]", a->name, item->line, item->table);
    const struct config_key *key = find_key(item->table, item->key);
    if (!key && !*item->table)
        return err_set(err, EINVAL, "%s:%u: \"%s\" stands before the first section, such as [runtime]", a->name,
                       item->line, item->key);
    if (!key)
        return err_set(err, EINVAL, "%s:%u: unknown key \"%s\" in [%s]", a->name, item->line, item->key, item->table);
    switch (key->type) {
    case CONFIG_BOOL:
        return set_bool(a, item, key, err);
    case CONFIG_U32:
    case CONFIG_U64:
        return set_number(a, item, key, err);
    default:
        return set_text(a, item, key, err);
    }
}

/* ---- a document ---- */

/* What one key alone cannot show. */
static int check_together(const struct config *config, const char *name, struct err *err) {
    if (!*config->qemu.kernel != !*config->qemu.initrd)
        return err_set(err, EINVAL, "%s: kernel and initrd in [hypervisor.qemu] must be given together, or neither",
                       name);
    if (config->qemu.default_maxvcpus != 0 && config->qemu.default_maxvcpus < config->qemu.default_vcpus)
        return err_set(err, EINVAL, "%s: default_maxvcpus in [hypervisor.qemu] is less than default_vcpus", name);
    if ((uint64_t)config->runtime.id_range_start + config->runtime.id_range_size > UINT32_MAX)
        return err_set(err, EINVAL,
                       "%s: id_range_start and id_range_size in [runtime] go beyond the last id, 4294967294", name);
    return 0;
}

int config_apply(struct config *config, const char *text, size_t length, const char *name, struct err *err) {
    struct application a = {.config = config, .name = name};
    int r = toml_parse(text, length, name, apply_item, &a, err);
    return r < 0 ? r : check_together(config, name, err);
}

/* The defaults take the way of every configuration: what the table says of itself must hold. */
int config_default(struct config **ret, struct err *err) {
    _cleanup_buf_ struct buf text = {0};
    _cleanup_config_ struct config *config = calloc(1, sizeof *config);
    if (!config)
        return err_set(err, ENOMEM, "not enough memory");
    const char *section = "";
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        int r = 0;
        if (strcmp(section, key->section) != 0)
            r = buf_append_format(&text, "[%s]\n", section = key->section);
        if (r < 0 || buf_append_format(&text, "%s = %s\n", key->name, key->default_value) < 0)
            return err_set(err, ENOMEM, "not enough memory");
    }
    int r = config_apply(config, (const char *)text.data, text.length, "the defaults", err);
    if (r < 0)
        return r;
    *ret = take_ptr(config);
    return 0;
}
