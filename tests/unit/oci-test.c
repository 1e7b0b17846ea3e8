/* SPDX-License-Identifier: Apache-2.0 */
#include "facts/json/json.h"
#include "facts/oci/oci.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cmocka.h>

/* A whole configuration around the members under test. */
#define TOP(members)       "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"}," members "}"
#define PROCESS(members)   TOP("\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\"," members "}")
#define LINUX(members)     TOP("\"linux\":{" members "}")
#define RESOURCES(members) LINUX("\"resources\":{" members "}")

static struct oci_spec *parse_good(const char *text) {
    struct oci_spec *spec = NULL;
    struct err err = {0};
    if (oci_spec_parse(text, strlen(text), &spec, &err) != 0)
        fail_msg("%s\n%s", text, err.text);
    return spec;
}

static void test_refuses(void **state) {
    (void)state;
    static const struct {
        const char *text, *sentence; /* the sentence after "config.json: " */
    } bad[] = {
        {"", "line 1, column 1: the document ends too early"},
        {"{\"ociVersion\":", "line 1, column 15: the document ends too early"},
        {"[]", "must be a JSON object"},
        {"{}", "ociVersion is missing"},
        {"{\"ociVersion\":1}", "ociVersion must be a string, not a number"},
        {"{\"ociVersion\":\"2.0.0\"}", "ociVersion is \"2.0.0\"; minka reads version 1 of the specification"},
        {"{\"ociVersion\":\"1.\"}", "ociVersion is \"1.\"; minka reads version 1 of the specification"},
        {"{\"ociVersion\":\"10.0\"}", "ociVersion is \"10.0\"; minka reads version 1 of the specification"},
        {"{\"ociVersion\":\"1.0.2\"}", "root is missing"},
        {"{\"ociVersion\":\"1.0.2\",\"root\":null}", "root is missing"},
        {"{\"ociVersion\":\"1.0.2\",\"root\":{}}", "root.path is missing"},
        {"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"\"}}", "root.path must not be empty"},
        {"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"a\\u0000b\"}}", "root.path must not contain NUL"},
        {"{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"\xff\"}}", "line 1, column 39: this is no valid UTF-8"},
        {TOP("\"process\":[]"), "process must be an object, not an array"},
        {TOP("\"process\":{\"cwd\":\"/\"}"), "process.args is missing"},
        {TOP("\"process\":{\"cwd\":\"/\",\"args\":[]}"), "process.args must name a command"},
        {TOP("\"process\":{\"cwd\":\"/\",\"args\":\"sh\"}"), "process.args must be an array, not a string"},
        {TOP("\"process\":{\"cwd\":\"/\",\"args\":[\"sh\",null]}"), "process.args[1] must be a string, not null"},
        {TOP("\"process\":{\"args\":[\"sh\"]}"), "process.cwd is missing"},
        {TOP("\"process\":{\"args\":[\"sh\"],\"cwd\":\"\"}"), "process.cwd must not be empty"},
        {TOP("\"process\":{\"args\":[\"sh\"],\"cwd\":\"tmp\"}"), "process.cwd must be an absolute path, not \"tmp\""},
        {PROCESS("\"user\":{\"uid\":\"0\"}"),
         "process.user.uid must be a whole number from 0 to 4294967294, not a string"},
        {PROCESS("\"user\":{\"uid\":-1}"), "process.user.uid must be a whole number from 0 to 4294967294"},
        {PROCESS("\"user\":{\"gid\":4294967295}"), "process.user.gid must be a whole number from 0 to 4294967294"},
        {PROCESS("\"user\":{\"uid\":1.0}"),
         "process.user.uid must be a whole number from 0 to 4294967294, not a number with a fraction or an exponent"},
        {PROCESS("\"user\":{\"additionalGids\":[0,4294967295]}"),
         "process.user.additionalGids[1] must be a whole number from 0 to 4294967294"},
        {PROCESS("\"terminal\":1"), "process.terminal must be true or false, not a number"},
        {PROCESS("\"consoleSize\":{\"height\":65536}"),
         "process.consoleSize.height must be a whole number from 0 to 65535"},
        {PROCESS("\"capabilities\":[]"), "process.capabilities must be an object, not an array"},
        {PROCESS("\"capabilities\":{\"bounding\":[1]}"),
         "process.capabilities.bounding[0] must be a string, not a number"},
        {PROCESS("\"rlimits\":[{\"type\":\"NOFILE\",\"soft\":1,\"hard\":1}]"),
         "process.rlimits[0].type is \"NOFILE\", which is none of the words that the specification knows"},
        {PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":1}]"),
         "process.rlimits[0] has a soft limit above the hard one"},
        {PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"hard\":1}]"), "process.rlimits[0].soft is missing"},
        {PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":18446744073709551616}]"),
         "line 1, column 131: this number does not fit in 64 bits"},
        {PROCESS("\"rlimits\":[{\"type\":\"RLIMIT_CPU\",\"soft\":1,\"hard\":1},{\"type\":\"RLIMIT_AS\",\"soft\":1,"
                 "\"hard\":1},"
                 "{\"type\":\"RLIMIT_CPU\",\"soft\":2,\"hard\":2}]"),
         "process.rlimits[2].type stands for a limit that an earlier element sets"},
        {PROCESS("\"oomScoreAdj\":1001"), "process.oomScoreAdj must be a whole number from -1000 to 1000"},
        {PROCESS("\"scheduler\":{}"), "process.scheduler.policy is missing"},
        {PROCESS("\"scheduler\":{\"policy\":\"SCHED_FIFO\"}"),
         "process.scheduler needs a priority from 1 to 99 with SCHED_FIFO and SCHED_RR"},
        {PROCESS("\"scheduler\":{\"policy\":\"SCHED_OTHER\",\"priority\":1}"),
         "process.scheduler has a priority, which only SCHED_FIFO and SCHED_RR use"},
        {PROCESS("\"scheduler\":{\"policy\":\"SCHED_BATCH\",\"runtime\":1}"),
         "process.scheduler has a runtime, deadline or period, which only SCHED_DEADLINE uses"},
        {PROCESS("\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}"),
         "process.ioPriority.priority must be a whole number from 0 to 7"},
        {TOP("\"mounts\":{}"), "mounts must be an array, not an object"},
        {TOP("\"mounts\":[{}]"), "mounts[0].destination is missing"},
        {TOP("\"mounts\":[{\"destination\":\"/a\"},{\"destination\":\"/b\",\"options\":[\"ro\",1]}]"),
         "mounts[1].options[1] must be a string, not a number"},
        {TOP("\"mounts\":[{\"destination\":\"/a\",\"type\":\"bind\"}]"), "mounts[0] is a bind mount without a source"},
        {TOP("\"hooks\":{\"prestart\":[{\"path\":\"a\"}]}"),
         "hooks.prestart[0].path must be an absolute path, not \"a\""},
        {TOP("\"hooks\":{\"poststop\":[{\"path\":\"/a\",\"timeout\":0}]}"),
         "hooks.poststop[0].timeout must be a whole number from 1 to 4294967295"},
        {TOP("\"annotations\":{\"a.b\":1}"), "annotations[\"a.b\"] must be a string, not a number"},
        {TOP("\"hostname\":\"0123456789012345678901234567890123456789012345678901234567890123x\""),
         "hostname must not be longer than 64 bytes"},
        {TOP("\"linux\":[]"), "linux must be an object, not an array"},
        {LINUX("\"namespaces\":[{\"type\":\"net\"}]"),
         "linux.namespaces[0].type is \"net\", which is none of the words that the specification knows"},
        {LINUX("\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\",\"path\":\"/x\"}]"),
         "linux.namespaces[1] names the pid namespace a second time"},
        {LINUX("\"namespaces\":[{\"type\":\"pid\",\"path\":\"x\"}]"),
         "linux.namespaces[0].path must be an absolute path, not \"x\""},
        {LINUX("\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":1}]"),
         "linux.namespaces must have the type \"user\", since there are id mappings"},
        {LINUX("\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":0}]"),
         "linux.gidMappings[0].size must be at least 1"},
        {LINUX("\"gidMappings\":[{\"containerID\":0,\"hostID\":4294967295,\"size\":1}]"),
         "linux.gidMappings[0] goes beyond the last id, 4294967294"},
        {LINUX("\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":10},{\"containerID\":9,\"hostID\":100,"
               "\"size\":1}]"),
         "linux.gidMappings[1] overlaps element 0"},
        {LINUX("\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":10},{\"containerID\":10,\"hostID\":9,"
               "\"size\":1}]"),
         "linux.gidMappings[1] overlaps element 0"},
        {LINUX("\"devices\":[{\"path\":\"/dev/x\",\"type\":\"x\"}]"),
         "linux.devices[0].type is \"x\", which is none of the words that the specification knows"},
        {LINUX("\"devices\":[{\"path\":\"dev/x\",\"type\":\"c\"}]"),
         "linux.devices[0].path must be an absolute path, not \"dev/x\""},
        {LINUX("\"devices\":[{\"path\":\"/dev/x\",\"type\":\"b\",\"major\":8}]"), "linux.devices[0].minor is missing"},
        {LINUX("\"devices\":[{\"path\":\"/dev/x\",\"type\":\"b\",\"major\":-8,\"minor\":0}]"),
         "linux.devices[0].major must be a whole number from 0 to 4095"},
        {LINUX("\"sysctl\":{\"net.ipv4.ip_forward\":1}"),
         "linux.sysctl[\"net.ipv4.ip_forward\"] must be a string, not a number"},
        {LINUX("\"rootfsPropagation\":\"rshard\""),
         "linux.rootfsPropagation is \"rshard\", which is none of the words that the specification knows"},
        {LINUX("\"personality\":{\"domain\":\"linux\"}"),
         "linux.personality.domain is \"linux\", which is none of the words that the specification knows"},
        {LINUX("\"timeOffsets\":{\"boottime\":{\"secs\":1}}"),
         "linux.timeOffsets is not supported: the guest's clocks are set by minka"},
        {RESOURCES("\"devices\":[{\"type\":\"c\"}]"), "linux.resources.devices[0].allow is missing"},
        {RESOURCES("\"devices\":[{\"allow\":true,\"access\":\"rwx\"}]"),
         "linux.resources.devices[0].access must be made of the letters r, w and m, not \"rwx\""},
        {RESOURCES("\"memory\":{\"limit\":-2}"),
         "linux.resources.memory.limit must be a whole number from -1 to 9223372036854775807"},
        {RESOURCES("\"cpu\":{\"realtimeRuntime\":950000}"),
         "linux.resources.cpu.realtimeRuntime is not supported: the guest's kernel has no real-time groups"},
        {RESOURCES("\"blockIO\":{\"weight\":65536}"),
         "linux.resources.blockIO.weight must be a whole number from 0 to 65535"},
        {RESOURCES("\"unified\":{\"../x\":\"1\"}"),
         "linux.resources.unified[\"../x\"] must be named after a file of the "
         "cgroup, such as \"memory.high\""},
        {RESOURCES("\"unified\":{\"a/b\":\"1\"}"),
         "linux.resources.unified[\"a/b\"] must be named after a file of the cgroup, such as \"memory.high\""},
        {RESOURCES("\"hugepageLimits\":[{\"pageSize\":\"../2MB\",\"limit\":1}]"),
         "linux.resources.hugepageLimits[0].pageSize must be a number followed by KB, MB or GB, not \"../2MB\""},
        {LINUX("\"seccomp\":{}"), "linux.seccomp.defaultAction is missing"},
        {LINUX("\"seccomp\":{\"defaultAction\":\"ALLOW\"}"),
         "linux.seccomp.defaultAction is \"ALLOW\", which is none of the words that the specification knows"},
        {LINUX("\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"x86\"]}"),
         "linux.seccomp.architectures[0] is \"x86\", which is none of the words that the specification knows"},
        {LINUX("\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[],\"action\":"
               "\"SCMP_ACT_KILL\"}]}"),
         "linux.seccomp.syscalls[0].names must name a system call"},
        {LINUX("\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":"
               "\"SCMP_ACT_KILL\",\"args\":[{\"index\":6,\"op\":\"SCMP_CMP_EQ\"}]}]}"),
         "linux.seccomp.syscalls[0].args[0].index must be a whole number from 0 to 5"},
        {LINUX("\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"a\"],\"action\":"
               "\"SCMP_ACT_KILL\",\"args\":[{\"index\":0,\"op\":\"EQ\"}]}]}"),
         "linux.seccomp.syscalls[0].args[0].op is \"EQ\", which is none of the words that the specification knows"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct oci_spec *spec = NULL;
        struct err err = {0};
        if (oci_spec_parse(bad[i].text, strlen(bad[i].text), &spec, &err) >= 0)
            fail_msg("accepted: %s", bad[i].text);
        _cleanup_free_ char *sentence = text_format("config.json: %s", bad[i].sentence);
        assert_string_equal(err.text, sentence);
        assert_null(spec);
    }
}

static void test_process(void **state) {
    (void)state;
    _cleanup_oci_spec_ struct oci_spec *spec = parse_good(PROCESS(
        "\"user\":{\"uid\":1000,\"gid\":4294967294,\"umask\":18,\"additionalGids\":[5,6]},\"env\":[\"A=b\",\"odd\"],"
        "\"terminal\":true,\"consoleSize\":{\"height\":24,\"width\":80},\"noNewPrivileges\":true,\"oomScoreAdj\":-1000,"
        "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"soft\":0,\"hard\":18446744073709551615}],"
        "\"capabilities\":{\"bounding\":[\"CAP_CHOWN\",\"CAP_FROM_THE_FUTURE\",\"CAP_CHECKPOINT_RESTORE\"],"
        "\"ambient\":[\"cap_kill\"]},"
        "\"scheduler\":{\"policy\":\"SCHED_DEADLINE\",\"runtime\":1,\"deadline\":2,\"period\":3,\"nice\":0,"
        "\"flags\":[\"SCHED_FLAG_RECLAIM\",\"SCHED_FLAG_RESET_ON_FORK\"]},"
        "\"ioPriority\":{\"class\":\"IOPRIO_CLASS_IDLE\",\"priority\":7},\"apparmorProfile\":\"\",\"selinuxLabel\":"
        "\"l\""));
    const struct oci_process *p = &spec->process;
    assert_true(spec->has_process && p->terminal && p->no_new_privileges);
    assert_int_equal(p->n_args, 1);
    assert_null(p->args[1]);
    assert_int_equal(p->n_env, 2);
    assert_string_equal(p->env[1], "odd");
    assert_int_equal(p->uid, 1000);
    assert_true(p->gid == UINT32_MAX - 1);
    assert_true(p->has_umask && p->umask == 022);
    assert_int_equal(p->n_additional_gids, 2);
    assert_int_equal(p->additional_gids[1], 6);
    assert_int_equal(p->console_rows, 24);
    assert_int_equal(p->console_columns, 80);
    assert_true(p->has_oom_score_adj && p->oom_score_adj == -1000);
    assert_int_equal(p->n_rlimits, 1);
    assert_int_equal(p->rlimits[0].resource, RLIMIT_NOFILE);
    assert_true(p->rlimits[0].soft == 0 && p->rlimits[0].hard == RLIM_INFINITY);
    assert_true(p->has_capabilities);
    assert_true(p->capabilities.bounding == (1 | UINT64_C(1) << 40));
    assert_true(p->capabilities.ambient == 1 << 5);
    assert_true(p->has_scheduler && p->scheduler.policy == SCHED_DEADLINE && p->scheduler.period == 3);
    assert_true(p->scheduler.flags == (SCHED_FLAG_RECLAIM | SCHED_FLAG_RESET_ON_FORK));
    assert_true(p->has_io_priority && p->io_class == IOPRIO_CLASS_IDLE && p->io_priority == 7);
    assert_null(p->apparmor_profile);
    assert_string_equal(p->selinux_label, "l");
}

static void test_absent_members(void **state) {
    (void)state;
    _cleanup_oci_spec_ struct oci_spec *spec =
        parse_good(TOP("\"process\":null,\"mounts\":null,\"linux\":{\"resources\":null,\"seccomp\":null,"
                       "\"namespaces\":null},\"hooks\":null,\"windows\":{\"a\":1},\"vm\":[],\"unknown\":1e400"));
    assert_false(spec->has_process || spec->has_seccomp || spec->has_personality);
    assert_string_equal(spec->hostname, "");
    assert_string_equal(spec->domainname, "");
    assert_string_equal(spec->cgroups_path, "");
    assert_null(spec->masked_paths[0]);
    assert_null(spec->mount_label);
    assert_int_equal(spec->n_mounts, 0);
    _cleanup_oci_spec_ struct oci_spec *bare = parse_good(TOP("\"solaris\":{}"));
    assert_string_equal(bare->cgroups_path, "");
    assert_null(bare->readonly_paths[0]);
}

static void test_mounts_hooks_annotations(void **state) {
    (void)state;
    _cleanup_oci_spec_ struct oci_spec *spec = parse_good(TOP(
        "\"hostname\":\"h\",\"mounts\":[{\"destination\":\"data\",\"source\":\"x\",\"options\":[\"rbind\",\"ro\"],"
        "\"uidMappings\":[]},{\"destination\":\"/proc\",\"type\":\"proc\"},{\"destination\":\"/b\",\"type\":\"bind\","
        "\"source\":\"/s\"}],\"annotations\":{\"k\":\"v\",\"k\":\"last\",\"e\":\"\"},"
        "\"hooks\":{\"prestart\":[{\"path\":\"/a\",\"args\":[\"a\",\"b\"],\"env\":[\"X=y\"],\"timeout\":3}],"
        "\"startContainer\":[{\"path\":\"/b\"},{\"path\":\"/c\"}]}"));
    assert_int_equal(spec->n_mounts, 3);
    assert_string_equal(spec->mounts[0].destination, "/data");
    assert_true(spec->mounts[0].is_bind);
    assert_int_equal(spec->mounts[0].n_options, 2);
    assert_null(spec->mounts[0].options[2]);
    assert_false(spec->mounts[1].is_bind);
    assert_string_equal(spec->mounts[1].source, "");
    assert_null(spec->mounts[1].options[0]);
    assert_true(spec->mounts[2].is_bind);
    assert_string_equal(oci_annotation(spec, "k"), "last");
    assert_string_equal(oci_annotation(spec, "e"), "");
    assert_null(oci_annotation(spec, "none"));
    const struct oci_hook *hook = &spec->hooks[OCI_HOOK_PRESTART].hooks[0];
    assert_int_equal(spec->hooks[OCI_HOOK_PRESTART].count, 1);
    assert_true(hook->has_timeout && hook->timeout_sec == 3);
    assert_string_equal(hook->args[1], "b");
    assert_string_equal(hook->env[0], "X=y");
    assert_int_equal(spec->hooks[OCI_HOOK_START_CONTAINER].count, 2);
    assert_false(spec->hooks[OCI_HOOK_START_CONTAINER].hooks[1].has_timeout);
    assert_null(spec->hooks[OCI_HOOK_START_CONTAINER].hooks[1].args[0]);
    assert_int_equal(spec->hooks[OCI_HOOK_POSTSTOP].count, 0);
}

static void test_linux(void **state) {
    (void)state;
    _cleanup_oci_spec_ struct oci_spec *spec = parse_good(LINUX(
        "\"namespaces\":[{\"type\":\"user\"},{\"type\":\"network\",\"path\":\"/run/"
        "n\"},{\"type\":\"time\",\"path\":\"\"}],"
        "\"uidMappings\":[{\"containerID\":0,\"hostID\":1000,\"size\":1},{\"containerID\":1,\"hostID\":100000,\"size\":"
        "65536}],\"gidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":4294967295}],"
        "\"devices\":[{\"path\":\"/dev/null\",\"type\":\"u\",\"major\":1,\"minor\":3,\"fileMode\":8630,\"uid\":0},"
        "{\"path\":\"/dev/p\",\"type\":\"p\"}],\"cgroupsPath\":\"a:b:c\",\"rootfsPropagation\":\"rslave\","
        "\"sysctl\":{\"a.b\":\"1\"},\"maskedPaths\":[\"/proc/kcore\"],\"readonlyPaths\":[],\"mountLabel\":\"\","
        "\"personality\":{\"domain\":\"LINUX32\",\"flags\":[]},\"timeOffsets\":{},\"intelRdt\":{\"closID\":\"x\"}"));
    assert_true(spec->namespaces[OCI_NS_USER].present);
    assert_null(spec->namespaces[OCI_NS_USER].path);
    assert_string_equal(spec->namespaces[OCI_NS_NETWORK].path, "/run/n");
    assert_true(spec->namespaces[OCI_NS_TIME].present && !spec->namespaces[OCI_NS_TIME].path);
    assert_false(spec->namespaces[OCI_NS_PID].present);
    assert_int_equal(spec->n_uid_mappings, 2);
    assert_int_equal(spec->uid_mappings[1].host_id, 100000);
    assert_true(spec->gid_mappings[0].size == UINT32_MAX);
    assert_int_equal(spec->n_devices, 2);
    assert_int_equal(spec->devices[0].type, 'c');
    assert_int_equal(spec->devices[0].minor, 3);
    assert_int_equal(spec->devices[0].file_mode, 0666);
    assert_true(spec->devices[0].has_file_mode && spec->devices[0].has_uid && !spec->devices[0].has_gid);
    assert_int_equal(spec->devices[1].type, 'p');
    assert_string_equal(spec->cgroups_path, "a:b:c");
    assert_true(spec->rootfs_propagation == (MS_SLAVE | MS_REC));
    assert_string_equal(spec->sysctls[0].value, "1");
    assert_string_equal(spec->masked_paths[0], "/proc/kcore");
    assert_null(spec->mount_label);
    assert_true(spec->has_personality && spec->personality == 8);
}

static void test_resources(void **state) {
    (void)state;
    static const char text[] =
        "{\"devices\":[{\"allow\":false},{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":-1,\"access\":\"rm\"}],"
        "\"memory\":{\"limit\":536870912,\"swap\":-1,\"reservation\":0,\"swappiness\":60,\"disableOOMKiller\":true,"
        "\"kernel\":1,\"useHierarchy\":true},"
        "\"cpu\":{\"shares\":0,\"quota\":-1,\"period\":100000,\"burst\":0,\"idle\":1,\"cpus\":\"0-3\",\"mems\":\"\","
        "\"realtimeRuntime\":0},\"pids\":{\"limit\":0},\"blockIO\":{\"weight\":500,\"weightDevice\":[]},"
        "\"network\":{\"classID\":0,\"priorities\":[]},\"rdma\":{},"
        "\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":18446744073709551615}],"
        "\"unified\":{\"memory.high\":\"max\"}}";
    _cleanup_oci_resources_ struct oci_resources *r = NULL;
    struct err err = {0};
    if (oci_resources_parse(text, strlen(text), &r, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(r->n_device_rules, 2);
    const struct oci_device_rule *rule = r->device_rules;
    assert_true(!rule[0].allow && rule[0].type == 'a' && rule[0].read && rule[0].write && rule[0].mknod);
    assert_true(!rule[0].has_major && !rule[0].has_minor);
    assert_true(rule[1].allow && rule[1].has_major && rule[1].major == 10 && !rule[1].has_minor);
    assert_true(rule[1].read && !rule[1].write && rule[1].mknod);
    assert_true(r->has_memory_limit && r->memory_limit == 536870912);
    assert_true(r->has_memory_swap && r->memory_swap == -1 && !r->has_memory_reservation);
    assert_true(r->has_memory_swappiness && r->memory_swappiness == 60 && r->disable_oom_killer);
    assert_true(!r->has_cpu_shares && r->has_cpu_quota && r->cpu_quota == -1 && r->cpu_period == 100000);
    assert_true(r->has_cpu_burst && r->has_cpu_idle && r->cpu_idle == 1);
    assert_string_equal(r->cpuset_cpus, "0-3");
    assert_null(r->cpuset_mems);
    assert_true(r->has_pids_limit && r->pids_limit == 0);
    assert_true(r->has_blkio_weight && r->blkio_weight == 500);
    assert_string_equal(r->hugepage_limits[0].page_size, "2MB");
    assert_true(r->hugepage_limits[0].limit == UINT64_MAX);
    assert_string_equal(r->unified[0].file, "memory.high");
    struct oci_resources *none = NULL;
    assert_int_equal(oci_resources_parse("{\"pids\":{\"limit\":\"1\"}}", 22, &none, &err), -EINVAL);
    assert_non_null(strstr(err.text, "resources: pids.limit must be a whole number"));
}

static void test_process_document(void **state) {
    (void)state;
    static const char text[] = "{\"args\":[\"ls\"],\"cwd\":\"/tmp\",\"user\":{\"uid\":5}}";
    _cleanup_oci_process_ struct oci_process *process = NULL;
    struct err err = {0};
    assert_int_equal(oci_process_parse(text, strlen(text), &process, &err), 0);
    assert_int_equal(process->uid, 5);
    struct oci_process *none = NULL;
    assert_int_equal(oci_process_parse("{}", 2, &none, &err), -EINVAL);
    assert_string_equal(err.text, "process.json: args is missing");
}

static void test_seccomp(void **state) {
    (void)state;
    _cleanup_oci_spec_ struct oci_spec *spec = parse_good(LINUX(
        "\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"architectures\":"
        "[\"SCMP_ARCH_X86_64\"],\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\"],\"listenerPath\":\"/l\",\"syscalls\":[{"
        "\"names\":[\"clone\",\"no_such_call\"],\"action\":\"SCMP_ACT_ALLOW\",\"errnoRet\":1,\"args\":[{\"index\":"
        "5,\"value\":18446744073709551615,\"valueTwo\":2,\"op\":\"SCMP_CMP_MASKED_EQ\"}]}]}"));
    const struct oci_seccomp *s = &spec->seccomp;
    assert_true(spec->has_seccomp && s->has_default_errno && s->default_errno == 38);
    assert_string_equal(s->default_action, "SCMP_ACT_ERRNO");
    assert_string_equal(s->architectures[0], "SCMP_ARCH_X86_64");
    assert_string_equal(s->flags[0], "SECCOMP_FILTER_FLAG_LOG");
    assert_string_equal(s->listener_path, "/l");
    assert_int_equal(s->n_rules, 1);
    assert_int_equal(s->rules[0].n_names, 2);
    assert_true(s->rules[0].has_errno && s->rules[0].errno_value == 1);
    const struct oci_seccomp_arg *arg = s->rules[0].args;
    assert_true(arg->index == 5 && arg->value == UINT64_MAX && arg->value_two == 2 && arg->op == OCI_CMP_MASKED_EQ);
}

/* Far more than any engine writes must not hurt; more than the limit is refused. */
static void test_large(void **state) {
    (void)state;
    _cleanup_buf_ struct buf text = {0};
    assert_int_equal(buf_append_string(&text, "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"annotations\":{"),
                     0);
    for (unsigned i = 0; text.length < 10 << 20; i++)
        assert_int_equal(buf_append_format(&text, "%s\"key%u\":\"%064u\"", i ? "," : "", i, i), 0);
    assert_int_equal(buf_append_string(&text, "}}"), 0);
    _cleanup_oci_spec_ struct oci_spec *spec = parse_good(buf_string(&text));
    assert_true(spec->n_annotations > 100000);

    size_t length = OCI_CONFIG_MAX + 1;
    _cleanup_free_ char *huge = malloc(length);
    memset(huge, ' ', length);
    struct oci_spec *none = NULL;
    struct err err = {0};
    assert_int_equal(oci_spec_parse(huge, length, &none, &err), -EFBIG);

    text.length = 0;
    assert_int_equal(buf_append_string(&text, "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"r\"},\"mounts\":[{}"), 0);
    for (unsigned i = 0; i < OCI_MOUNTS_MAX; i++)
        assert_int_equal(buf_append_string(&text, ",{}"), 0);
    assert_int_equal(buf_append_string(&text, "]}"), 0);
    assert_int_equal(oci_spec_parse(buf_string(&text), text.length, &none, &err), -EINVAL);
    assert_string_equal(err.text, "config.json: mounts has 4097 elements; at most 4096 are possible");
}

static int parse_golden(const char *name, struct oci_spec **ret) {
    _cleanup_free_ char *path = text_format("%s/%s", GOLDEN_SPEC_DIR, name), *text = NULL;
    size_t length;
    struct err err = {0};
    if (read_file(AT_FDCWD, path, OCI_CONFIG_MAX, &text, &length, &err) < 0 ||
        oci_spec_parse(text, length, ret, &err) < 0) {
        print_error("%s: %s\n", name, err.text);
        return -1;
    }
    return 0;
}

/* What podman, docker, ctr and the CRI plugin really wrote. */
static void test_engines(void **state) {
    (void)state;
    _cleanup_closedir_ DIR *dir = opendir(GOLDEN_SPEC_DIR);
    assert_non_null(dir);
    int count = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!strstr(e->d_name, ".json"))
            continue;
        _cleanup_oci_spec_ struct oci_spec *spec = NULL;
        assert_int_equal(parse_golden(e->d_name, &spec), 0);
        assert_true(spec->has_process && spec->n_mounts > 0 && spec->process.n_args > 0);
        count++;
    }
    assert_true(count >= 20);
    _cleanup_oci_spec_ struct oci_spec *spec = NULL;
    assert_int_equal(parse_golden("podman-root-run.json", &spec), 0);
    assert_true(spec->has_seccomp && spec->seccomp.n_rules == 22);
    assert_int_equal(spec->seccomp.default_errno, 38);
    assert_int_equal(spec->n_masked_paths, 11);
    assert_int_equal(spec->resources.pids_limit, 2048);
}

/* The template is, but for the host name and the version, what runc 1.1's `spec` writes. */
static void compare_template(bool rootless, const char *golden) {
    _cleanup_buf_ struct buf out = {0};
    assert_int_equal(oci_spec_template(&out, rootless), 0);
    _cleanup_oci_spec_ struct oci_spec *ours = parse_good(buf_string(&out)), *theirs = NULL;
    assert_int_equal(parse_golden(golden, &theirs), 0);
    assert_string_equal(ours->root_path, theirs->root_path);
    assert_int_equal(ours->root_readonly, theirs->root_readonly);
    assert_memory_equal(&ours->process.capabilities, &theirs->process.capabilities, sizeof(struct oci_capabilities));
    assert_int_equal(ours->process.terminal, theirs->process.terminal);
    assert_int_equal(ours->process.n_env, theirs->process.n_env);
    assert_string_equal(ours->process.env[0], theirs->process.env[0]);
    assert_string_equal(ours->process.args[0], theirs->process.args[0]);
    assert_int_equal(ours->process.n_rlimits, theirs->process.n_rlimits);
    assert_memory_equal(ours->process.rlimits, theirs->process.rlimits, sizeof(struct oci_rlimit));
    assert_int_equal(ours->n_mounts, theirs->n_mounts);
    for (size_t i = 0; i < ours->n_mounts; i++) {
        assert_string_equal(ours->mounts[i].destination, theirs->mounts[i].destination);
        assert_string_equal(ours->mounts[i].type, theirs->mounts[i].type);
        assert_string_equal(ours->mounts[i].source, theirs->mounts[i].source);
        assert_int_equal(ours->mounts[i].n_options, theirs->mounts[i].n_options);
        for (size_t k = 0; k < ours->mounts[i].n_options; k++)
            assert_string_equal(ours->mounts[i].options[k], theirs->mounts[i].options[k]);
    }
    for (size_t i = 0; i < OCI_NS_COUNT; i++)
        assert_int_equal(ours->namespaces[i].present, theirs->namespaces[i].present);
    assert_int_equal(ours->n_masked_paths, theirs->n_masked_paths);
    for (size_t i = 0; i < ours->n_masked_paths; i++)
        assert_string_equal(ours->masked_paths[i], theirs->masked_paths[i]);
    assert_int_equal(ours->n_readonly_paths, theirs->n_readonly_paths);
    for (size_t i = 0; i < ours->n_readonly_paths; i++)
        assert_string_equal(ours->readonly_paths[i], theirs->readonly_paths[i]);
    assert_int_equal(ours->resources.n_device_rules, theirs->resources.n_device_rules);
    assert_int_equal(ours->n_uid_mappings, theirs->n_uid_mappings);
    if (rootless)
        assert_int_equal(ours->uid_mappings[0].host_id, geteuid());
}

static void test_template(void **state) {
    (void)state;
    compare_template(false, "runc-spec.json");
    compare_template(true, "runc-spec-rootless.json");
}

static void test_state(void **state) {
    (void)state;
    _cleanup_buf_ struct buf out = {0};
    char key[] = "k", value[] = "v\"";
    struct oci_pair annotations[] = {{key, value}};
    assert_int_equal(oci_state_json(&out, "1.0.2", "id", "created", 12, "/b", annotations, 1), 0);
    assert_string_equal(buf_string(&out), "{\"ociVersion\":\"1.0.2\",\"id\":\"id\",\"status\":\"created\",\"pid\":12,"
                                          "\"bundle\":\"/b\",\"annotations\":{\"k\":\"v\\\"\"}}");
    out.length = 0;
    assert_int_equal(oci_state_json(&out, "1.0.2", "id", "stopped", 0, "/b", NULL, 0), 0);
    assert_null(strstr(buf_string(&out), "pid"));
    assert_null(strstr(buf_string(&out), "annotations"));
}

static void test_capability_number(void **state) {
    (void)state;
    assert_int_equal(oci_capability_number("CAP_CHOWN"), 0);
    assert_int_equal(oci_capability_number("CAP_SYS_ADMIN"), 21);
    assert_int_equal(oci_capability_number("CAP_CHECKPOINT_RESTORE"), 40);
    assert_int_equal(oci_capability_number("CHOWN"), -EINVAL);
    assert_int_equal(oci_capability_number(""), -EINVAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_process),
        cmocka_unit_test(test_absent_members),
        cmocka_unit_test(test_mounts_hooks_annotations),
        cmocka_unit_test(test_linux),
        cmocka_unit_test(test_resources),
        cmocka_unit_test(test_process_document),
        cmocka_unit_test(test_seccomp),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_engines),
        cmocka_unit_test(test_template),
        cmocka_unit_test(test_state),
        cmocka_unit_test(test_capability_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
