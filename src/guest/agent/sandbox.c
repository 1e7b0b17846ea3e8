/* SPDX-License-Identifier: Apache-2.0 */
/* The second call: mounts the shares that all containers of the sandbox live on. */
#include "guest/agent/agent.h"
#include "plan.pb-c.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/rpc/version.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/*
 * Linux reads 128 KiB ahead on such a mount. Each request is a round trip through two processes of the host, so that
 * fewer and larger ones start programs faster and read files no slower (docs/performance.md). Without it all works.
 */
static void read_ahead(int share) {
    struct stat st;
    char path[64];
    if (fstat(share, &st) < 0)
        return;
    (void)snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev), minor(st.st_dev));
    (void)write_kernel_file(AT_FDCWD, path, "1024"); /* the largest request of FUSE: 256 pages */
}

/* A device file in a share is the host's name for something of the host; the guest's devices live in tmpfs. */
static int mount_share(struct agent *agent, const Minka__Plan__V1__Share *share, struct err *err) {
    if (mkdir_parents(AT_FDCWD, share->path, 0755) < 0 || mount(share->tag, share->path, "virtiofs", 0, NULL) < 0)
        return err_set(err, errno, "the guest cannot mount the share '%s' on %s: %s", share->tag, share->path,
                       errno == ENODEV   ? "its kernel has no virtiofs; is the group in minka.modules=?"
                       : errno == EINVAL ? "the VM has no virtiofs device with this tag"
                                         : strerror(errno));
    int fd = open(share->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "the share '%s' does not answer", share->tag);
    read_ahead(fd);
    agent->shares[agent->n_shares++] = fd;
    return 0;
}

void sandbox_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Plan__V1__Sandbox *plan = (const void *)message;
    struct err err = {0};
    int r = mkdir_parents(AT_FDCWD, GUEST_SHARE_PATH, 0755);
    if (r < 0)
        err_set(&err, -r, "the guest cannot create %s", GUEST_SHARE_PATH);
    for (size_t i = 0; r == 0 && i < plan->n_shares; i++)
        r = mount_share(agent, plan->shares[i], &err);
    if (r == 0 && plan->hostname[0] && sethostname(plan->hostname, strlen(plan->hostname)) < 0)
        r = err_errno(&err, "the guest cannot set its host name");
    if (r < 0) {
        answer_error(request, &err);
        return;
    }
    agent->set_up = true;
    answer_empty(request);
}
