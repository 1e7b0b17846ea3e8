/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/config/toml.h"
#include "shared/base/cleanup.h"

#include <string.h>

static int no_memory(struct toml_reader *r) {
    return toml_fail(r, "not enough memory");
}

static int append(struct toml_reader *r, struct buf *out, const char *text, size_t length) {
    return buf_append(out, text, length) < 0 ? no_memory(r) : 0;
}

/* ---- strings ---- */

static int hex_digit(int c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int append_code_point(struct toml_reader *r, uint32_t code, struct buf *out) {
    if (code == 0)
        return toml_fail(r, "a string must not contain NUL");
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return toml_fail(r, "U+%04X is no character", code);
    char text[4];
    size_t n = 0;
    if (code < 0x80)
        text[n++] = (char)code;
    else {
        if (code < 0x800)
            text[n++] = (char)(0xc0 | code >> 6);
        else {
            if (code < 0x10000)
                text[n++] = (char)(0xe0 | code >> 12);
            else {
                text[n++] = (char)(0xf0 | code >> 18);
                text[n++] = (char)(0x80 | (code >> 12 & 0x3f));
            }
            text[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        }
        text[n++] = (char)(0x80 | (code & 0x3f));
    }
    return append(r, out, text, n);
}

/* At the letter after the backslash. */
static int read_escape(struct toml_reader *r, struct buf *out) {
    static const char letters[] = "btnfr\"\\", meanings[] = "\b\t\n\f\r\"\\";
    int c = toml_peek(r, 0);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    if (letter) {
        r->at++;
        return append(r, out, &meanings[letter - letters], 1);
    }
    if (c != 'u' && c != 'U')
        return toml_fail(r, "a backslash in a string must be followed by one of b t n f r \" \\ u U; "
                            "a string in single quotes takes it as it is");
    r->at++;
    uint32_t code = 0;
    for (int i = c == 'u' ? 4 : 8; i > 0; i--) {
        int digit = hex_digit(toml_peek(r, 0));
        if (digit < 0)
            return toml_fail(r, "\\%c must be followed by %d hexadecimal digits", c, c == 'u' ? 4 : 8);
        code = code << 4 | (uint32_t)digit;
        r->at++;
    }
    return append_code_point(r, code, out);
}

/* A backslash at the end of a line: it and all white space up to the next word are not there. */
static bool skip_continuation(struct toml_reader *r) {
    struct toml_reader ahead = *r;
    toml_skip_blanks(&ahead);
    if (!toml_skip_newline(&ahead))
        return false;
    do
        toml_skip_blanks(&ahead);
    while (toml_skip_newline(&ahead));
    *r = ahead;
    return true;
}

static int read_line_string(struct toml_reader *r, char quote, struct buf *out) {
    for (;;) {
        int c = toml_peek(r, 0);
        if (c < 0 || c == '\n' || c == '\r')
            return toml_fail(r, "the string does not end on its line");
        r->at++;
        if (c == quote)
            return append(r, out, "", 1);
        int result = 0;
        if (c == '\\' && quote == '"')
            result = read_escape(r, out);
        else
            result = append(r, out, r->at - 1, 1);
        if (result < 0)
            return result;
    }
}

static size_t count_quotes(const struct toml_reader *r, char quote) {
    size_t n = 0;
    while (n < 6 && toml_peek(r, n) == quote)
        n++;
    return n;
}

/* At one or more quotes in a string of three: 1 and the string is over, or 0. "Up to two may stand anywhere." */
static int read_quotes(struct toml_reader *r, char quote, struct buf *out) {
    size_t n = count_quotes(r, quote);
    if (n > 5)
        return toml_fail(r, "there are too many quotes at the end of the string");
    size_t content = n < 3 ? n : n - 3;
    int result = append(r, out, r->at, content);
    r->at += n;
    if (result < 0 || n < 3)
        return result;
    result = append(r, out, "", 1);
    return result < 0 ? result : 1;
}

static int read_long_string(struct toml_reader *r, char quote, struct buf *out) {
    unsigned first_line = r->line;
    (void)toml_skip_newline(r);
    for (;;) {
        int c = toml_peek(r, 0), result = 0;
        if (c < 0) {
            r->line = first_line;
            return toml_fail(r, "the string that begins here does not end");
        }
        if (c == quote) {
            result = read_quotes(r, quote, out);
            if (result != 0)
                return result < 0 ? result : 0;
            continue;
        }
        if (toml_skip_newline(r)) {
            result = append(r, out, "\n", 1);
        } else {
            r->at++;
            if (c != '\\' || quote != '"')
                result = append(r, out, r->at - 1, 1);
            else if (!skip_continuation(r))
                result = read_escape(r, out);
        }
        if (result < 0)
            return result;
    }
}

int toml_read_string(struct toml_reader *r, bool multi_line, struct buf *out) {
    char quote = *r->at;
    bool triple = toml_peek(r, 1) == quote && toml_peek(r, 2) == quote;
    if (triple && !multi_line)
        return toml_fail(r, "a key must be on one line");
    r->at += triple ? 3 : 1;
    return triple ? read_long_string(r, quote, out) : read_line_string(r, quote, out);
}

/* ---- numbers and words ---- */

/* Digits of a base with single underscores between them, into value. false: not that, or more than 63 bits. */
static bool read_digits(const char *text, size_t length, unsigned base, uint64_t max, uint64_t *ret, bool *too_large) {
    uint64_t value = 0;
    bool digit_before = false;
    *too_large = false;
    for (size_t i = 0; i < length; i++) {
        int digit = hex_digit((unsigned char)text[i]);
        if (text[i] == '_' && digit_before && i + 1 < length) {
            digit_before = false;
            continue;
        }
        if (digit < 0 || (unsigned)digit >= base)
            return false;
        digit_before = true;
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, (uint64_t)digit, &value) ||
            value > max)
            *too_large = true;
    }
    *ret = value;
    return length > 0 && digit_before;
}

static size_t digits_prefix(const char *text, size_t length) {
    size_t n = 0;
    while (n < length && ((text[n] >= '0' && text[n] <= '9') || (text[n] == '_' && n > 0)))
        n++;
    return n;
}

static bool is_float(const char *text, size_t length) {
    if (length > 0 && (*text == '+' || *text == '-')) {
        text++;
        length--;
    }
    if (length == 3 && (memcmp(text, "inf", 3) == 0 || memcmp(text, "nan", 3) == 0))
        return true;
    size_t n = digits_prefix(text, length);
    if (n == 0 || n == length || (text[0] == '0' && n > 1))
        return false;
    if (text[n] == '.') {
        size_t fraction = digits_prefix(text + n + 1, length - n - 1);
        if (fraction == 0)
            return false;
        n += 1 + fraction;
    }
    if (n < length && (text[n] == 'e' || text[n] == 'E')) {
        n++;
        if (n < length && (text[n] == '+' || text[n] == '-'))
            n++;
        size_t exponent = digits_prefix(text + n, length - n);
        if (exponent == 0)
            return false;
        n += exponent;
    }
    return n == length;
}

static bool is_date_or_time(const char *text, size_t length) {
    size_t n = digits_prefix(text, length);
    return (n == 4 && n < length && text[n] == '-') || (n == 2 && n < length && text[n] == ':');
}

static unsigned base_of(const char *text, size_t length) {
    if (length < 2 || text[0] != '0')
        return 10;
    return text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : text[1] == 'b' ? 2 : 10;
}

/* 1 when it is an integer. */
static int read_integer(struct toml_reader *r, const char *text, size_t length, struct toml_value *value) {
    bool has_sign = *text == '+' || *text == '-', negative = *text == '-', too_large;
    const char *digits = text + has_sign;
    size_t n = length - has_sign;
    unsigned base = base_of(digits, n);
    if (base != 10 && has_sign)
        return 0;
    if (base != 10) {
        digits += 2;
        n -= 2;
    }
    uint64_t magnitude;
    if (!read_digits(digits, n, base, (uint64_t)INT64_MAX + negative, &magnitude, &too_large))
        return 0;
    if (base == 10 && n > 1 && digits[0] == '0')
        return toml_fail(r, "a number must not begin with 0");
    if (too_large)
        return toml_fail(r, "the number does not fit in 64 bits");
    value->type = TOML_INTEGER;
    value->integer = (int64_t)(negative ? 0 - magnitude : magnitude);
    return 1;
}

static int read_word(struct toml_reader *r, struct toml_value *value) {
    const char *word = r->at;
    while (toml_is_bare(toml_peek(r, 0)) || toml_peek(r, 0) == '.' || toml_peek(r, 0) == '+' || toml_peek(r, 0) == ':')
        r->at++;
    size_t length = (size_t)(r->at - word);
    if (length == 0)
        return toml_fail(r, "a value must stand here: a string in quotes, a number, true, false or an array");
    bool is_true = length == 4 && memcmp(word, "true", 4) == 0;
    if (is_true || (length == 5 && memcmp(word, "false", 5) == 0)) {
        value->type = TOML_BOOL;
        value->boolean = is_true;
        return 0;
    }
    int result = read_integer(r, word, length, value);
    if (result != 0)
        return result < 0 ? result : 0;
    if (is_float(word, length)) {
        value->type = TOML_FLOAT;
        return 0;
    }
    if (is_date_or_time(word, length))
        return toml_fail(r, "dates and times are not used in this file");
    return toml_fail(r, "\"%.*s\" is no value; text must stand in quotes", length > 60 ? 60 : (int)length, word);
}

/* ---- arrays ---- */

static void skip_lines(struct toml_reader *r) {
    do {
        toml_skip_blanks(r);
        toml_skip_comment(r);
    } while (toml_skip_newline(r));
}

static int read_array(struct toml_reader *r, struct toml_value *value) {
    unsigned first_line = r->line;
    value->type = TOML_ARRAY;
    r->at++;
    for (;;) {
        skip_lines(r);
        int c = toml_peek(r, 0);
        if (c == ']')
            break;
        if (c < 0) {
            r->line = first_line;
            return toml_fail(r, "the array that begins here does not end");
        }
        if (c != '"' && c != '\'')
            return toml_fail(r, "an array must be made of strings in quotes");
        int result = toml_read_string(r, true, &value->text);
        if (result < 0)
            return result;
        value->n_strings++;
        skip_lines(r);
        c = toml_peek(r, 0);
        if (c == ',')
            r->at++;
        else if (c != ']')
            return toml_fail(r, "',' or ']' must stand here");
    }
    r->at++;
    return 0;
}

int toml_read_value(struct toml_reader *r, struct toml_value *value) {
    switch (toml_peek(r, 0)) {
    case '"':
    case '\'':
        value->type = TOML_STRING;
        return toml_read_string(r, true, &value->text);
    case '[':
        return read_array(r, value);
    case '{':
        return toml_fail(r,
                         "tables in braces are not used in this file; begin a table with [name] on a line of its own");
    default:
        return read_word(r, value);
    }
}
