/* SPDX-License-Identifier: Apache-2.0 */
/* A plain plan, written out by hand: what a simple config.json compiles to. */
#include "agent-client.h"
#include "shared/base/cleanup.h"
#include "shared/base/streams.h"

#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char environment_path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
static char *environment[] = {environment_path};
static char root_directory[] = "/";
static Minka__Plan__V1__Capabilities capabilities = MINKA__PLAN__V1__CAPABILITIES__INIT;

Minka__Plan__V1__Process plain_process(char **arguments) {
    Minka__Plan__V1__Process process = MINKA__PLAN__V1__PROCESS__INIT;
    capabilities.bounding = capabilities.effective = capabilities.permitted = 0xa80425fb; /* what engines give */
    process.args = arguments;
    while (arguments[process.n_args])
        process.n_args++;
    process.env = environment;
    process.n_env = ARRAY_SIZE(environment);
    process.cwd = root_directory;
    process.capabilities = &capabilities;
    process.terminal = getenv("TERMINAL") != NULL;
    static uint8_t streams[STREAMS_STANDARD];
    streams_standard(streams, process.terminal);
    process.streams = (ProtobufCBinaryData){.data = streams, .len = sizeof streams};
    return process;
}

static Minka__Plan__V1__Mount mount_plan(const char *type, const char *destination, unsigned long flags,
                                         const char *data) {
    Minka__Plan__V1__Mount mount = MINKA__PLAN__V1__MOUNT__INIT;
    mount.type = mount.source = strdup(type);
    mount.destination = strdup(destination);
    mount.flags = flags;
    mount.data = strdup(data);
    return mount;
}

static void mount_done(Minka__Plan__V1__Mount *mount) {
    free(mount->type);
    free(mount->destination);
    free(mount->data);
}

uint8_t *plain_container(char *id, char *root_path, char **arguments, size_t *ret_length) {
    Minka__Plan__V1__Namespaces namespaces = MINKA__PLAN__V1__NAMESPACES__INIT;
    namespaces.mount = namespaces.pid = namespaces.ipc = namespaces.uts = namespaces.network = namespaces.cgroup =
        MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NEW;
    if (getenv("SHARE_PID"))
        namespaces.pid = MINKA__PLAN__V1__NAMESPACE_MODE__NAMESPACE_NONE;
    Minka__Plan__V1__Root root = MINKA__PLAN__V1__ROOT__INIT;
    root.path = root_path;
    Minka__Plan__V1__Mount mounts[] = {
        mount_plan("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
        mount_plan("tmpfs", "/dev", MS_NOSUID, "mode=755,size=65536k"),
        mount_plan("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"),
        mount_plan("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, ""),
        mount_plan("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, ""),
    };
    Minka__Plan__V1__Mount *mount_pointers[ARRAY_SIZE(mounts)];
    for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
        mount_pointers[i] = &mounts[i];
    char null_path[] = "/dev/null", zero_path[] = "/dev/zero", ptmx_target[] = "pts/ptmx", ptmx_path[] = "/dev/ptmx";
    Minka__Plan__V1__Device null = MINKA__PLAN__V1__DEVICE__INIT, zero = null, *devices[] = {&null, &zero};
    null.path = null_path;
    zero.path = zero_path;
    null.mode = zero.mode = S_IFCHR | 0666;
    null.major = zero.major = 1;
    null.minor = 3;
    zero.minor = 5;
    Minka__Plan__V1__Symlink ptmx = MINKA__PLAN__V1__SYMLINK__INIT, *symlinks[] = {&ptmx};
    ptmx.target = ptmx_target;
    ptmx.path = ptmx_path;
    char memory_file[] = "memory.max";
    Minka__Plan__V1__CgroupSetting memory = MINKA__PLAN__V1__CGROUP_SETTING__INIT, *settings[] = {&memory};
    Minka__Plan__V1__Cgroup cgroup = MINKA__PLAN__V1__CGROUP__INIT;
    memory.file = memory_file;
    memory.value = getenv("MEMORY_MAX");
    cgroup.settings = settings;
    cgroup.n_settings = memory.value ? 1 : 0;
    Minka__Plan__V1__Process process = plain_process(arguments);
    Minka__Plan__V1__Container plan = MINKA__PLAN__V1__CONTAINER__INIT;
    plan.id = id;
    plan.namespaces = &namespaces;
    plan.root = &root;
    plan.mounts = mount_pointers;
    plan.n_mounts = ARRAY_SIZE(mounts);
    plan.devices = devices;
    plan.n_devices = ARRAY_SIZE(devices);
    plan.symlinks = symlinks;
    plan.n_symlinks = ARRAY_SIZE(symlinks);
    plan.cgroup = &cgroup;
    plan.process = &process;
    *ret_length = minka__plan__v1__container__get_packed_size(&plan);
    uint8_t *packed = malloc(*ret_length);
    if (!packed)
        fail("out of memory");
    (void)minka__plan__v1__container__pack(&plan, packed);
    for (size_t i = 0; i < ARRAY_SIZE(mounts); i++)
        mount_done(&mounts[i]);
    return packed;
}
