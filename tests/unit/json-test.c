/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/json/json.h"
#include "shared/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct json **ret, struct err *err) {
    return json_parse(text, strlen(text), "x.json", ret, err);
}

static void test_grammar_accepts(void **state) {
    (void)state;
    static const char *const good[] = {
        "{}",
        "[]",
        " {\"a\" : [ 1 , -2, 0, -0, 1.5, 1e3, 1E-3, 0.0, true, false, null ] }\r\n\t ",
        "1",
        "0",
        "-1",
        "null",
        "\"\"",
        "\"\\u00e4\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
        "true",
        "1.25e2",
        "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "[[[[]]]]",
        "18446744073709551615",
        "-9223372036854775808",
        "{\"a\":1,\"a\":2}",
        "\"\x7f\"",
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct json *json __attribute__((cleanup(json_freep))) = NULL;
        struct err err = {0};
        if (parse(good[i], &json, &err) != 0)
            fail_msg("%s: %s", good[i], err.text);
    }
}

static void test_grammar_refuses(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "{]",
        "[}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{a:1}",
        "{'a':1}",
        "{\"a\":1}x",
        "{\"a\":1} {}",
        "[1]]",
        "nul",
        "nullx",
        "True",
        "TRUE",
        "NaN",
        "Infinity",
        "-Infinity",
        "01",
        "-01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x10",
        "1_000",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "\"a\tb\"",
        "\"\x01\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "// c\n1",
        "/* c */ 1",
        "1 // c",
        "{\"a\\u0000b\":1}",
        "18446744073709551616",
        "-9223372036854775809",
        "100000000000000000000000000",
        "[18446744073709551616]",
        "\xef\xbb\xbf{}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct json *json __attribute__((cleanup(json_freep))) = NULL;
        struct err err = {0};
        if (parse(bad[i], &json, &err) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(err.code, EINVAL);
        assert_non_null(strstr(err.text, "x.json: line "));
        assert_null(json);
    }
}

static void test_length_counts(void **state) {
    (void)state;
    struct json *json = NULL;
    struct err err = {0};
    assert_int_equal(json_parse("[1]garbage", 3, "x", &json, &err), 0);
    json = json_free(json);
    assert_int_equal(json_parse("12", 1, "x", &json, &err), 0); /* a number that the length ends */
    struct json_value top = json_top(json);
    uint64_t number;
    assert_int_equal(json_uint(&top, 100, &number, &err), 0);
    assert_int_equal(number, 1);
    json = json_free(json);
    assert_int_equal(json_parse("[1]\0", 4, "x", &json, &err), -EINVAL);
    assert_int_equal(json_parse("[\0]", 3, "x", &json, &err), -EINVAL);
}

static void test_position(void **state) {
    (void)state;
    struct json *json = NULL;
    struct err err = {0};
    assert_int_equal(parse("{\n \"a\": 1,\n \"b\" 2\n}", &json, &err), -EINVAL);
    assert_string_equal(err.text, "x.json: line 3, column 6: ':' must stand here, between key and value");
}

static void test_depth(void **state) {
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 8];
    for (unsigned depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = '\0';
        struct json *json __attribute__((cleanup(json_freep))) = NULL;
        struct err err = {0};
        int r = parse(text, &json, &err);
        if (depth <= JSON_DEPTH_MAX && r != 0)
            fail_msg("depth %u: %s", depth, err.text);
        if (depth > JSON_DEPTH_MAX)
            assert_non_null(strstr(err.text, "nested too deeply"));
    }
    size_t many = 1 << 20;
    _cleanup_free_ char *deep = malloc(many);
    memset(deep, '[', many);
    struct json *json = NULL;
    assert_int_equal(json_parse(deep, many, "x", &json, NULL), -EINVAL);
}

static void test_numbers(void **state) {
    (void)state;
    struct json *json __attribute__((cleanup(json_freep))) = NULL;
    struct err err = {0};
    assert_int_equal(parse("{\"max\":18446744073709551615,\"min\":-9223372036854775808,\"one\":1,\"float\":1.0,"
                           "\"exp\":1e3,\"text\":\"12\",\"neg\":-1,\"odd\":9007199254740993,\"none\":null}",
                           &json, &err),
                     0);
    struct json_value top = json_top(json);
    uint64_t u = 7;
    int64_t i = 7;
    uint32_t w = 7;
    assert_int_equal(json_get_u64(&top, "max", &u, &err), 1);
    assert_true(u == UINT64_MAX);
    assert_int_equal(json_get_u64(&top, "odd", &u, &err), 1);
    assert_true(u == UINT64_C(9007199254740993));
    assert_int_equal(json_get_i64(&top, "min", &i, &err), 1);
    assert_true(i == INT64_MIN);
    assert_int_equal(json_get_u32(&top, "one", &w, &err), 1);
    assert_int_equal(w, 1);

    u = 7;
    assert_int_equal(json_get_u64(&top, "none", &u, &err), 0);
    assert_int_equal(json_get_u64(&top, "absent", &u, &err), 0);
    static const char *const wrong[] = {"float", "exp", "text", "neg", "min"};
    for (size_t k = 0; k < ARRAY_SIZE(wrong); k++)
        assert_int_equal(json_get_u64(&top, wrong[k], &u, &err), -EINVAL);
    assert_int_equal(json_get_u32(&top, "max", &w, &err), -EINVAL);
    assert_string_equal(err.text, "max must be a whole number from 0 to 4294967295");
    assert_int_equal(json_get_u32(&top, "text", &w, &err), -EINVAL);
    assert_string_equal(err.text, "text must be a whole number from 0 to 4294967295, not a string");
    assert_int_equal(json_get_i64(&top, "max", &i, &err), -EINVAL);
    assert_int_equal(u, 7); /* written only on success */
}

static void test_types_and_paths(void **state) {
    (void)state;
    struct json *json __attribute__((cleanup(json_freep))) = NULL;
    struct err err = {0};
    assert_int_equal(
        parse("{\"a\":[{\"b\":{\"c.d\":1}}],\"s\":\"x\\u0000y\",\"t\":\"true\",\"e\":[\"p\",\"q\"]}", &json, &err), 0);
    struct json_value top = json_top(json), value;
    bool flag = true;
    const char *text = NULL;
    assert_int_equal(json_get_bool(&top, "t", &flag, &err), -EINVAL);
    assert_string_equal(err.text, "t must be true or false, not a string");
    assert_int_equal(json_get_string(&top, "s", &text, &err), -EINVAL);
    assert_string_equal(err.text, "s must not contain NUL");
    assert_int_equal(json_get_string(&top, "a", &text, &err), -EINVAL);
    assert_string_equal(err.text, "a must be a string, not an array");
    assert_null(text);
    assert_int_equal(json_get(&top, "s", &value, &err), 1);
    assert_int_equal(json_get(&value, "x", &value, &err), -EINVAL);

    _cleanup_strv_ char **strings = NULL;
    assert_int_equal(json_get_strv(&top, "e", &strings, &err), 2);
    assert_string_equal(strings[1], "q");
    assert_null(strings[2]);
    char **none = (char **)1;
    assert_int_equal(json_get_strv(&top, "missing", &none, &err), 0);
    assert_null(none);
    assert_int_equal(json_get_strv(&top, "a", &none, &err), -EINVAL);
    assert_string_equal(err.text, "a[0] must be a string, not an object");
}

static int visit(const struct json_value *item, void *data, struct err *err) {
    size_t *count = data;
    (*count)++;
    if (json_count(item) == 0)
        return json_refuse(item, err, "is \"%s\"", "a\x1b[31m");
    return item->key ? json_each_member(item, visit, data, err) : json_each_element(item, visit, data, err);
}

static void test_iterate(void **state) {
    (void)state;
    struct json *json __attribute__((cleanup(json_freep))) = NULL;
    struct err err = {0};
    size_t count = 0;
    assert_int_equal(parse("{\"a\":{\"b.c\":{\"d\\u001b\":0}}}", &json, &err), 0);
    struct json_value top = json_top(json);
    assert_int_equal(json_each_member(&top, visit, &count, &err), -EINVAL);
    assert_int_equal(count, 3);
    assert_string_equal(err.text, "a[\"b.c\"][\"d?\"] is \"a?[31m\""); /* nothing that a terminal would obey */
    assert_int_equal(json_each_element(&top, visit, &count, &err), -EINVAL);
    assert_string_equal(err.text, "x.json must be an array, not an object");
}

static void test_write(void **state) {
    (void)state;
    _cleanup_buf_ struct buf compact = {0}, pretty = {0};
    for (int round = 0; round < 2; round++) {
        struct json_writer w = {.out = round ? &pretty : &compact, .pretty = round};
        json_write_begin_object(&w, NULL);
        json_write_string(&w, "s", "\"\\\b\f\n\r\t\x01\x1b/\xc3\xa4\xff\xed\xa0\x80");
        json_write_begin_array(&w, "a");
        json_write_uint(&w, NULL, UINT64_MAX);
        json_write_int(&w, NULL, INT64_MIN);
        json_write_begin_object(&w, NULL);
        json_write_end_object(&w);
        json_write_begin_array(&w, NULL);
        json_write_end_array(&w);
        json_write_end_array(&w);
        json_write_bool(&w, "b", false);
        json_write_null(&w, "k\"");
        json_write_end_object(&w);
        assert_false(w.failed);
    }
    assert_string_equal(buf_string(&compact),
                        "{\"s\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001b/\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                        "\xef\xbf\xbd\",\"a\":[18446744073709551615,-9223372036854775808,{},[]],\"b\":false,\"k\\\"\":"
                        "null}");
    assert_string_equal(buf_string(&pretty),
                        "{\n  \"s\": \"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001b/\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
                        "\xbd\xef\xbf\xbd\",\n  \"a\": [\n    18446744073709551615,\n    -9223372036854775808,\n    "
                        "{},\n    []\n  ],\n  \"b\": false,\n  \"k\\\"\": null\n}");
    struct json *json __attribute__((cleanup(json_freep))) = NULL;
    struct err err = {0};
    assert_int_equal(parse(buf_string(&pretty), &json, &err), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grammar_accepts), cmocka_unit_test(test_grammar_refuses),
        cmocka_unit_test(test_length_counts),   cmocka_unit_test(test_position),
        cmocka_unit_test(test_depth),           cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_types_and_paths), cmocka_unit_test(test_iterate),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
