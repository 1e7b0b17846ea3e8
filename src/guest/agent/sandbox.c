/* SPDX-License-Identifier: Apache-2.0 */
/* The second call: mounts the shares that all containers of the sandbox live on. */
#include "guest/agent/agent.h"
#include "plan.pb-c.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/rpc/version.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

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
