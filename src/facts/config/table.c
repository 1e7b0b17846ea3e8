/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of configuration.toml. Everything that knows them - reader, sample, man page, `minka env` - asks here. */
#include "facts/config/table.h"

#include "minka-build.h"
#include "shared/base/cleanup.h"

static const char *const machine_words[] = {[CONFIG_MACHINE_MICROVM] = "microvm", [CONFIG_MACHINE_Q35] = "q35", NULL};
static const char *const accel_words[] = {
    [CONFIG_ACCEL_AUTO] = "auto", [CONFIG_ACCEL_KVM] = "kvm", [CONFIG_ACCEL_TCG] = "tcg", NULL};
static const char *const cache_words[] = {"auto", "always", "metadata", "never", "none", NULL};

#define QEMU(member)    "hypervisor.qemu", #member, .offset = offsetof(struct config, qemu.member)
#define AGENT(member)   "agent", #member, .offset = offsetof(struct config, agent.member)
#define RUNTIME(member) "runtime", #member, .offset = offsetof(struct config, runtime.member)
#define RANGE(from, to) .min = (from), .max = (to)

const struct config_key config_keys[] = {
    {QEMU(path), .type = CONFIG_PATH, .default_value = "\"/usr/bin/qemu-system-x86_64\"", .doc = "The QEMU binary."},
    {QEMU(machine_type), .type = CONFIG_WORD, .words = machine_words, .default_value = "\"microvm\"",
     .doc = "The machine that QEMU is told to be. \"microvm\" has the fewest devices and starts fastest; \"q35\" has "
            "PCI Express."},
    {QEMU(accel), .type = CONFIG_WORD, .words = accel_words, .default_value = "\"auto\"",
     .doc = "\"kvm\" uses the processor's virtualization and fails where there is none. \"tcg\" emulates the "
            "processor, which works everywhere and is slow. \"auto\" takes KVM where it really runs a guest, and TCG "
            "elsewhere."},
    {QEMU(kernel), .type = CONFIG_OPTIONAL_PATH, .default_value = "\"\"",
     .doc = "The guest's kernel, an uncompressed vmlinux or a bzImage. Empty: that of the newest image built by "
            "`minka image build`. Must be given together with initrd."},
    {QEMU(initrd), .type = CONFIG_OPTIONAL_PATH, .default_value = "\"\"",
     .doc = "The guest's initial RAM disk, with minka's agent as /init. Empty: that of the newest image."},
    {QEMU(kernel_params), .type = CONFIG_TEXT, .default_value = "\"\"",
     .doc = "Parameters to append to the guest kernel's command line."},
    {QEMU(firmware), .type = CONFIG_OPTIONAL_PATH, .default_value = "\"\"",
     .doc = "The firmware file. Empty: the one that belongs to the machine type, found beside QEMU."},
    {QEMU(default_vcpus), .type = CONFIG_U32, RANGE(1, 255), .default_value = "1",
     .doc = "Virtual processors of a sandbox whose container has no CPU limit."},
    {QEMU(default_maxvcpus), .type = CONFIG_U32, RANGE(0, 255), .default_value = "0",
     .doc = "The most virtual processors that a container's CPU limit can ask for. 0: as many as the host has."},
    {QEMU(default_memory), .type = CONFIG_U64, RANGE(64, 16 << 20), .default_value = "1024",
     .doc = "Memory, in MiB, of a sandbox whose container has no memory limit."},
    {QEMU(seccompsandbox), .type = CONFIG_BOOL, .default_value = "true",
     .doc = "Let QEMU set up its own system call filter."},
    {QEMU(virtio_fs_daemon), .type = CONFIG_OPTIONAL_PATH, .default_value = "\"\"",
     .doc = "The virtiofsd binary that serves the container's files. Empty: found in the places where distributions "
            "install it."},
    {QEMU(virtio_fs_cache), .type = CONFIG_WORD_TEXT, .words = cache_words, .default_value = "\"auto\"",
     .doc = "How long the guest may keep what it knows of files. \"never\" (or \"none\") sees every change made on the "
            "host at once, \"always\" is fastest and sees none, \"auto\" looks again after a second, \"metadata\" "
            "keeps names and attributes but no content."},
    {QEMU(enable_debug), .type = CONFIG_BOOL, .default_value = "false",
     .doc = "Let the guest's kernel write all its messages to its console. What it says is kept in monitor.log in the "
            "container's directory, when enable_debug of [runtime] or --debug is there too."},
    {AGENT(dial_timeout), .type = CONFIG_U32, RANGE(1, 3600), .default_value = "45",
     .doc = "Seconds within which the guest must have answered."},
    {RUNTIME(image_dir), .type = CONFIG_PATH, .default_value = "\"" MINKA_IMAGE_DIR "\"",
     .doc = "Where `minka image build` keeps guest images."},
    {RUNTIME(libexec_dir), .type = CONFIG_PATH, .default_value = "\"" MINKA_LIBEXEC_DIR "\"",
     .doc = "Where minka-monitor, minka-standin, minka-agent and minka-image are."},
    {RUNTIME(id_range_start), .type = CONFIG_U32, RANGE(1, UINT32_MAX - 1), .default_value = "1879048192",
     .doc =
         "The first of the user and group ids from which each process of a sandbox gets one of its own. Nothing else "
         "may use this range: no account, no /etc/subuid."},
    {RUNTIME(id_range_size), .type = CONFIG_U32, RANGE(4, UINT32_MAX - 1), .default_value = "65536",
     .doc = "How many ids the range has. A sandbox uses four."},
    {RUNTIME(enable_debug), .type = CONFIG_BOOL, .default_value = "false",
     .doc = "Log what every step does, as --debug."},
};
const size_t n_config_keys = ARRAY_SIZE(config_keys);
