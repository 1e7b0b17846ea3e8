/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void operands_done(struct operands *operands) {
    free(operands->values);
    *operands = (struct operands){0};
}

static const struct option *by_name(const struct option *table, const char *name, size_t length) {
    for (const struct option *o = table; o->name; o++)
        if (strlen(o->name) == length && strncmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static const struct option *by_letter(const struct option *table, char letter) {
    for (const struct option *o = table; o->name; o++)
        if (o->letter && o->letter == letter)
            return o;
    return NULL;
}

static int append(struct option_list *list, const char *value) {
    const char **values = realloc(list->values, (list->count + 1) * sizeof *values);
    if (!values)
        return -ENOMEM;
    list->values = values;
    list->values[list->count++] = value;
    return 0;
}

static int set_flag(const struct option *o, const char *value, bool *ret, struct err *err) {
    if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return err_set(err, EINVAL, "the option --%s takes no argument", o->name);
    *ret = !value || strcmp(value, "true") == 0;
    return 0;
}

static int set(const struct option *o, const char *value, void *target, struct err *err) {
    void *variable = (char *)target + o->offset;
    switch (o->kind) {
    case OPTION_FLAG:
        return set_flag(o, value, variable, err);
    case OPTION_TEXT:
        *(const char **)variable = value;
        return 0;
    case OPTION_LIST:
        return append(variable, value) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
    case OPTION_NUMBER: {
        uint64_t number;
        if (parse_u64(value, &number) < 0 || number > UINT32_MAX)
            return err_set(err, EINVAL, "the option --%s takes a number, not \"%.64s\"", o->name, value);
        *(uint32_t *)variable = (uint32_t)number;
        return 0;
    }
    case OPTION_IGNORED:
    default:
        return 0;
    }
}

struct cursor {
    int argc;
    char **argv;
    int next;
};

/* The argument of an option: behind "=" (or the letter), or the next word. */
static int set_with_argument(struct cursor *c, const struct option *o, const char *value, void *target,
                             struct err *err) {
    if (o->argument && !value) {
        if (c->next == c->argc)
            return err_set(err, EINVAL, "the option --%s needs an argument (%s)", o->name, o->argument);
        value = c->argv[c->next++];
    }
    return set(o, value, target, err);
}

static int parse_long(struct cursor *c, const struct option *table, const char *word, void *target, struct err *err) {
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *o = by_name(table, word, length);
    if (!o)
        return err_set(err, EINVAL, "unknown option --%.*s", (int)(length < 64 ? length : 64), word);
    return set_with_argument(c, o, equals ? equals + 1 : NULL, target, err);
}

/* "-b DIR", "-bDIR", "-b=DIR" as Go's flag package has it, and flags in a row: "-it". */
static int parse_letters(struct cursor *c, const struct option *table, const char *word, void *target,
                         struct err *err) {
    for (; *word; word++) {
        const struct option *o = by_letter(table, *word);
        if (!o)
            return err_set(err, EINVAL, "unknown option -%c", *word);
        const char *value = word[1] == '=' ? word + 2 : word[1] && o->argument ? word + 1 : NULL;
        int r = set_with_argument(c, o, value, target, err);
        if (r < 0 || value || o->argument)
            return r;
    }
    return 0;
}

int options_parse(const struct option *table, int argc, char **argv, size_t stop_at, void *target, struct operands *ret,
                  struct err *err) {
    _cleanup_operands_ struct operands operands = {.values = calloc((size_t)argc + 1, sizeof(char *))};
    if (!operands.values)
        return err_set(err, ENOMEM, "out of memory");
    struct cursor c = {.argc = argc, .argv = argv};
    bool only_operands = false;
    while (c.next < c.argc) {
        char *word = c.argv[c.next++];
        int r = 0;
        if (only_operands || word[0] != '-' || word[1] == '\0') { /* "-" is an operand: standard input */
            operands.values[operands.count++] = word;
            only_operands = only_operands || operands.count >= stop_at;
        } else if (strcmp(word, "--") == 0) {
            only_operands = true;
        } else if (word[1] == '-') {
            r = parse_long(&c, table, word + 2, target, err);
        } else {
            r = parse_letters(&c, table, word + 1, target, err);
        }
        if (r < 0)
            return r;
    }
    *ret = operands;
    operands = (struct operands){0};
    return 0;
}

void options_free(const struct option *table, void *target) {
    for (const struct option *o = table; o->name; o++)
        if (o->kind == OPTION_LIST) {
            struct option_list *list = (struct option_list *)(void *)((char *)target + o->offset);
            free(list->values);
            *list = (struct option_list){0};
        }
}

int options_help(const struct option *table, struct buf *out) {
    for (const struct option *o = table; o->name; o++) {
        char left[64];
        char letter[8] = "    ";
        if (o->letter)
            (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
        (void)snprintf(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->argument ? " " : "",
                       o->argument ? o->argument : "");
        int r = buf_append_format(out, "%-34s %s\n", left, o->help);
        if (r < 0)
            return r;
    }
    return 0;
}
