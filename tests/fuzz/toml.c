/* SPDX-License-Identifier: Apache-2.0 */
/* configuration.toml: the reader, and the keys behind it. */
#include "facts/config/toml.h"
#include "facts/config/config.h"
#include "shared/base/cleanup.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visit(const struct toml_item *item, void *data, struct err *err) {
    size_t *total = data;
    (void)err;
    assert(item->table && item->line > 0);
    assert((item->type == TOML_TABLE) == !item->key && (item->type == TOML_STRING) == (item->string != NULL));
    *total += strlen(item->table) + (item->string ? strlen(item->string) : 0);
    for (char *const *s = item->strings; s && *s; s++)
        *total += strlen(*s);
    return 0;
}

/* A configuration that was accepted is accepted again when it is written out. */
static void write_and_read(const struct config *config) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (!out)
        return;
    int r = config_write(config, out);
    (void)fclose(out);
    _cleanup_config_ struct config *again = NULL;
    struct err err = {0};
    if (r == 0 && config_default(&again, &err) == 0) {
        r = config_apply(again, text, length, "written", &err);
        assert(r == 0 && strcmp(again->qemu.kernel_params, config->qemu.kernel_params) == 0);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct err err = {0};
    size_t total = 0;
    int r = toml_parse((const char *)data, size, "f", visit, &total, &err);
    assert((r < 0) == (err.code != 0));
    _cleanup_config_ struct config *config = NULL;
    if (config_default(&config, &err) == 0 && config_apply(config, (const char *)data, size, "f", &err) == 0)
        write_and_read(config);
    return 0;
}
