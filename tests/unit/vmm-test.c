/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, refusals and the kernel command line; whole command lines are golden files (tests/golden/vmm). */
#include "facts/vmm/vmm.h"
#include "shared/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct vmm_size_request request(void) {
    return (struct vmm_size_request){.default_vcpus = 1, .max_vcpus = 8, .default_memory_mib = 512, .accel = VMM_TCG};
}

static struct vmm_size size(const struct vmm_size_request *wanted) {
    struct vmm_size result = {0};
    struct err err = {0};
    if (vmm_size(wanted, &result, &err) < 0)
        fail_msg("%s", err.text);
    return result;
}

/*
 * MiB that Debian 12's cloud kernel keeps for itself, and that are in use when the agent is idle, measured with a VM of
 * so many MiB: what is left must hold the container's limit.
 */
static const struct {
    uint64_t limit_mib, reserved, in_use;
} measured[] = {{128, 38, 42},  {256, 40, 44},   {512, 45, 48},  {1024, 54, 52},
                {2048, 72, 54}, {4096, 113, 58}, {8192, 178, 60}};

static void test_a_limit_fits(void **state) {
    (void)state;
    struct vmm_size_request wanted = request();
    wanted.has_memory_limit = true;
    for (size_t i = 0; i < ARRAY_SIZE(measured); i++) {
        wanted.memory_limit = measured[i].limit_mib << 20;
        struct vmm_size got = size(&wanted);
        assert_true(got.memory_mib - measured[i].reserved - measured[i].in_use >= measured[i].limit_mib);
        /* and not a gigabyte more than was asked for */
        assert_true(got.memory_mib <= measured[i].limit_mib * 5 / 4 + 80);
    }
}

static void test_memory(void **state) {
    (void)state;
    struct vmm_size_request wanted = request();
    assert_int_equal(size(&wanted).memory_mib, 512); /* no limit: the default is the VM */
    wanted.default_memory_mib = 10;
    assert_int_equal(size(&wanted).memory_mib, 128);
    wanted.has_memory_limit = true;
    wanted.memory_limit = 4 << 20;
    assert_int_equal(size(&wanted).memory_mib, 128); /* less does not boot */
    wanted.memory_limit = (256 << 20) + 1;
    struct vmm_size a_byte_more = size(&wanted);
    wanted.memory_limit = 256 << 20;
    assert_int_equal(a_byte_more.memory_mib, size(&wanted).memory_mib + 1);
    wanted.memory_limit = 0x7ffffffffffff000; /* cgroup v1's "no limit" */
    assert_int_equal(size(&wanted).memory_mib, 128);
    wanted.memory_limit = UINT64_C(1) << 41;
    struct vmm_size got;
    struct err err = {0};
    assert_int_equal(vmm_size(&wanted, &got, &err), -ERANGE);
}

static void test_vcpus(void **state) {
    (void)state;
    struct vmm_size_request wanted = request();
    assert_int_equal(size(&wanted).vcpus, 1);
    wanted.cpu_quota = 150000, wanted.cpu_period = 100000;
    assert_int_equal(size(&wanted).vcpus, 2); /* one and a half */
    wanted.cpu_period = 0;
    assert_int_equal(size(&wanted).vcpus, 2);
    wanted.cpuset_count = 1;
    assert_int_equal(size(&wanted).vcpus, 1);
    wanted.cpu_quota = 0, wanted.cpuset_count = 3;
    assert_int_equal(size(&wanted).vcpus, 3);
    wanted.cpu_quota = -1;
    assert_int_equal(size(&wanted).vcpus, 3);
    wanted.cpuset_count = 64;
    assert_int_equal(size(&wanted).vcpus, 8);
    wanted = request();
    wanted.cpu_quota = INT64_MAX, wanted.cpu_period = 1, wanted.max_vcpus = 0;
    assert_int_equal(size(&wanted).vcpus, 288);
    wanted.default_vcpus = 0, wanted.cpu_quota = 0;
    assert_int_equal(size(&wanted).vcpus, 1);
}

static void test_host_overhead(void **state) {
    (void)state;
    struct vmm_size_request wanted = request();
    uint64_t tcg = size(&wanted).host_overhead_mib;
    wanted.accel = VMM_KVM;
    assert_true(size(&wanted).host_overhead_mib < tcg);
    /* QEMU under TCG, 128 MiB guest: 126 MiB beside the guest's memory, and 128 MiB that translated code may take */
    assert_true(tcg >= 126 + 128);
}

static struct vmm_config config(void) {
    return (struct vmm_config){
        .machine = VMM_MICROVM,
        .accel = VMM_TCG,
        .path = "/qemu",
        .firmware = "/bios",
        .kernel = "/vmlinux",
        .initrd = "/initrd",
        .kernel_params = "",
        .vcpus = 1,
        .memory_mib = 256,
        .fds = {.control = 10, .console = -1, .agent = 11, .share = -1, .kvm = -1},
    };
}

static void refused(const struct vmm_config *wrong, const char *word) {
    _cleanup_strv_ char **line = NULL;
    struct err err = {0};
    assert_true(qemu_command_line(wrong, &line, &err) < 0);
    assert_null(line);
    if (!strstr(err.text, word))
        fail_msg("'%s' does not speak of %s", err.text, word);
}

static void test_refusals(void **state) {
    (void)state;
    struct vmm_config c = config();
    c.memory_mib = 127, refused(&c, "127");
    c = config(), c.vcpus = 0, refused(&c, "not 0");
    c = config(), c.vcpus = 289, refused(&c, "289");
    c = config(), c.kernel = "vmlinux", refused(&c, "kernel");
    c = config(), c.firmware = NULL, refused(&c, "firmware");
    c = config(), c.fds.control = -1, refused(&c, "control socket");
    c = config(), c.fds.agent = 2, refused(&c, "agent");
    c = config(), c.kernel_params = "quiet\nevil", refused(&c, "position 6");
    c = config(), c.accel = VMM_KVM, c.fds.kvm = 12, c.features.version_major = 7, refused(&c, "QEMU 7.");
    c = config(), c.n_disks = 1, c.disks[0] = (struct vmm_disk){.fd = 12, .serial = "a,readonly=off"};
    refused(&c, "a,readonly=off");
    c.disks[0].serial = "123456789012345678901", refused(&c, "123456789012345678901");
    c.disks[0].serial = "", refused(&c, "serial");
    c.disks[0].serial = "good", c.disks[0].fd = -1, refused(&c, "disk");
    c.n_disks = VMM_DISKS_MAX + 1, refused(&c, "disks");
    static char longest[3000];
    memset(longest, 'x', sizeof longest - 1);
    c = config(), c.kernel_params = longest, refused(&c, "kernel_params");
}

static void test_kernel_command_line(void **state) {
    (void)state;
    struct vmm_config c = config();
    struct err err = {0};
    _cleanup_free_ char *line = NULL;
    c.kernel_params = "panic=5";
    c.tsc_khz = 2600000;
    assert_int_equal(vmm_kernel_command_line(&c, &line, &err), 0);
    assert_non_null(strstr(line, "tsc_early_khz=2600000 tsc=reliable"));
    assert_non_null(strstr(line, "minka.modules=mmio,console panic=5"));
    assert_null(strstr(line, "console=ttyS0")); /* none was given */
    assert_null(strstr(line, "virtiofs"));
    /* the user's words win by being the last */
    assert_string_equal(line + strlen(line) - strlen("panic=5"), "panic=5");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_limit_fits), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_vcpus),        cmocka_unit_test(test_host_overhead),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_kernel_command_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
