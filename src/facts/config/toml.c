/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/config/toml.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <stdarg.h>
#include <string.h>

enum { KEY_PARTS_MAX = 16, DEFINITIONS_MAX = 4096 };

enum definition_kind {
    DEFINED_VALUE,
    DEFINED_TABLE,    /* [it] */
    DEFINED_IMPLICIT, /* part of a longer [header] */
    DEFINED_DOTTED,   /* part of a longer key */
};

struct definition {
    char *path;
    enum definition_kind kind;
};

struct document {
    struct toml_reader r;
    toml_item_fn *fn;
    void *data;
    struct buf table; /* the current one's path, with its NUL */
    struct definition *definitions;
    size_t n_definitions;
};

/* "a.b.c" as read; a part that is no bare key keeps quotes around it. */
struct key_path {
    struct buf text;
    size_t ends[KEY_PARTS_MAX];
    size_t last; /* where the last part begins */
    size_t n_parts;
};

static void document_done(struct document *d) {
    for (size_t i = 0; i < d->n_definitions; i++)
        free(d->definitions[i].path);
    free(d->definitions);
    buf_done(&d->table);
}

static void key_path_done(struct key_path *path) {
    buf_done(&path->text);
}

static void value_done(struct toml_value *value) {
    buf_done(&value->text);
}

int toml_fail(struct toml_reader *r, const char *format, ...) {
    char what[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    return err_set(r->err, EINVAL, "%s:%u: %s", r->name, r->line, what);
}

int toml_peek(const struct toml_reader *r, size_t offset) {
    return (size_t)(r->end - r->at) > offset ? (unsigned char)r->at[offset] : -1;
}

void toml_skip_blanks(struct toml_reader *r) {
    while (toml_peek(r, 0) == ' ' || toml_peek(r, 0) == '\t')
        r->at++;
}

bool toml_skip_newline(struct toml_reader *r) {
    size_t n = toml_peek(r, 0) == '\n' ? 1 : toml_peek(r, 0) == '\r' ? 2 : 0; /* \r is only before \n: check_bytes() */
    r->at += n;
    r->line += n > 0;
    return n > 0;
}

void toml_skip_comment(struct toml_reader *r) {
    if (toml_peek(r, 0) != '#')
        return;
    while (toml_peek(r, 0) >= 0 && toml_peek(r, 0) != '\n' && toml_peek(r, 0) != '\r')
        r->at++;
}

bool toml_is_bare(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* UTF-8 without control characters, everywhere: the grammar can then look at bytes. */
static int check_bytes(struct toml_reader r) {
    while (r.at < r.end) {
        int c = toml_peek(&r, 0);
        size_t n = text_utf8_sequence(r.at, (size_t)(r.end - r.at));
        if (n == 0)
            return toml_fail(&r, "this is no valid UTF-8");
        if (c == '\n')
            r.line++;
        else if (c == '\r' && toml_peek(&r, 1) != '\n')
            return toml_fail(&r, "there is a carriage return that does not end a line");
        else if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
            return toml_fail(&r, "there is a control character (0x%02x)", (unsigned)c);
        r.at += n;
    }
    return 0;
}

static int expect_line_end(struct toml_reader *r) {
    toml_skip_blanks(r);
    toml_skip_comment(r);
    if (r->at == r->end || toml_skip_newline(r))
        return 0;
    return toml_fail(r, "only a comment may follow on this line");
}

/* ---- keys ---- */

static int no_memory(struct toml_reader *r) {
    return toml_fail(r, "not enough memory");
}

static int read_quoted_part(struct toml_reader *r, struct buf *out) {
    _cleanup_buf_ struct buf part = {0};
    int result = toml_read_string(r, false, &part);
    if (result < 0)
        return result;
    const char *text = buf_string(&part);
    if (!text)
        return no_memory(r);
    size_t bare = 0;
    while (toml_is_bare((unsigned char)text[bare]))
        bare++;
    bool is_bare = bare > 0 && text[bare] == '\0';
    result = is_bare ? buf_append_string(out, text) : buf_append_format(out, "\"%s\"", text);
    return result < 0 ? no_memory(r) : 0;
}

static int read_bare_part(struct toml_reader *r, struct buf *out) {
    const char *part = r->at;
    while (toml_is_bare(toml_peek(r, 0)))
        r->at++;
    if (r->at == part)
        return toml_fail(r, "a key must stand here");
    return buf_append(out, part, (size_t)(r->at - part)) < 0 ? no_memory(r) : 0;
}

static int read_key_path(struct toml_reader *r, struct key_path *path) {
    for (;;) {
        if (path->n_parts == KEY_PARTS_MAX)
            return toml_fail(r, "the key has too many parts");
        path->last = path->text.length;
        bool is_quoted = toml_peek(r, 0) == '"' || toml_peek(r, 0) == '\'';
        int result = is_quoted ? read_quoted_part(r, &path->text) : read_bare_part(r, &path->text);
        if (result < 0)
            return result;
        path->ends[path->n_parts++] = path->text.length;
        toml_skip_blanks(r);
        if (toml_peek(r, 0) != '.')
            return 0;
        r->at++;
        toml_skip_blanks(r);
        if (buf_append_string(&path->text, ".") < 0)
            return no_memory(r);
    }
}

/* ---- what is defined already ---- */

/* table and part joined; table may be empty. NULL when memory is out. */
static char *join(const char *table, const uint8_t *part, size_t length) {
    return text_format("%s%s%.*s", table, *table ? "." : "", (int)length, (const char *)part);
}

static struct definition *find_definition(struct document *d, const char *path) {
    for (size_t i = 0; i < d->n_definitions; i++)
        if (strcmp(d->definitions[i].path, path) == 0)
            return &d->definitions[i];
    return NULL;
}

/* Takes path. */
static int add_definition(struct document *d, char **path, enum definition_kind kind) {
    if (d->n_definitions == DEFINITIONS_MAX)
        return toml_fail(&d->r, "the file has too many keys");
    struct definition *grown = reallocarray(d->definitions, d->n_definitions + 1, sizeof *grown);
    if (!grown)
        return no_memory(&d->r);
    d->definitions = grown;
    d->definitions[d->n_definitions++] = (struct definition){.path = take_ptr(*path), .kind = kind};
    return 0;
}

/* A part that is not the last, of a header or of a key. */
static int define_parent(struct document *d, char **path, bool of_header) {
    const struct definition *old = find_definition(d, *path);
    if (!old)
        return add_definition(d, path, of_header ? DEFINED_IMPLICIT : DEFINED_DOTTED);
    if (old->kind == DEFINED_VALUE)
        return toml_fail(&d->r, "%s is a key with a value, so it cannot be a table as well", *path);
    if (!of_header && old->kind != DEFINED_DOTTED)
        return toml_fail(&d->r, "[%s] is a table of its own; its keys must stand there", *path);
    return 0;
}

static int define_last(struct document *d, char **path, bool of_header) {
    struct definition *old = find_definition(d, *path);
    if (!old)
        return add_definition(d, path, of_header ? DEFINED_TABLE : DEFINED_VALUE);
    if (of_header && old->kind == DEFINED_IMPLICIT) {
        old->kind = DEFINED_TABLE;
        return 0;
    }
    return toml_fail(&d->r, "%s%s%s is there a second time", of_header ? "[" : "", *path, of_header ? "]" : "");
}

static int define(struct document *d, const char *table, const struct key_path *path, bool of_header) {
    for (size_t i = 0; i < path->n_parts; i++) {
        _cleanup_free_ char *joined = join(table, path->text.data, path->ends[i]);
        if (!joined)
            return no_memory(&d->r);
        int result = i + 1 < path->n_parts ? define_parent(d, &joined, of_header) : define_last(d, &joined, of_header);
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---- lines ---- */

static int parse_header(struct document *d) {
    struct key_path path __attribute__((cleanup(key_path_done))) = {0};
    struct toml_reader *r = &d->r;
    struct toml_item item = {.line = r->line, .type = TOML_TABLE};
    r->at++;
    if (toml_peek(r, 0) == '[')
        return toml_fail(r, "arrays of tables ([[...]]) are not used in this file");
    toml_skip_blanks(r);
    int result = read_key_path(r, &path);
    if (result < 0)
        return result;
    if (toml_peek(r, 0) != ']')
        return toml_fail(r, "']' must stand here, after the name of the table");
    r->at++;
    if ((result = define(d, "", &path, true)) < 0)
        return result;
    d->table.length = 0;
    if (buf_append(&d->table, path.text.data, path.text.length) < 0 || buf_append(&d->table, "", 1) < 0)
        return no_memory(r);
    item.table = (const char *)d->table.data;
    result = d->fn(&item, d->data, r->err);
    return result < 0 ? result : expect_line_end(r);
}

/* An array's strings as pointers into value. NULL when memory is out. */
static char **string_pointers(struct toml_value *value) {
    char **strings = calloc(value->n_strings + 1, sizeof *strings);
    char *text = (char *)value->text.data;
    for (size_t i = 0; strings && i < value->n_strings; i++) {
        strings[i] = text;
        text += strlen(text) + 1;
    }
    return strings;
}

static int deliver(struct document *d, const struct key_path *path, unsigned line, struct toml_value *value) {
    const char *current = (const char *)d->table.data;
    size_t parents = path->n_parts > 1 ? path->ends[path->n_parts - 2] : 0;
    _cleanup_free_ char *table = parents ? join(current, path->text.data, parents) : strdup(current);
    _cleanup_free_ char *key = join("", path->text.data + path->last, path->text.length - path->last);
    _cleanup_free_ char **strings = string_pointers(value);
    if (!table || !key || !strings)
        return no_memory(&d->r);
    const struct toml_item item = {
        .table = table,
        .key = key,
        .line = line,
        .type = value->type,
        .string = value->type == TOML_STRING ? (const char *)value->text.data : NULL,
        .integer = value->integer,
        .boolean = value->boolean,
        .strings = strings,
    };
    return d->fn(&item, d->data, d->r.err);
}

static int parse_assignment(struct document *d) {
    struct key_path path __attribute__((cleanup(key_path_done))) = {0};
    struct toml_value value __attribute__((cleanup(value_done))) = {0};
    struct toml_reader *r = &d->r;
    unsigned line = r->line;
    int result = read_key_path(r, &path);
    if (result < 0)
        return result;
    if (toml_peek(r, 0) != '=')
        return toml_fail(r, "'=' must stand here, after the key");
    r->at++;
    if ((result = define(d, (const char *)d->table.data, &path, false)) < 0)
        return result;
    toml_skip_blanks(r);
    if ((result = toml_read_value(r, &value)) < 0 || (result = expect_line_end(r)) < 0)
        return result;
    return deliver(d, &path, line, &value);
}

static int parse_line(struct document *d) {
    toml_skip_blanks(&d->r);
    int c = toml_peek(&d->r, 0);
    if (c < 0 || c == '#' || c == '\n' || c == '\r')
        return expect_line_end(&d->r);
    return c == '[' ? parse_header(d) : parse_assignment(d);
}

int toml_parse(const char *text, size_t length, const char *name, toml_item_fn *fn, void *data, struct err *err) {
    struct document d __attribute__((cleanup(document_done))) = {
        .r = {.at = text, .end = text + length, .line = 1, .name = name, .err = err}, .fn = fn, .data = data};
    int result = check_bytes(d.r);
    if (result == 0 && buf_append(&d.table, "", 1) < 0)
        result = no_memory(&d.r);
    while (result >= 0 && d.r.at < d.r.end)
        result = parse_line(&d);
    return result < 0 ? result : 0;
}
