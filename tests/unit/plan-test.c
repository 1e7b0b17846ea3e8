/* SPDX-License-Identifier: Apache-2.0 */
/* From config.json to what the guest shall do, one feature at a time; whole configurations are in tests/golden/plan. */
#include "facts/plan/plan.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A configuration with these members put into it: of the top, of linux, and of process. */
struct input {
    const char *top, *linux_part, *process, *namespaces, *mounts;
    struct plan_host host;
};

static const char all_namespaces[] =
    "{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"}";

static char *json_of(const struct input *in) {
    return text_format(
        "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"process\":{\"args\":[\"/x\"],"
        "\"cwd\":\"/\",\"user\":{\"uid\":0,\"gid\":0}%s%s},\"mounts\":[%s],\"linux\":{\"namespaces\":[%s]"
        "%s%s}%s%s}",
        in->process ? "," : "", in->process ? in->process : "", in->mounts ? in->mounts : "",
        in->namespaces ? in->namespaces : all_namespaces, in->linux_part ? "," : "",
        in->linux_part ? in->linux_part : "", in->top ? "," : "", in->top ? in->top : "");
}

struct output {
    struct buf text;
    struct err err;
    int result;
};

static void output_done(struct output *out) {
    buf_done(&out->text);
}
#define _cleanup_output_ _cleanup_(output_done)

static void compile(const struct input *in, struct output *out) {
    _cleanup_free_ char *json = json_of(in);
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    _cleanup_buf_ struct buf packed = {0};
    struct plan_host host = in->host;
    struct plan_host_mount *mounts = NULL;
    *out = (struct output){0};
    if (oci_spec_parse(json, strlen(json), &spec, &out->err) < 0)
        fail_msg("%s\n%s", out->err.text, json);
    out->result = plan_host_mounts(spec, "/b", &mounts, &out->err);
    if (out->result < 0)
        return;
    for (size_t i = 0; i < spec->n_mounts; i++)
        if (mounts[i].source)
            (void)buf_append_format(&out->text, "share %zu %s%s%s\n", i, mounts[i].source,
                                    mounts[i].readonly ? " ro" : "", mounts[i].recursive ? " recursive" : "");
    host.container_id = "c", host.bundle = "/b", host.mounts = mounts;
    out->result = plan_container(spec, &host, &packed, &out->err);
    plan_host_mounts_free(mounts, spec->n_mounts);
    if (out->result >= 0)
        assert_int_equal(plan_print("container", &packed, &out->text, &out->err), 0);
}

static void has_line(struct output *out, const char *line) {
    _cleanup_free_ char *whole = text_format("\n%s\n", line);
    _cleanup_free_ char *text = text_format("\n%s", buf_string(&out->text));
    if (!strstr(text, whole))
        fail_msg("no line '%s' in:\n%s%s", line, text, out->err.text);
}

static void has_not(struct output *out, const char *words) {
    if (strstr(buf_string(&out->text), words))
        fail_msg("'%s' is in:\n%s", words, buf_string(&out->text));
}

static void compiles(const struct input *in, const char *line) {
    _cleanup_output_ struct output out;
    compile(in, &out);
    if (out.result < 0)
        fail_msg("%s", out.err.text);
    has_line(&out, line);
}

static void refuses(const struct input *in, const char *words) {
    _cleanup_output_ struct output out;
    compile(in, &out);
    assert_true(out.result < 0);
    if (!strstr(out.err.text, words))
        fail_msg("'%s' does not speak of '%s'", out.err.text, words);
    /* the engines would take these for errors of the container's command */
    assert_null(strstr(out.err.text, "o such file or directory"));
    assert_null(strstr(out.err.text, "ermission denied"));
}

static void mount_gives(const char *type, const char *source, const char *destination, const char *options,
                        const char *line) {
    _cleanup_free_ char *mount =
        text_format("{\"type\":\"%s\",\"source\":\"%s\",\"destination\":\"%s\",\"options\":[%s]}", type, source,
                    destination, options);
    compiles(&(struct input){.mounts = mount}, line);
}

static void mount_refused(const char *type, const char *source, const char *options, const char *words) {
    _cleanup_free_ char *mount = text_format(
        "{\"type\":\"%s\",\"source\":\"%s\",\"destination\":\"/m\",\"options\":[%s]}", type, source, options);
    refuses(&(struct input){.mounts = mount}, words);
}

static void test_option_words(void **state) {
    (void)state;
    mount_gives("tmpfs", "tmpfs", "/t", "\"nosuid\",\"suid\",\"ro\",\"rw\",\"noatime\",\"mode=1777\",\"size=1m\"",
                "mount: /t type tmpfs from tmpfs flags noatime data mode=1777,size=1m");
    mount_gives("tmpfs", "", "/t", "\"defaults\",\"tmpcopyup\",\"lazytime\",\"nosymfollow\",\"strictatime\"",
                "mount: /t type tmpfs from tmpfs flags strictatime,lazytime,nosymfollow copy-up");
    mount_gives("bind", "/d", "/m", "\"rbind\",\"ro\",\"private\",\"rshared\",\"Z\"",
                "mount: /m from /run/minka/share/c/0 flags rbind,ro rshared");
    mount_gives("bind", "/d", "/m", "\"rro\",\"rnosuid\",\"rsuid\"",
                "mount: /m from /run/minka/share/c/0 flags bind recursively set 0x1 clear 0x2");
    mount_gives("bind", "/d", "/m", "\"rnoatime\"",
                "mount: /m from /run/minka/share/c/0 flags bind recursively set 0x10 clear 0x70");
    mount_gives("bind", "/d", "/m", "\"rnoatime\",\"rrelatime\"",
                "mount: /m from /run/minka/share/c/0 flags bind recursively set 0x0 clear 0x70");
    mount_gives("bind", "/d", "/m", "\"rro\",\"rrw\"",
                "mount: /m from /run/minka/share/c/0 flags bind recursively set 0x0 clear 0x1");
    mount_refused("bind", "/d", "\"idmap\"", "idmap");
    mount_refused("bind", "/d", "\"ridmap\"", "linux.uidMappings");
}

static void test_types(void **state) {
    (void)state;
    mount_gives("cgroup", "cgroup", "/sys/fs/cgroup", "\"memory\",\"nosuid\"",
                "mount: /sys/fs/cgroup type cgroup2 from cgroup flags ro,nosuid");
    mount_gives("cgroup2", "cgroup2", "/sys/fs/cgroup", "\"rw\"", "mount: /sys/fs/cgroup type cgroup2 from cgroup");
    mount_gives("cgroup", "cgroup", "/sys/fs/cgroup", "\"rw\",\"ro\"",
                "mount: /sys/fs/cgroup type cgroup2 from cgroup flags ro");
    mount_gives("devpts", "devpts", "/dev/pts", "\"newinstance\",\"gid=5\"",
                "mount: /dev/pts type devpts from devpts data newinstance,gid=5");
    mount_refused("ext4", "/dev/sdb1", "", "ext4");
    mount_refused("overlay", "overlay", "\"lowerdir=/a\"", "overlay");
    mount_refused("", "x", "", "neither a type");
}

static void test_sources(void **state) {
    (void)state;
    mount_gives("bind", "vol//./data/", "/m", "\"bind\",\"ro\"", "share 0 /b/vol/data ro");
    mount_gives("bind", "/d", "/m", "\"rbind\",\"rro\"", "share 0 /d ro recursive");
    mount_gives("none", "/sys", "/sys", "\"rbind\",\"ro\"", "mount: /sys type sysfs from sysfs flags ro");
    mount_gives("bind", "/sys", "/host/sys", "\"rbind\",\"ro\"", "mount: /host/sys from /sys flags rbind,ro");
    mount_gives("bind", "/proc", "/proc", "\"rbind\"", "mount: /proc type proc from proc");
    mount_gives("bind", "/sys/fs/cgroup", "/sys/fs/cgroup", "\"bind\"",
                "mount: /sys/fs/cgroup type cgroup2 from cgroup2");
    mount_gives("bind", "/dev", "/dev", "\"rbind\"", "mount: /dev from /dev flags rbind");
    mount_gives("bind", "/dev/fuse", "/dev/fuse", "\"bind\",\"nosuid\"",
                "device: /dev/fuse c 10:229, mode 0666, owner 0:0");
    mount_gives("bind", "/dev/fuse", "/dev/fuse", "\"bind\"", "modules: fuse");
    mount_gives("bind", "/dev/null", "/etc/secret", "\"bind\"", "mount: /etc/secret from /dev/null (file) flags bind");
    mount_gives("bind", "/x/shm", "/dev/shm", "\"bind\",\"nosuid\"",
                "mount: /dev/shm type tmpfs from shm flags nosuid data mode=1777,size=67108864");
    mount_gives("bind", "/dev/shm", "/dev/shm/", "\"bind\"",
                "mount: /dev/shm/ type tmpfs from shm data mode=1777,size=67108864");
    mount_gives("bind", "/srv/fast", "/dev/shm", "\"bind\"", "mount: /dev/shm from /run/minka/share/c/0 flags bind");
    mount_gives("bind", "/developer", "/m", "\"bind\"", "share 0 /developer");
    /* where ".." leads to only the host can say: never taken for the guest's own */
    mount_gives("bind", "/dev/../etc", "/m", "\"bind\"", "share 0 /dev/../etc");
    mount_refused("bind", "/dev/sda", "\"bind\"", "/dev/sda");
    mount_refused("bind", "/dev/./log", "\"bind\"", "/dev/log");
}

static void test_bound_dev_is_left_alone(void **state) {
    (void)state;
    _cleanup_output_ struct output out;
    compile(
        &(struct input){.mounts =
                            "{\"type\":\"bind\",\"source\":\"/dev\",\"destination\":\"/dev\",\"options\":[\"rbind\"]}"},
        &out);
    assert_int_equal(out.result, 0);
    has_not(&out, "device: ");
    has_not(&out, "link: ");
}

static void test_namespaces(void **state) {
    (void)state;
    compiles(&(struct input){0},
             "namespaces: mount new, pid new, ipc new, uts new, network new, cgroup new, user none");
    compiles(&(struct input){.namespaces = "{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/run/netns/x\"}"},
             "namespaces: mount new, pid new, ipc none, uts none, network new, cgroup new, user none");
    refuses(&(struct input){.namespaces = "{\"type\":\"pid\"}"}, "--network none");
    refuses(&(struct input){.namespaces = "{\"type\":\"network\"}"}, "--pid host");
    const char *pod = "{\"type\":\"pid\"},{\"type\":\"network\",\"path\":\"/p\"},{\"type\":\"ipc\",\"path\":\"/p\"},"
                      "{\"type\":\"uts\",\"path\":\"/p\"}";
    refuses(&(struct input){.namespaces = pod}, "ipc namespace /p");
    compiles(
        &(struct input){.namespaces = pod, .host.joins_sandbox = true},
        "namespaces: mount new, pid new, ipc of the sandbox, uts of the sandbox, network of the sandbox, cgroup new, "
        "user none");
    const char *user = "{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":\"user\"}";
    refuses(&(struct input){.namespaces = user}, "uidMappings");
    compiles(&(struct input){.namespaces = user,
                             .linux_part = "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":9}],"
                                           "\"gidMappings\":[{\"containerID\":0,\"hostID\":7,\"size\":1}]"},
             "uid map: container 0 = 1000, 9 of them");
}

static void test_devices(void **state) {
    (void)state;
    compiles(&(struct input){0}, "device: /dev/urandom c 1:9, mode 0666, owner 0:0");
    compiles(&(struct input){0}, "link: /dev/ptmx -> pts/ptmx");
    compiles(&(struct input){.linux_part =
                                 "\"devices\":[{\"path\":\"/dev/my/tun\",\"type\":\"c\",\"major\":10,\"minor\":200,"
                                 "\"fileMode\":384,\"uid\":5,\"gid\":6}]"},
             "device: /dev/my/tun c 10:200, mode 0600, owner 5:6");
    compiles(&(struct input){.linux_part =
                                 "\"devices\":[{\"path\":\"/dev/null\",\"type\":\"c\",\"major\":1,\"minor\":3,"
                                 "\"fileMode\":420}]"},
             "device: /dev/null c 1:3, mode 0644, owner 0:0");
    compiles(&(struct input){.linux_part = "\"devices\":[{\"path\":\"/pipe\",\"type\":\"p\"}]"},
             "device: /pipe p 0:0, mode 0666, owner 0:0");
    refuses(&(struct input){.linux_part =
                                "\"devices\":[{\"path\":\"/dev/snd/seq\",\"type\":\"c\",\"major\":116,\"minor\":1}]"},
            "/dev/snd/seq (c 116:1)");
    refuses(
        &(struct input){.linux_part = "\"devices\":[{\"path\":\"/dev/sda\",\"type\":\"b\",\"major\":8,\"minor\":0}]"},
        "--image");
}

static void test_privileged_flood(void **state) {
    (void)state;
    _cleanup_output_ struct output out;
    compile(
        &(struct input){
            .mounts = "{\"type\":\"bind\",\"source\":\"/dev/sdb\",\"destination\":\"/dev/sdb\",\"options\":[\"bind\"]}",
            .linux_part = "\"devices\":[{\"path\":\"/dev/sda\",\"type\":\"b\",\"major\":8,\"minor\":0},"
                          "{\"path\":\"/dev/tty1\",\"type\":\"c\",\"major\":4,\"minor\":1},"
                          "{\"path\":\"/dev/ptmx\",\"type\":\"c\",\"major\":5,\"minor\":2},"
                          "{\"path\":\"/dev/fuse\",\"type\":\"c\",\"major\":10,\"minor\":229}],"
                          "\"resources\":{\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]}"},
        &out);
    assert_int_equal(out.result, 3);
    has_line(&out, "device: /dev/fuse c 10:229, mode 0666, owner 0:0");
    has_line(&out, "link: /dev/ptmx -> pts/ptmx");
    has_not(&out, "sda");
    has_not(&out, "sdb");
}

static void resources_give(const char *resources, const char *line) {
    _cleanup_free_ char *part = text_format("\"resources\":{%s}", resources);
    compiles(&(struct input){.linux_part = part}, line);
}

static void test_resources(void **state) {
    (void)state;
    resources_give("\"memory\":{\"limit\":1048576}", "cgroup: memory.max = 1048576");
    resources_give("\"memory\":{\"limit\":-1}", "cgroup: memory.swap.max = max");
    resources_give("\"memory\":{\"limit\":100,\"swap\":300}", "cgroup: memory.swap.max = 200");
    resources_give("\"memory\":{\"limit\":100,\"swap\":-1}", "cgroup: memory.swap.max = max");
    resources_give("\"memory\":{\"reservation\":4096}", "cgroup: memory.low = 4096");
    resources_give("\"cpu\":{\"shares\":1024}", "cgroup: cpu.weight = 39");
    resources_give("\"cpu\":{\"shares\":2}", "cgroup: cpu.weight = 1");
    resources_give("\"cpu\":{\"shares\":1}", "cgroup: cpu.weight = 1");
    resources_give("\"cpu\":{\"shares\":999999}", "cgroup: cpu.weight = 10000");
    resources_give("\"cpu\":{\"quota\":50000}", "cgroup: cpu.max = 50000 100000");
    resources_give("\"cpu\":{\"quota\":-1,\"period\":5000}", "cgroup: cpu.max = max 5000");
    resources_give("\"cpu\":{\"burst\":10}", "cgroup: cpu.max.burst = 10");
    resources_give("\"cpu\":{\"idle\":1}", "cgroup: cpu.idle = 1");
    resources_give("\"pids\":{\"limit\":20}", "cgroup: pids.max = 20");
    resources_give("\"pids\":{\"limit\":-1}", "cgroup: pids.max = max");
    resources_give("\"blockIO\":{\"weight\":1000}", "cgroup: io.weight = 10000 (where there is one)");
    resources_give("\"blockIO\":{\"weight\":10}", "cgroup: io.weight = 1 (where there is one)");
    resources_give("\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}]",
                   "cgroup: hugetlb.2MB.max = 4194304 (where there is one)");
    resources_give("\"unified\":{\"memory.high\":\"77\"}", "cgroup: memory.high = 77");
    refuses(&(struct input){.linux_part = "\"resources\":{\"memory\":{\"swap\":300}}"}, "none for memory");
    refuses(&(struct input){.linux_part = "\"resources\":{\"memory\":{\"limit\":300,\"swap\":200}}"}, "together");
    refuses(&(struct input){.linux_part = "\"resources\":{\"memory\":{\"disableOOMKiller\":true}}"}, "OOM killer");
    /* the host's CPUs are not the guest's */
    _cleanup_output_ struct output out;
    compile(&(struct input){.linux_part =
                                "\"resources\":{\"cpu\":{\"cpus\":\"4-5\",\"mems\":\"1\",\"shares\":4096,\"idle\":1}}"},
            &out);
    assert_int_equal(out.result, 0);
    has_not(&out, "cpuset");
    has_not(&out, "cpu.weight"); /* an idle group has none */
}

static void test_sysctls(void **state) {
    (void)state;
    compiles(&(struct input){.linux_part = "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}"},
             "sysctl: net/ipv4/ip_forward = 1");
    compiles(&(struct input){.linux_part = "\"sysctl\":{\"net/ipv4/conf/eth0.1/forwarding\":\"1\"}"},
             "sysctl: net/ipv4/conf/eth0.1/forwarding = 1");
    compiles(&(struct input){.linux_part = "\"sysctl\":{\"net.ipv4.conf.eth0/1.forwarding\":\"1\"}"},
             "sysctl: net/ipv4/conf/eth0.1/forwarding = 1");
    compiles(&(struct input){.linux_part = "\"sysctl\":{\"kernel.shmmax\":\"9\"}"}, "sysctl: kernel/shmmax = 9");
    refuses(&(struct input){.linux_part = "\"sysctl\":{\"vm.swappiness\":\"9\"}"}, "vm.swappiness");
    refuses(&(struct input){.linux_part = "\"sysctl\":{\"kernel.hostname\":\"9\"}"}, "hostname");
    refuses(&(struct input){.linux_part = "\"sysctl\":{\"net/../kernel/core_pattern\":\"|x\"}"}, "core_pattern");
    refuses(&(struct input){.linux_part = "\"sysctl\":{\"net/\":\"1\"}"}, "net/");
}

static void test_root(void **state) {
    (void)state;
    compiles(&(struct input){.linux_part = "\"rootfsPropagation\":\"rslave\""},
             "root: /run/minka/share/c/rootfs, rslave");
    compiles(&(struct input){.host = {.disk_serial = "rootfs", .disk_type = "erofs"}},
             "root: disk rootfs, erofs, opened read-only, writable layer in memory");
    compiles(&(struct input){.host = {.disk_serial = "rootfs", .disk_type = "erofs"}}, "modules: overlay");
    refuses(&(struct input){.host = {.disk_serial = "rootfs", .disk_type = "ntfs"}}, "ntfs");
    assert_null(plan_disk_modules("ntfs"));
    assert_string_equal(plan_disk_modules("squashfs")[1], "squashfs");
}

static void test_process(void **state) {
    (void)state;
    compiles(&(struct input){.process = "\"noNewPrivileges\":true"}, "no new privileges");
    compiles(&(struct input){0}, "capabilities: none");
    compiles(&(struct input){.process = "\"capabilities\":{\"bounding\":[\"CAP_KILL\"],\"ambient\":[\"CAP_CHOWN\"]}"},
             "capabilities: bounding 20, effective 0, inheritable 0, permitted 0, ambient 1");
    compiles(
        &(struct input){.process = "\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":18446744073709551615}]"},
        "rlimit: 4 soft 0 hard 18446744073709551615");
    compiles(&(struct input){.process = "\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":7}"},
             "io priority: 0x4007");
    compiles(&(struct input){.process = "\"oomScoreAdj\":-7"}, "oom score: -7");
    compiles(&(struct input){.process = "\"env\":[\"A=b\\nc\"]"}, "environment: A=b\\x0ac");
}

static void test_hooks(void **state) {
    (void)state;
    _cleanup_output_ struct output out;
    compile(&(struct input){.top =
                                "\"hooks\":{\"prestart\":[{\"path\":\"/host\"}],\"startContainer\":[{\"path\":\"/h\","
                                "\"args\":[\"h\",\"x\"],\"timeout\":3}]}"},
            &out);
    has_line(&out, "hook: /h, timeout 3 s");
    has_line(&out, "hook argument: x");
    has_not(&out, "/host");
    has_not(&out, "\"pid\"");
    assert_non_null(strstr(buf_string(&out.text), "\"created\""));
}

static void test_exec(void **state) {
    (void)state;
    static const char spec_json[] = "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"linux\":{\"seccomp\":{"
                                    "\"defaultAction\":\"SCMP_ACT_ALLOW\","
                                    "\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\"}]}}}";
    static const char process_json[] = "{\"args\":[\"ls\"],\"cwd\":\"/tmp\",\"user\":{\"uid\":1,\"gid\":2}}";
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    _cleanup_oci_process_ struct oci_process *process = NULL;
    _cleanup_buf_ struct buf packed = {0};
    _cleanup_output_ struct output out = {0};
    assert_int_equal(oci_spec_parse(spec_json, strlen(spec_json), &spec, &out.err), 0);
    assert_int_equal(oci_process_parse(process_json, strlen(process_json), &process, &out.err), 0);
    const uint8_t kinds[] = {STREAM_INPUT, STREAM_OUTPUT, STREAM_OUTPUT, STREAM_SOCKET, STREAM_INPUT};
    const struct plan_streams streams = {kinds, sizeof kinds};
    assert_int_equal(plan_exec(spec, process, &streams, "c", "e1", &packed, &out.err), 0);
    assert_int_equal(plan_print("exec", &packed, &out.text, &out.err), 0);
    has_line(&out, "process: e1");
    has_line(&out, "user: 1:2");
    has_line(&out, "descriptor 3: socket");
    has_line(&out, "descriptor 4: input");
    has_line(&out, "seccomp: x86-64 83-83 errno 1"); /* the container's filter holds for it too */
}

static void test_update(void **state) {
    (void)state;
    static const char json[] = "{\"pids\":{\"limit\":5},\"cpu\":{\"quota\":1000,\"period\":2000}}";
    _cleanup_oci_resources_ struct oci_resources *resources = NULL;
    _cleanup_buf_ struct buf packed = {0};
    _cleanup_output_ struct output out = {0};
    assert_int_equal(oci_resources_parse(json, strlen(json), &resources, &out.err), 0);
    assert_int_equal(plan_update(resources, "c", &packed, &out.err), 0);
    assert_int_equal(plan_print("update", &packed, &out.text, &out.err), 0);
    has_line(&out, "cgroup: pids.max = 5");
    has_line(&out, "cgroup: cpu.max = 1000 2000");
    has_not(&out, "device program"); /* no rules: they stay as they are */
    assert_int_equal(plan_print("something", &packed, &out.text, &out.err), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_option_words),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_bound_dev_is_left_alone),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_privileged_flood),
        cmocka_unit_test(test_resources),
        cmocka_unit_test(test_sysctls),
        cmocka_unit_test(test_root),
        cmocka_unit_test(test_process),
        cmocka_unit_test(test_hooks),
        cmocka_unit_test(test_exec),
        cmocka_unit_test(test_update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
