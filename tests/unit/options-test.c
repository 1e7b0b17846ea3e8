/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include "process.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct target {
    bool flag, other;
    const char *text;
    struct option_list list;
    uint32_t number;
};

#define FIELD(name) offsetof(struct target, name)
static const struct option table[] = {
    {'f', "flag", NULL, OPTION_FLAG, FIELD(flag), "a flag"},
    {'o', "other-flag", NULL, OPTION_FLAG, FIELD(other), "another"},
    {'t', "text", "TEXT", OPTION_TEXT, FIELD(text), "a text"},
    {'l', "list", "ITEM", OPTION_LIST, FIELD(list), "a list"},
    {'n', "number", "N", OPTION_NUMBER, FIELD(number), "a number"},
    {0, "ignored", NULL, OPTION_IGNORED, 0, "nothing"},
    {0, "ignored-text", "TEXT", OPTION_IGNORED, 0, "nothing"},
    OPTIONS_END,
};

enum { WORDS_MAX = 12 };

struct outcome {
    int r;
    struct err err;
    struct target target;
    struct operands operands;
};

static struct outcome parse(size_t stop_at, const char *const *words) {
    struct outcome o = {0};
    char *argv[WORDS_MAX + 1] = {NULL};
    int argc = 0;
    for (; words[argc]; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    o.r = options_parse(table, argc, argv, stop_at, &o.target, &o.operands, &o.err);
    return o;
}
#define PARSE(stop_at, ...) parse(stop_at, (const char *const[]){__VA_ARGS__, NULL})

static void done(struct outcome *o) {
    options_free(table, &o->target);
    operands_done(&o->operands);
}

static void anywhere_and_in_every_form(void **data) {
    (void)data;
    struct outcome o = PARSE(OPTIONS_ANYWHERE, "--flag", "a", "--text=x=y", "-n", "7", "b", "-lone", "--list", "two");
    assert_int_equal(o.r, 0);
    assert_true(o.target.flag);
    assert_false(o.target.other);
    assert_string_equal(o.target.text, "x=y");
    assert_int_equal(o.target.number, 7);
    assert_int_equal(o.target.list.count, 2);
    assert_string_equal(o.target.list.values[0], "one");
    assert_string_equal(o.target.list.values[1], "two");
    assert_int_equal(o.operands.count, 2);
    assert_string_equal(o.operands.values[0], "a");
    assert_string_equal(o.operands.values[1], "b");
    assert_null(o.operands.values[2]);
    done(&o);
}

static void letters_in_a_row(void **data) {
    (void)data;
    struct outcome o = PARSE(OPTIONS_ANYWHERE, "-fot", "x", "-n=9");
    assert_int_equal(o.r, 0);
    assert_true(o.target.flag && o.target.other);
    assert_string_equal(o.target.text, "x");
    assert_int_equal(o.target.number, 9);
    done(&o);
}

static void arguments_may_look_like_options(void **data) {
    (void)data;
    struct outcome o = PARSE(OPTIONS_ANYWHERE, "--text", "-1", "--list", "--flag", "-");
    assert_int_equal(o.r, 0);
    assert_string_equal(o.target.text, "-1");
    assert_string_equal(o.target.list.values[0], "--flag");
    assert_false(o.target.flag);
    assert_int_equal(o.operands.count, 1); /* "-" */
    done(&o);
}

static void a_command_keeps_its_options(void **data) {
    (void)data;
    struct outcome o = PARSE(2, "-f", "id", "-o", "sh", "-t", "--unknown", "--");
    assert_int_equal(o.r, 0);
    assert_true(o.target.flag && o.target.other);
    assert_null(o.target.text);
    assert_int_equal(o.operands.count, 5);
    assert_string_equal(o.operands.values[1], "sh");
    assert_string_equal(o.operands.values[4], "--");
    done(&o);
    o = PARSE(OPTIONS_ANYWHERE, "--", "-f", "--text");
    assert_int_equal(o.r, 0);
    assert_false(o.target.flag);
    assert_int_equal(o.operands.count, 2);
    done(&o);
}

static void flags_with_a_value(void **data) {
    (void)data;
    struct outcome o = PARSE(OPTIONS_ANYWHERE, "--flag=true", "--other-flag=false");
    assert_int_equal(o.r, 0);
    assert_true(o.target.flag);
    assert_false(o.target.other);
    done(&o);
}

static void ignored_ones_take_their_argument(void **data) {
    (void)data;
    struct outcome o = PARSE(OPTIONS_ANYWHERE, "--ignored", "a", "--ignored-text", "b", "c");
    assert_int_equal(o.r, 0);
    assert_int_equal(o.operands.count, 2);
    assert_string_equal(o.operands.values[1], "c");
    done(&o);
}

static void mistakes_have_a_sentence(void **data) {
    (void)data;
    static const struct {
        const char *words[4];
        const char *sentence;
    } cases[] = {
        {{"--fla"}, "unknown option --fla"}, /* no abbreviations */
        {{"--flags"}, "unknown option --flags"},
        {{"-x"}, "unknown option -x"},
        {{"-fx"}, "unknown option -x"},
        {{"--text"}, "the option --text needs an argument (TEXT)"},
        {{"-t"}, "the option --text needs an argument (TEXT)"},
        {{"--flag=1"}, "the option --flag takes no argument"},
        {{"--number", "x"}, "the option --number takes a number, not \"x\""},
        {{"--number", "-1"}, "the option --number takes a number, not \"-1\""},
        {{"--number=4294967296"}, "the option --number takes a number, not \"4294967296\""},
        {{"--="}, "unknown option --"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct outcome o = parse(OPTIONS_ANYWHERE, cases[i].words);
        assert_int_equal(o.r, -EINVAL);
        assert_string_equal(o.err.text, cases[i].sentence);
        assert_null(o.operands.values);
        done(&o);
    }
}

static void help_is_aligned(void **data) {
    (void)data;
    _cleanup_buf_ struct buf out = {0};
    assert_int_equal(options_help(table, &out), 0);
    assert_non_null(strstr(buf_string(&out), "  -t, --text TEXT                  a text\n"));
    assert_non_null(strstr(buf_string(&out), "      --ignored                    nothing\n"));
}

/* ---- the process of exec ---- */

static char *base_env[] = {(char *)(uintptr_t)("PATH=/bin"), (char *)(uintptr_t)("A=1"), NULL};
static char *base_args[] = {(char *)(uintptr_t)("init"), NULL};
static uint32_t base_gids[] = {5};

static struct oci_process base(void) {
    return (struct oci_process){
        .args = base_args,
        .n_args = 1,
        .env = base_env,
        .n_env = 2,
        .cwd = (char *)(uintptr_t)("/"),
        .additional_gids = base_gids,
        .n_additional_gids = 1,
        .terminal = true,
    };
}

static void options_change_the_process(void **data) {
    (void)data;
    const char *env[] = {"A=2", "B=3", "B=4"}, *gids[] = {"7"}, *caps[] = {"CAP_NET_RAW"};
    struct process_options o = {
        .user = "10:20",
        .cwd = "/tmp",
        .no_new_privs = true,
        .env = {env, 3},
        .additional_gids = {gids, 1},
        .caps = {caps, 1},
    };
    char *args[] = {(char *)(uintptr_t)("id"), (char *)(uintptr_t)("-u"), NULL};
    struct oci_process from = base();
    struct process p = {0};
    struct err err = {0};
    assert_int_equal(process_change(&o, args, &from, &p, &err), 0);
    const struct oci_process *r = p.result;
    assert_int_equal(r->n_args, 2);
    assert_false(r->terminal);
    assert_int_equal(r->uid, 10);
    assert_int_equal(r->gid, 20);
    assert_string_equal(r->cwd, "/tmp");
    assert_true(r->no_new_privileges);
    assert_int_equal(r->n_env, 3);
    assert_string_equal(r->env[1], "A=2");
    assert_string_equal(r->env[2], "B=4");
    assert_null(r->env[3]);
    assert_int_equal(r->n_additional_gids, 2);
    assert_int_equal(r->additional_gids[1], 7);
    assert_true(r->capabilities.effective == UINT64_C(1) << 13);
    assert_true(r->capabilities.inheritable == 0);
    process_done(&p);
}

static void a_document_inherits_what_it_leaves_out(void **data) {
    (void)data;
    struct oci_process container = base();
    container.has_capabilities = true;
    container.capabilities.bounding = 5;
    struct oci_process document = {0};
    process_inherit(&container, &document);
    assert_int_equal(document.n_env, container.n_env);
    assert_string_equal(document.env[0], container.env[0]);
    assert_true(document.has_capabilities);
    assert_true(document.capabilities.bounding == 5);
    assert_int_equal(document.n_args, 0);

    char *env[] = {(char *)(uintptr_t)("OWN=1"), NULL};
    struct oci_process own = {.env = env, .n_env = 1, .has_capabilities = true};
    process_inherit(&container, &own);
    assert_int_equal(own.n_env, 1);
    assert_string_equal(own.env[0], "OWN=1");
    assert_true(own.capabilities.bounding == 0);
}

static void a_document_stays_as_it_is(void **data) {
    (void)data;
    struct process_options o = {0};
    char *args[] = {NULL};
    struct oci_process from = base();
    struct process p = {0};
    struct err err = {0};
    assert_int_equal(process_change(&o, args, &from, &p, &err), 0);
    assert_true(p.result->terminal);
    assert_string_equal(p.result->args[0], "init");
    process_done(&p);
}

static void bad_changes_are_refused(void **data) {
    (void)data;
    const char *env[] = {"=x"}, *no_env[] = {"x"}, *gids[] = {"-1"}, *caps[] = {"CAP_NOTHING"};
    const struct process_options cases[] = {
        {.user = "root"},  {.user = "1:"},       {.user = "4294967295"},         {.cwd = "tmp"},
        {.env = {env, 1}}, {.env = {no_env, 1}}, {.additional_gids = {gids, 1}}, {.caps = {caps, 1}},
    };
    char *args[] = {(char *)(uintptr_t)("id"), NULL};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct oci_process from = base();
        struct process p = {0};
        struct err err = {0};
        assert_int_equal(process_change(&cases[i], args, &from, &p, &err), -EINVAL);
        assert_true(err.text[0] != '\0');
        process_done(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anywhere_and_in_every_form),
        cmocka_unit_test(letters_in_a_row),
        cmocka_unit_test(arguments_may_look_like_options),
        cmocka_unit_test(a_command_keeps_its_options),
        cmocka_unit_test(flags_with_a_value),
        cmocka_unit_test(ignored_ones_take_their_argument),
        cmocka_unit_test(mistakes_have_a_sentence),
        cmocka_unit_test(help_is_aligned),
        cmocka_unit_test(options_change_the_process),
        cmocka_unit_test(a_document_inherits_what_it_leaves_out),
        cmocka_unit_test(a_document_stays_as_it_is),
        cmocka_unit_test(bad_changes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
