/* SPDX-License-Identifier: Apache-2.0 */
/* The sample file, the man page's list and the configuration in force, all from the table. */
#include "facts/config/config.h"
#include "facts/config/table.h"
#include "minka-build.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int finish(FILE *out) {
    return fflush(out) == 0 && !ferror(out) ? 0 : -EIO;
}

/* Words up to width columns to a line, each line after prefix. */
static void wrap(FILE *out, const char *prefix, const char *text, size_t width) {
    size_t column = 0;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > 0 && column + 1 + word > width) {
            (void)fputc('\n', out);
            column = 0;
        }
        (void)fprintf(out, "%s%.*s", column > 0 ? " " : prefix, (int)word, text);
        column += word + (column > 0);
        text += word;
        text += strspn(text, " ");
    }
    (void)fputc('\n', out);
}

static bool begins_section(size_t i) {
    return i == 0 || strcmp(config_keys[i].section, config_keys[i - 1].section) != 0;
}

static void print_range(FILE *out, const char *prefix, const struct config_key *key) {
    if (key->type == CONFIG_U32 || key->type == CONFIG_U64)
        (void)fprintf(out, "%sFrom %" PRIu64 " to %" PRIu64 ".\n", prefix, key->min, key->max);
}

int config_write_sample(FILE *out) {
    (void)fputs(
        "# Configuration of minka. Every key is here with its default; remove the # before a key to change it.\n"
        "# minka reads the first of $XDG_CONFIG_HOME/minka/configuration.toml, " MINKA_SYSCONF_DIR
        "/minka/configuration.toml\n"
        "# and " MINKA_DATA_DIR "/configuration.toml, then the files configuration.toml.d/*.toml beside it.\n",
        out);
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        if (begins_section(i))
            (void)fprintf(out, "\n[%s]\n", key->section);
        (void)fputc('\n', out);
        wrap(out, "# ", key->doc, 110);
        print_range(out, "# ", key);
        (void)fprintf(out, "#%s = %s\n", key->name, key->default_value);
    }
    return finish(out);
}

/* scdoc(5): these mean something to it. */
static void print_escaped(FILE *out, const char *text) {
    for (; *text; text++) {
        if (strchr("\\*_`<>#[]~", *text))
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

int config_write_scdoc(FILE *out) {
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        if (begins_section(i)) {
            (void)fputs("## ", out);
            (void)fprintf(out, "[%s]\n\n", key->section);
        }
        (void)fputc('*', out);
        print_escaped(out, key->name);
        (void)fputs("* = ", out);
        print_escaped(out, key->default_value);
        (void)fputs("\n\t", out);
        print_escaped(out, key->doc);
        (void)fputc('\n', out);
        print_range(out, "\t", key);
        (void)fputc('\n', out);
    }
    return finish(out);
}

static void print_string(FILE *out, const char *text) {
    (void)fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            (void)fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            (void)fprintf(out, "\\u%04X", c);
        else
            (void)fputc(c, out);
    }
    (void)fputc('"', out);
}

static void print_value(FILE *out, const struct config *config, const struct config_key *key) {
    const void *member = (const char *)config + key->offset;
    switch (key->type) {
    case CONFIG_TEXT:
    case CONFIG_PATH:
    case CONFIG_OPTIONAL_PATH:
    case CONFIG_WORD_TEXT:
        print_string(out, *(char *const *)member);
        break;
    case CONFIG_WORD:
        print_string(out, key->words[*(const unsigned *)member]);
        break;
    case CONFIG_BOOL:
        (void)fputs(*(const bool *)member ? "true" : "false", out);
        break;
    case CONFIG_U32:
        (void)fprintf(out, "%" PRIu32, *(const uint32_t *)member);
        break;
    case CONFIG_U64:
        (void)fprintf(out, "%" PRIu64, *(const uint64_t *)member);
        break;
    }
}

int config_write(const struct config *config, FILE *out) {
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        if (begins_section(i))
            (void)fprintf(out, "%s[%s]\n", i > 0 ? "\n" : "", key->section);
        (void)fprintf(out, "%s = ", key->name);
        print_value(out, config, key);
        (void)fputc('\n', out);
    }
    return finish(out);
}
