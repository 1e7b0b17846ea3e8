/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/json/json.h"
#include "shared/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put(struct json_writer *w, const char *text, size_t length) {
    if (!w->failed && buf_append(w->out, text, length) < 0)
        w->failed = true;
}

static void put_text(struct json_writer *w, const char *text) {
    put(w, text, strlen(text));
}

static void put_line(struct json_writer *w) {
    if (!w->pretty)
        return;
    put(w, "\n", 1);
    for (unsigned i = 0; i < w->depth; i++)
        put(w, "  ", 2);
}

static void put_escape(struct json_writer *w, char c) {
    static const char plain[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *found = strchr(plain, c);
    char escape[8] = {'\\', found ? letters[found - plain] : 0};
    if (!found)
        (void)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)c);
    put_text(w, escape);
}

static void put_string(struct json_writer *w, const char *text) {
    put(w, "\"", 1);
    size_t length = strlen(text);
    while (length > 0) {
        char c = *text;
        size_t n = text_utf8_sequence(text, length);
        if (n == 0) {
            put_text(w, "\xef\xbf\xbd");
            n = 1;
        } else if ((unsigned char)c < 0x20 || c == '"' || c == '\\')
            put_escape(w, c);
        else
            put(w, text, n);
        text += n;
        length -= n;
    }
    put(w, "\"", 1);
}

/* Comma, line break and key: all that stands before a value. */
static void begin_value(struct json_writer *w, const char *key) {
    if (w->need_comma)
        put(w, ",", 1);
    if (w->depth > 0)
        put_line(w);
    w->need_comma = w->depth > 0;
    if (key) {
        put_string(w, key);
        put_text(w, w->pretty ? ": " : ":");
    }
}

static void begin_list(struct json_writer *w, const char *key, const char *open) {
    begin_value(w, key);
    put_text(w, open);
    w->depth++;
    w->need_comma = false;
}

static void end_list(struct json_writer *w, const char *close) {
    bool is_empty = !w->need_comma;
    w->depth--;
    if (!is_empty)
        put_line(w);
    put_text(w, close);
    w->need_comma = w->depth > 0;
}

void json_write_begin_object(struct json_writer *w, const char *key) {
    begin_list(w, key, "{");
}

void json_write_end_object(struct json_writer *w) {
    end_list(w, "}");
}

void json_write_begin_array(struct json_writer *w, const char *key) {
    begin_list(w, key, "[");
}

void json_write_end_array(struct json_writer *w) {
    end_list(w, "]");
}

void json_write_string(struct json_writer *w, const char *key, const char *value) {
    begin_value(w, key);
    put_string(w, value);
}

void json_write_uint(struct json_writer *w, const char *key, uint64_t value) {
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    begin_value(w, key);
    put_text(w, text);
}

void json_write_int(struct json_writer *w, const char *key, int64_t value) {
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    begin_value(w, key);
    put_text(w, text);
}

void json_write_bool(struct json_writer *w, const char *key, bool value) {
    begin_value(w, key);
    put_text(w, value ? "true" : "false");
}

void json_write_null(struct json_writer *w, const char *key) {
    begin_value(w, key);
    put_text(w, "null");
}
