/* SPDX-License-Identifier: Apache-2.0 */
/* The command lines of the hypervisor, one argument per line. */
#include "facts/vmm/vmm.h"
#include "golden.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <string.h>

static const struct vmm_config base = {
    .machine = VMM_MICROVM,
    .accel = VMM_TCG,
    .path = "/usr/bin/qemu-system-x86_64",
    .firmware = "/usr/share/qemu/qboot.rom",
    .kernel = "/image/vmlinux",
    .initrd = "/image/initrd",
    .kernel_params = "",
    .vcpus = 1,
    .memory_mib = 512,
    .tsc_khz = 2600000,
    .sandbox = true,
    .features = {.version_major = 7, .version_minor = 2},
    .fds = {.control = 3, .console = 4, .agent = 5, .share = 6, .kvm = -1},
};

static void add_disks(struct vmm_config *config) {
    config->disks[0] = (struct vmm_disk){.fd = 7, .readonly = true, .serial = "rootfs"};
    config->disks[1] = (struct vmm_disk){.fd = 8, .serial = "data-1"};
    config->n_disks = 2;
}

static void microvm_tcg(struct vmm_config *config) {
    (void)config;
}

static void microvm_tcg_bare(struct vmm_config *config) {
    config->fds.console = config->fds.share = -1;
    config->sandbox = false;
    config->tsc_khz = 0;
}

static void microvm_tcg_debug(struct vmm_config *config) {
    config->debug = true;
    config->kernel_params = "systemd.show_status=1 init.debug";
}

static void microvm_tcg_disks(struct vmm_config *config) {
    add_disks(config);
    config->fds.share = -1;
}

static void microvm_kvm(struct vmm_config *config) {
    config->accel = VMM_KVM;
    config->vcpus = 4;
    config->memory_mib = 4096;
}

static void microvm_kvm_by_fd(struct vmm_config *config) {
    microvm_kvm(config);
    config->features = (struct vmm_features){.version_major = 10, .kvm_by_fd = true};
    config->fds.kvm = 9;
}

static void q35_tcg(struct vmm_config *config) {
    config->machine = VMM_Q35;
    config->firmware = "/usr/share/seabios/bios-256k.bin";
    add_disks(config);
}

static void q35_kvm(struct vmm_config *config) {
    q35_tcg(config);
    microvm_kvm_by_fd(config);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*change)(struct vmm_config *config);
    } cases[] = {
        {"microvm-tcg", microvm_tcg},
        {"microvm-tcg-bare", microvm_tcg_bare},
        {"microvm-tcg-debug", microvm_tcg_debug},
        {"microvm-tcg-disks", microvm_tcg_disks},
        {"microvm-kvm", microvm_kvm},
        {"microvm-kvm-by-fd", microvm_kvm_by_fd},
        {"q35-tcg-disks", q35_tcg},
        {"q35-kvm-disks", q35_kvm},
    };
    struct golden golden;
    char **rest;
    golden_start(&golden, argc, argv, &rest);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct vmm_config config = base;
        _cleanup_strv_ char **line = NULL;
        _cleanup_buf_ struct buf text = {0};
        _cleanup_free_ char *name = text_format("%s.args", cases[i].name);
        struct err err = {0};
        cases[i].change(&config);
        if (qemu_command_line(&config, &line, &err) < 0) {
            fprintf(stderr, "%s: %s\n", cases[i].name, err.text);
            return 2;
        }
        for (char **argument = line; *argument; argument++) /* an option and its value on one line */
            (void)buf_append_format(&text, "%s%s", argument == line ? "" : **argument == '-' ? "\n" : " ", *argument);
        (void)buf_append(&text, "\n", 1);
        golden_check(&golden, name, &text);
    }
    return golden_finish(&golden);
}
