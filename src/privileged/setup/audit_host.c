/* SPDX-License-Identifier: Apache-2.0 */
/* What would confine better on another host. Nothing here makes an audit fail: it is not the sandbox's fault. */
#include "privileged/setup/audit.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

struct lacks {
    struct audit_lack *list;
    size_t count;
};

__attribute__((format(printf, 3, 4))) static void lack(struct lacks *l, const char *remedy, const char *format, ...) {
    if (l->count == AUDIT_LACKS_MAX)
        return;
    struct audit_lack *one = &l->list[l->count++];
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(one->what, sizeof one->what, format, ap);
    va_end(ap);
    (void)snprintf(one->remedy, sizeof one->remedy, "%s", remedy);
    text_make_printable(one->what);
}

static void look_at_machine(const struct setup_context *context, struct lacks *l) {
    _cleanup_setup_machine_ struct setup_machine machine = {0};
    struct setup_machine_problems problems;
    setup_machine_look(context, &machine, &problems);
    if (problems.vmm.code)
        lack(l, "see `minka env`", "no virtual machine can be started: %s", problems.vmm.text);
    else if (!machine.kvm)
        lack(l, "a host whose KVM runs guests (in a virtual machine: nested virtualization)",
             "the guest's instructions are emulated by the VMM itself, for KVM is not used: %s",
             machine.accel_reason[0] ? machine.accel_reason : "configuration.toml asks for accel = \"tcg\"");
    else if (!machine.kvm_by_fd)
        lack(l, "QEMU 9.0 or later, which takes a descriptor",
             "QEMU %u.%u opens /dev/kvm by its path, so that the device is in its jail while it loads",
             machine.version_major, machine.version_minor);
}

static void look_at_cgroups(struct lacks *l) {
    struct statfs fs;
    if (statfs("/sys/fs/cgroup", &fs) == 0 && (unsigned long)fs.f_type == CGROUP2_SUPER_MAGIC)
        return;
    lack(l, "boot with systemd.unified_cgroup_hierarchy=1",
         "the controllers are those of cgroup v1: a sandbox is moved into each of its hierarchies by itself, "
         "instead of being made in its cgroup");
}

static void look_at_landlock(struct lacks *l) {
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 0)
        lack(l, "a kernel with CONFIG_SECURITY_LANDLOCK, and landlock in lsm= on its command line",
             "this kernel has no Landlock to put below the empty root");
}

/* "Vulnerable: No microcode": what one sandbox may learn of another through the CPU. */
static void look_at_cpu(struct lacks *l) {
    static const char directory[] = "/sys/devices/system/cpu/vulnerabilities";
    char names[320] = "";
    _cleanup_closedir_ DIR *entries = opendir(directory);
    for (struct dirent *e; entries && (e = readdir(entries));) {
        _cleanup_free_ char *text = NULL;
        if (e->d_name[0] == '.' || read_file(dirfd(entries), e->d_name, 4096, &text, NULL, NULL) < 0 ||
            !text_has_prefix(text, "Vulnerable"))
            continue;
        size_t length = strlen(names);
        (void)snprintf(names + length, sizeof names - length, "%s%s", length ? ", " : "", e->d_name);
    }
    if (names[0])
        lack(l, "the microcode and the mitigations of the kernel that it names there",
             "the CPU leaks to other sandboxes, by what %s says: %s", directory, names);
}

size_t setup_audit_host(const struct setup_context *context, struct audit_lack ret[AUDIT_LACKS_MAX]) {
    struct lacks l = {.list = ret};
    look_at_machine(context, &l);
    look_at_cgroups(&l);
    look_at_landlock(&l);
    look_at_cpu(&l);
    return l.count;
}
