/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/config/config.h"
#include "facts/config/toml.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- the reader: every item as one line of text ---- */

static int print_item(const struct toml_item *item, void *data, struct err *err) {
    struct buf *out = data;
    (void)err;
    int r = 0;
    if (!item->key)
        return buf_append_format(out, "%u [%s]\n", item->line, item->table);
    r = buf_append_format(out, "%u %s|%s=", item->line, item->table, item->key);
    switch (item->type) {
    case TOML_STRING:
        return buf_append_format(out, "'%s'\n", item->string);
    case TOML_INTEGER:
        return buf_append_format(out, "%lld\n", (long long)item->integer);
    case TOML_BOOL:
        return buf_append_format(out, "%s\n", item->boolean ? "true" : "false");
    case TOML_ARRAY:
        for (char *const *s = item->strings; r == 0 && *s; s++)
            r = buf_append_format(out, "<%s>", *s);
        return r == 0 ? buf_append_string(out, "\n") : r;
    default:
        return buf_append_string(out, "float\n");
    }
}

static void test_toml_accepts(void **state) {
    (void)state;
    static const struct {
        const char *text, *items;
    } good[] = {
        {"", ""},
        {"# only a comment", ""},
        {"\r\n\t # x\r\n", ""},
        {"a=1", "1 |a=1\n"},
        {"a = 1 # c\nb = 2\r\nc=3", "1 |a=1\n2 |b=2\n3 |c=3\n"},
        {"[t]\nk=true\n[t.u]\nk=false", "1 [t]\n2 t|k=true\n3 [t.u]\n4 t.u|k=false\n"},
        {"[ a . \"b\" . 'c d' ] # x\nk=1", "1 [a.b.\"c d\"]\n2 a.b.\"c d\"|k=1\n"},
        {"[a.b]\n[a]\nx=1", "1 [a.b]\n2 [a]\n3 a|x=1\n"},
        {"[a]\nb.c=1\nb . d = 2", "1 [a]\n2 a.b|c=1\n3 a.b|d=2\n"},
        {"[fruit]\napple.color=1\n[fruit.apple.texture]\nx=1",
         "1 [fruit]\n2 fruit.apple|color=1\n3 [fruit.apple.texture]\n4 fruit.apple.texture|x=1\n"},
        {"1234=1\n-=2\n_=3", "1 |1234=1\n2 |-=2\n3 |_=3\n"},
        {"a=+99\nb=-17\nc=0\nd=+0\ne=-0\nf=1_000\ng=0xDEAD_beef\nh=0o755\ni=0b1101",
         "1 |a=99\n2 |b=-17\n3 |c=0\n4 |d=0\n5 |e=0\n6 |f=1000\n7 |g=3735928559\n8 |h=493\n9 |i=13\n"},
        {"a=9223372036854775807\nb=-9223372036854775808\nc=0x7fffffffffffffff",
         "1 |a=9223372036854775807\n2 |b=-9223372036854775808\n3 |c=9223372036854775807\n"},
        {"a=1.0\nb=-1e5\nc=6.626e-34\nd=inf\ne=-nan\nf=1_0.0_1",
         "1 |a=float\n2 |b=float\n3 |c=float\n4 |d=float\n5 |e=float\n6 |f=float\n"},
        {"a=\"x\\t\\\"\\\\\\u00e4\\U0001F600#\" # c", "1 |a='x\t\"\\\xc3\xa4\xf0\x9f\x98\x80#'\n"},
        {"a=\"\\u20ac\\b\\f\\r\\n\"", "1 |a='\xe2\x82\xac\b\f\r\n'\n"},
        {"a='C:\\new\\u00'\nb=''\nc=\"\"", "1 |a='C:\\new\\u00'\n2 |b=''\n3 |c=''\n"},
        {"a=\"\"\"\nx\r\ny\"\"\"\nb=1", "1 |a='x\ny'\n4 |b=1\n"},
        {"a=\"\"\"a \\\n\n   b\\\n c\"\"\"\nb=1", "1 |a='a bc'\n5 |b=1\n"},
        {"a=\"\"\"\"\"two\"\"\"\"\"", "1 |a='\"\"two\"\"'\n"},
        {"a=\"\"\"\"\"\"\nb=''''''", "1 |a=''\n2 |b=''\n"},
        {"a='''\n\\x'y'''", "1 |a='\\x'y'\n"},
        {"a=[]\nb=[ ]\nc=[\"x\"]\nd=['x',\"y\" , ]", "1 |a=\n2 |b=\n3 |c=<x>\n4 |d=<x><y>\n"},
        {"a=[ # one\n \"x\", # two\n\n # three\n \"\" ] # four\nb=1", "1 |a=<x><>\n6 |b=1\n"},
        {"\"quoted\" = 1\n'lit' = 2\n\"\" = 3", "1 |quoted=1\n2 |lit=2\n3 |\"\"=3\n"},
        {"a=\"\xc3\xa4\" # \xe2\x82\xac", "1 |a='\xc3\xa4'\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        _cleanup_buf_ struct buf out = {0};
        struct err err = {0};
        if (toml_parse(good[i].text, strlen(good[i].text), "f", print_item, &out, &err) != 0)
            fail_msg("%s\n%s", good[i].text, err.text);
        assert_string_equal(buf_string(&out), good[i].items);
    }
}

static void test_toml_refuses(void **state) {
    (void)state;
    static const struct {
        const char *text, *sentence;
    } bad[] = {
        {"a", "f:1: '=' must stand here, after the key"},
        {"a=", "f:1: a value must stand here: a string in quotes, a number, true, false or an array"},
        {"\n\na=\nb=1", "f:3: a value must stand here: a string in quotes, a number, true, false or an array"},
        {"=1", "f:1: a key must stand here"},
        {"a.=1", "f:1: a key must stand here"},
        {".a=1", "f:1: a key must stand here"},
        {"\xc3\xa4=1", "f:1: a key must stand here"},
        {"a b=1", "f:1: '=' must stand here, after the key"},
        {"a=1 b=2", "f:1: only a comment may follow on this line"},
        {"[a] b=1", "f:1: only a comment may follow on this line"},
        {"a=yes", "f:1: \"yes\" is no value; text must stand in quotes"},
        {"a=/usr/bin/x", "f:1: a value must stand here: a string in quotes, a number, true, false or an array"},
        {"a=True", "f:1: \"True\" is no value; text must stand in quotes"},
        {"a=01", "f:1: a number must not begin with 0"},
        {"a=-01", "f:1: a number must not begin with 0"},
        {"a=1__0", "f:1: \"1__0\" is no value; text must stand in quotes"},
        {"a=_1", "f:1: \"_1\" is no value; text must stand in quotes"},
        {"a=1_", "f:1: \"1_\" is no value; text must stand in quotes"},
        {"a=0x", "f:1: \"0x\" is no value; text must stand in quotes"},
        {"a=0x_1", "f:1: \"0x_1\" is no value; text must stand in quotes"},
        {"a=+0x1", "f:1: \"+0x1\" is no value; text must stand in quotes"},
        {"a=0XF", "f:1: \"0XF\" is no value; text must stand in quotes"},
        {"a=0b2", "f:1: \"0b2\" is no value; text must stand in quotes"},
        {"a=+", "f:1: \"+\" is no value; text must stand in quotes"},
        {"a=1.", "f:1: \"1.\" is no value; text must stand in quotes"},
        {"a=.5", "f:1: \".5\" is no value; text must stand in quotes"},
        {"a=1e", "f:1: \"1e\" is no value; text must stand in quotes"},
        {"a=9223372036854775808", "f:1: the number does not fit in 64 bits"},
        {"a=-9223372036854775809", "f:1: the number does not fit in 64 bits"},
        {"a=0xffffffffffffffff", "f:1: the number does not fit in 64 bits"},
        {"a=99999999999999999999999999999999", "f:1: the number does not fit in 64 bits"},
        {"a=1979-05-27T07:32:00Z", "f:1: dates and times are not used in this file"},
        {"a=07:32:00", "f:1: dates and times are not used in this file"},
        {"a={b=1}", "f:1: tables in braces are not used in this file; begin a table with [name] on a line of its own"},
        {"[[a]]", "f:1: arrays of tables ([[...]]) are not used in this file"},
        {"[a", "f:1: ']' must stand here, after the name of the table"},
        {"[]", "f:1: a key must stand here"},
        {"[a]]", "f:1: only a comment may follow on this line"},
        {"a=\"x", "f:1: the string does not end on its line"},
        {"a=\"x\nb=1", "f:1: the string does not end on its line"},
        {"a='x\n'", "f:1: the string does not end on its line"},
        {"b=1\na=\"\"\"x\n\n", "f:2: the string that begins here does not end"},
        {"a=\"\"\"x\"\"\"\"\"\"", "f:1: there are too many quotes at the end of the string"},
        {"\"\"\"a\"\"\"=1", "f:1: a key must be on one line"},
        {"a=\"\\x\"", "f:1: a backslash in a string must be followed by one of b t n f r \" \\ u U; "
                      "a string in single quotes takes it as it is"},
        {"a=\"\\u12\"", "f:1: \\u must be followed by 4 hexadecimal digits"},
        {"a=\"\\U0011\"", "f:1: \\U must be followed by 8 hexadecimal digits"},
        {"a=\"\\ud800\"", "f:1: U+D800 is no character"},
        {"a=\"\\U00110000\"", "f:1: U+110000 is no character"},
        {"a=\"\\u0000\"", "f:1: a string must not contain NUL"},
        {"a=[\"x\" \"y\"]", "f:1: ',' or ']' must stand here"},
        {"a=[,]", "f:1: an array must be made of strings in quotes"},
        {"a=[1]", "f:1: an array must be made of strings in quotes"},
        {"a=[[\"x\"]]", "f:1: an array must be made of strings in quotes"},
        {"b=1\na=[\"x\",\n", "f:2: the array that begins here does not end"},
        {"a=1\na=2", "f:2: a is there a second time"},
        {"a=1\n\"a\"=2", "f:2: a is there a second time"},
        {"[a]\n[b]\n[a]", "f:3: [a] is there a second time"},
        {"a=1\n[a]", "f:2: [a] is there a second time"},
        {"a=1\n[a.b]", "f:2: a is a key with a value, so it cannot be a table as well"},
        {"a=1\na.b=2", "f:2: a is a key with a value, so it cannot be a table as well"},
        {"a.b=1\n[a]", "f:2: [a] is there a second time"},
        {"[a.b]\n[a]\nb.c=1", "f:3: [a.b] is a table of its own; its keys must stand there"},
        {"[a.b]\n[a]\nb=1", "f:3: a.b is there a second time"},
        {"a=1\rb=2", "f:1: there is a carriage return that does not end a line"},
        {"a=1\n# \x01", "f:2: there is a control character (0x01)"},
        {"a=\"\x7f\"", "f:1: there is a control character (0x7f)"},
        {"a=\"\xff\"", "f:1: this is no valid UTF-8"},
        {"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q=1", "f:1: the key has too many parts"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_buf_ struct buf out = {0};
        struct err err = {0};
        if (toml_parse(bad[i].text, strlen(bad[i].text), "f", print_item, &out, &err) != -EINVAL)
            fail_msg("accepted: %s", bad[i].text);
        assert_string_equal(err.text, bad[i].sentence);
    }
    struct err err = {0};
    assert_int_equal(toml_parse("a\0b", 3, "f", print_item, NULL, &err), -EINVAL);
    assert_string_equal(err.text, "f:1: there is a control character (0x00)");
}

/* ---- the keys ---- */

static void test_defaults(void **state) {
    (void)state;
    _cleanup_config_ struct config *c = NULL;
    struct err err = {0};
    assert_int_equal(config_default(&c, &err), 0);
    assert_string_equal(c->qemu.path, "/usr/bin/qemu-system-x86_64");
    assert_string_equal(c->qemu.kernel, "");
    assert_string_equal(c->qemu.initrd, "");
    assert_string_equal(c->qemu.kernel_params, "");
    assert_string_equal(c->qemu.firmware, "");
    assert_int_equal(c->qemu.machine_type, CONFIG_MACHINE_MICROVM);
    assert_int_equal(c->qemu.accel, CONFIG_ACCEL_AUTO);
    assert_int_equal(c->qemu.default_vcpus, 1);
    assert_int_equal(c->qemu.default_maxvcpus, 0);
    assert_int_equal(c->qemu.default_memory, 1024);
    assert_true(c->qemu.seccompsandbox);
    assert_string_equal(c->qemu.virtio_fs_daemon, "");
    assert_string_equal(c->qemu.virtio_fs_cache, "auto");
    assert_false(c->qemu.enable_debug || c->runtime.enable_debug);
    assert_int_equal(c->agent.dial_timeout, 45);
    assert_string_equal(c->runtime.image_dir, "/var/lib/minka/images");
    assert_int_equal(c->runtime.libexec_dir[0], '/');
    assert_int_equal(c->runtime.id_range_start, 1879048192);
    assert_int_equal(c->runtime.id_range_size, 65536);
}

static void test_apply(void **state) {
    (void)state;
    _cleanup_config_ struct config *c = NULL;
    struct err err = {0};
    static const char text[] =
        "[hypervisor]\nqemu.path='/q'\n"
        "qemu.machine_type = \"q35\"\nqemu.accel=\"tcg\"\nqemu.default_vcpus=0x2\n"
        "qemu.default_memory = 2_048\nqemu.seccompsandbox = false\nqemu.virtio_fs_cache='never'\n"
        "qemu.kernel='/k'\nqemu.initrd='/i'\n"
        "[agent]\ndial_timeout=3600\n[runtime]\nid_range_start=4294901759\n";
    assert_int_equal(config_default(&c, &err), 0);
    if (config_apply(c, text, strlen(text), "f", &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(c->qemu.path, "/q");
    assert_int_equal(c->qemu.machine_type, CONFIG_MACHINE_Q35);
    assert_int_equal(c->qemu.accel, CONFIG_ACCEL_TCG);
    assert_int_equal(c->qemu.default_vcpus, 2);
    assert_int_equal(c->qemu.default_memory, 2048);
    assert_false(c->qemu.seccompsandbox);
    assert_string_equal(c->qemu.virtio_fs_cache, "never");
    assert_int_equal(c->agent.dial_timeout, 3600);
    assert_true(c->runtime.id_range_start == 4294901759);
    assert_string_equal(c->runtime.image_dir, "/var/lib/minka/images"); /* untouched */
}

static void test_apply_refuses(void **state) {
    (void)state;
    static const struct {
        const char *text, *sentence;
    } bad[] = {
        {"x=1", "f:1: \"x\" stands before the first section, such as [runtime]"},
        {"[hypervisor.clh]", "f:1: unknown section [hypervisor.clh]"},
        {"[hyper]", "f:1: unknown section [hyper]"},
        {"[runtime]\nx = 1", "f:2: unknown key \"x\" in [runtime]"},
        {"[runtime.x]", "f:1: unknown section [runtime.x]"},
        {"[hypervisor.qemu]\n\nPath = \"/x\"", "f:3: unknown key \"Path\" in [hypervisor.qemu]"},
        {"[hypervisor.qemu]\npath = 1", "f:2: path in [hypervisor.qemu] must be text in quotes"},
        {"[hypervisor.qemu]\npath = [\"/x\"]", "f:2: path in [hypervisor.qemu] must be text in quotes"},
        {"[hypervisor.qemu]\npath = \"\"", "f:2: path in [hypervisor.qemu] must be an absolute path"},
        {"[hypervisor.qemu]\npath = \"qemu\"", "f:2: path in [hypervisor.qemu] must be an absolute path"},
        {"[hypervisor.qemu]\nkernel = \"k\"", "f:2: kernel in [hypervisor.qemu] must be an absolute path"},
        {"[hypervisor.qemu]\nmachine_type = \"pc\"",
         "f:2: machine_type in [hypervisor.qemu] must be \"microvm\" or \"q35\""},
        {"[hypervisor.qemu]\naccel = \"KVM\"", "f:2: accel in [hypervisor.qemu] must be \"auto\", \"kvm\" or \"tcg\""},
        {"[hypervisor.qemu]\nvirtio_fs_cache = \"x\"",
         "f:2: virtio_fs_cache in [hypervisor.qemu] must be \"auto\", \"always\", \"metadata\", \"never\" or \"none\""},
        {"[hypervisor.qemu]\ndefault_vcpus = 0",
         "f:2: default_vcpus in [hypervisor.qemu] must be a whole number from 1 to 255"},
        {"[hypervisor.qemu]\ndefault_vcpus = -1",
         "f:2: default_vcpus in [hypervisor.qemu] must be a whole number from 1 to 255"},
        {"[hypervisor.qemu]\ndefault_vcpus = 1.0",
         "f:2: default_vcpus in [hypervisor.qemu] must be a whole number from 1 to 255"},
        {"[hypervisor.qemu]\ndefault_vcpus = \"1\"",
         "f:2: default_vcpus in [hypervisor.qemu] must be a whole number from 1 to 255, without quotes"},
        {"[hypervisor.qemu]\ndefault_memory = 16777217",
         "f:2: default_memory in [hypervisor.qemu] must be a whole number from 64 to 16777216"},
        {"[hypervisor.qemu]\nseccompsandbox = \"on,obsolete=deny\"",
         "f:2: seccompsandbox in [hypervisor.qemu] must be true or false, without quotes"},
        {"[hypervisor.qemu]\nseccompsandbox = 1",
         "f:2: seccompsandbox in [hypervisor.qemu] must be true or false, without quotes"},
        {"[hypervisor.qemu]\nkernel = \"/k\"",
         "f: kernel and initrd in [hypervisor.qemu] must be given together, or neither"},
        {"[hypervisor.qemu]\ndefault_vcpus = 4\ndefault_maxvcpus = 2",
         "f: default_maxvcpus in [hypervisor.qemu] is less than default_vcpus"},
        {"[runtime]\nid_range_start = 4294901760",
         "f: id_range_start and id_range_size in [runtime] go beyond the last id, 4294967294"},
        {"[runtime]\nid_range_start = 0",
         "f:2: id_range_start in [runtime] must be a whole number from 1 to 4294967294"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_config_ struct config *c = NULL;
        struct err err = {0};
        assert_int_equal(config_default(&c, &err), 0);
        if (config_apply(c, bad[i].text, strlen(bad[i].text), "f", &err) >= 0)
            fail_msg("accepted: %s", bad[i].text);
        assert_string_equal(err.text, bad[i].sentence);
    }
}

/* ---- what is written can be read back ---- */

static char *written(int (*write)(FILE *)) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_int_equal(write(out), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

static char *written_config(const struct config *c) {
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_int_equal(config_write(c, out), 0);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* With the # before its keys taken away, the sample is the default configuration. */
static void test_sample(void **state) {
    (void)state;
    struct err err = {0};
    _cleanup_free_ char *sample = written(config_write_sample);
    _cleanup_config_ struct config *plain = NULL, *changed = NULL;
    assert_int_equal(config_default(&plain, &err), 0);
    assert_int_equal(config_apply(plain, sample, strlen(sample), "sample", &err), 0);
    for (char *line = strstr(sample, "\n#"); line; line = strstr(line + 1, "\n#"))
        if (line[2] != ' ')
            line[1] = ' ';
    assert_int_equal(config_default(&changed, &err), 0);
    if (config_apply(changed, sample, strlen(sample), "sample", &err) != 0)
        fail_msg("%s", err.text);
    _cleanup_free_ char *a = written_config(plain), *b = written_config(changed);
    assert_string_equal(a, b);
    assert_non_null(strstr(sample, "\n default_memory = 1024\n"));
}

static void test_write(void **state) {
    (void)state;
    struct err err = {0};
    static const char text[] =
        "[hypervisor.qemu]\nkernel_params = \"a=\\\"b c\\\" \\\\ \\t\xc3\xa4\"\naccel = \"kvm\"\n"
        "[runtime]\nenable_debug = true\n";
    _cleanup_config_ struct config *a = NULL, *b = NULL;
    assert_int_equal(config_default(&a, &err), 0);
    assert_int_equal(config_default(&b, &err), 0);
    assert_int_equal(config_apply(a, text, strlen(text), "f", &err), 0);
    _cleanup_free_ char *first = written_config(a);
    if (config_apply(b, first, strlen(first), "f", &err) != 0)
        fail_msg("%s", err.text);
    _cleanup_free_ char *second = written_config(b);
    assert_string_equal(first, second);
    assert_string_equal(b->qemu.kernel_params, "a=\"b c\" \\ \t\xc3\xa4");
    assert_true(b->runtime.enable_debug);
    _cleanup_free_ char *scdoc = written(config_write_scdoc);
    assert_non_null(strstr(scdoc, "## [hypervisor.qemu]\n\n*path* = \"/usr/bin/qemu-system-x86\\_64\"\n\t"
                                  "The QEMU "));
}

/* ---- files ---- */

static void put(int dir, const char *name, const char *text) {
    _cleanup_close_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static void test_load(void **state) {
    (void)state;
    char home[] = "/tmp/minka-config-test-XXXXXX";
    assert_non_null(mkdtemp(home));
    _cleanup_close_ int dir = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct err err = {0};
    struct config *c = NULL;
    _cleanup_free_ char *file = text_format("%s/minka/configuration.toml", home);

    /* a path must exist */
    assert_int_equal(config_load(file, NULL, &c, &err), -ENOENT);
    assert_non_null(strstr(err.text, "configuration.toml does not exist"));
    assert_null(strcasestr(err.text, "no such file or directory"));
    assert_null(c);

    /* a drop-in directory alone, then the file and drop-ins on top in byte order */
    assert_int_equal(mkdir_parents(dir, "minka/configuration.toml.d", 0700), 0);
    put(dir, "minka/configuration.toml.d/20.toml", "[agent]\ndial_timeout = 20\n");
    assert_int_equal(config_load(NULL, home, &c, &err), 0);
    assert_int_equal(c->agent.dial_timeout, 20);
    c = config_free(c);
    put(dir, "minka/configuration.toml", "[agent]\ndial_timeout = 5\n[hypervisor.qemu]\ndefault_vcpus = 3\n");
    put(dir, "minka/configuration.toml.d/100.toml", "[agent]\ndial_timeout = 100\n");
    put(dir, "minka/configuration.toml.d/.hidden.toml", "nonsense");
    put(dir, "minka/configuration.toml.d/note.txt", "nonsense");
    if (config_load(NULL, home, &c, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(c->agent.dial_timeout, 20); /* "100.toml" < "20.toml" */
    assert_int_equal(c->qemu.default_vcpus, 3);
    c = config_free(c);
    assert_int_equal(config_load(file, NULL, &c, &err), 0);
    assert_int_equal(c->agent.dial_timeout, 20);
    c = config_free(c);

    /* a mistake in a drop-in names it */
    put(dir, "minka/configuration.toml.d/30.toml", "[agent]\n\ntypo = 1\n");
    assert_int_equal(config_load(NULL, home, &c, &err), -EINVAL);
    assert_non_null(strstr(err.text, "30.toml:3: unknown key \"typo\" in [agent]"));

    /* what is no file is no configuration */
    assert_int_equal(config_load(home, NULL, &c, &err), -EINVAL);
    assert_non_null(strstr(err.text, "is not a regular file"));

    static const char *const names[] = {"20.toml", "30.toml", "100.toml", ".hidden.toml", "note.txt"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        _cleanup_free_ char *name = text_format("minka/configuration.toml.d/%s", names[i]);
        assert_int_equal(unlinkat(dir, name, 0), 0);
    }
    assert_int_equal(unlinkat(dir, "minka/configuration.toml.d", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(dir, "minka/configuration.toml", 0), 0);
    assert_int_equal(unlinkat(dir, "minka", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(home), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_toml_accepts), cmocka_unit_test(test_toml_refuses),  cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_apply),        cmocka_unit_test(test_apply_refuses), cmocka_unit_test(test_sample),
        cmocka_unit_test(test_write),        cmocka_unit_test(test_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
