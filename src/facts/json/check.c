/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of RFC 8259, before json-c reads a byte. json-c lets pass, depending on its version, control
 * characters in strings, NaN, numbers beyond 64 bits (0.16 caps them without a word) and cuts keys at NUL; and
 * it cannot say where in the text it stumbled.
 */
#include "facts/json/check.h"

#include "facts/json/json.h"
#include "shared/base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct scan {
    const char *start, *at, *end;
    const char *name;
    unsigned depth;
    struct err *err;
};

static int stumble(struct scan *s, const char *what) {
    size_t line = 1, column = 1;
    for (const char *c = s->start; c < s->at; c++) {
        column++;
        if (*c == '\n') {
            line++;
            column = 1;
        }
    }
    return err_set(s->err, EINVAL, "%s: line %zu, column %zu: %s", s->name, line, column, what);
}

/* The next byte, or -1 at the end. */
static int peek(const struct scan *s) {
    return s->at < s->end ? (unsigned char)*s->at : -1;
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

static void skip_space(struct scan *s) {
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
        s->at++;
}

static int check_word(struct scan *s, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
        return stumble(s, "a value must stand here: an object, an array, a string, a number, true, false or null");
    s->at += n;
    return 0;
}

static int hex_value(int c) {
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int check_escape(struct scan *s, bool is_key) {
    s->at++;
    int c = peek(s);
    if (c > 0 && strchr("\"\\/bfnrt", c)) {
        s->at++;
        return 0;
    }
    if (c != 'u')
        return stumble(s, "a backslash in a string must be followed by one of \" \\ / b f n r t u");
    s->at++;
    int code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(peek(s));
        if (digit < 0)
            return stumble(s, "\\u must be followed by four hexadecimal digits");
        code = code * 16 + digit;
        s->at++;
    }
    if (is_key && code == 0)
        return stumble(s, "a key must not contain NUL");
    return 0;
}

static int check_string(struct scan *s, bool is_key) {
    s->at++; /* the quote */
    for (;;) {
        int c = peek(s);
        if (c < 0)
            return stumble(s, "the document ends within a string");
        if (c == '"') {
            s->at++;
            return 0;
        }
        if (c < 0x20)
            return stumble(s, "a control character in a string must be written as an escape");
        if (c == '\\') {
            int r = check_escape(s, is_key);
            if (r < 0)
                return r;
            continue;
        }
        size_t n = text_utf8_sequence(s->at, (size_t)(s->end - s->at));
        if (n == 0)
            return stumble(s, "this is no valid UTF-8");
        s->at += n;
    }
}

static int check_digits(struct scan *s) {
    if (!is_digit(peek(s)))
        return stumble(s, "a digit must stand here");
    while (is_digit(peek(s)))
        s->at++;
    return 0;
}

static int check_integer_range(struct scan *s, const char *from, bool negative) {
    uint64_t value = 0;
    for (const char *c = from; c < s->at; c++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value)) {
            s->at = from;
            return stumble(s, "this number does not fit in 64 bits");
        }
    if (negative && value > (uint64_t)INT64_MAX + 1) {
        s->at = from;
        return stumble(s, "this number does not fit in 64 bits");
    }
    return 0;
}

static int check_number(struct scan *s) {
    bool negative = peek(s) == '-', whole = true;
    if (negative)
        s->at++;
    const char *digits = s->at;
    int r = check_digits(s);
    if (r < 0)
        return r;
    if (*digits == '0' && s->at - digits > 1) {
        s->at = digits;
        return stumble(s, "a number must not begin with 0");
    }
    const char *digits_end = s->at;
    if (peek(s) == '.') {
        whole = false;
        s->at++;
        r = check_digits(s);
    }
    if (r >= 0 && (peek(s) == 'e' || peek(s) == 'E')) {
        whole = false;
        s->at++;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        r = check_digits(s);
    }
    if (r < 0 || !whole)
        return r;
    s->at = digits_end;
    return check_integer_range(s, digits, negative);
}

static int check_value(struct scan *s);

static int check_member(struct scan *s) {
    if (peek(s) != '"')
        return stumble(s, "a key in double quotes must stand here");
    int r = check_string(s, true);
    if (r < 0)
        return r;
    skip_space(s);
    if (peek(s) != ':')
        return stumble(s, "':' must stand here, between key and value");
    s->at++;
    return check_value(s);
}

/* An object or array: what is in it differs, the brackets and commas do not. */
static int check_list(struct scan *s, char close, int (*check_item)(struct scan *)) {
    if (s->depth >= JSON_DEPTH_MAX)
        return stumble(s, "objects and arrays are nested too deeply");
    s->depth++;
    s->at++;
    skip_space(s);
    if (peek(s) == close) {
        s->at++;
        s->depth--;
        return 0;
    }
    for (;;) {
        skip_space(s);
        int r = check_item(s);
        if (r < 0)
            return r;
        skip_space(s);
        int c = peek(s);
        if (c < 0)
            return stumble(s, "the document ends too early");
        if (c != ',' && c != close)
            return stumble(s, close == '}' ? "',' or '}' must stand here" : "',' or ']' must stand here");
        s->at++;
        if (c == close)
            break;
    }
    s->depth--;
    return 0;
}

static int check_value(struct scan *s) {
    skip_space(s);
    switch (peek(s)) {
    case -1:
        return stumble(s, "the document ends too early");
    case '{':
        return check_list(s, '}', check_member);
    case '[':
        return check_list(s, ']', check_value);
    case '"':
        return check_string(s, false);
    case 't':
        return check_word(s, "true");
    case 'f':
        return check_word(s, "false");
    case 'n':
        return check_word(s, "null");
    case '-':
    case '0' ... '9':
        return check_number(s);
    default:
        return check_word(s, "null"); /* fails, with the sentence that fits */
    }
}

int json_check_text(const char *text, size_t length, const char *name, struct err *err) {
    struct scan s = {.start = text, .at = text, .end = text + length, .name = name, .err = err};
    int r = check_value(&s);
    if (r < 0)
        return r;
    skip_space(&s);
    return s.at == s.end ? 0 : stumble(&s, "there is something after the end of the document");
}
