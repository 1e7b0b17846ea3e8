/* SPDX-License-Identifier: Apache-2.0 */
/* The first call: do both sides speak the same protocol? And what a machine that may have slept in a template needs:
 * the time, and randomness that no other clone has. */
#include "agent.pb-c.h"
#include "guest/agent/agent.h"
#include "guest/agent/request.h"
#include "minka-build.h"
#include "shared/base/cleanup.h"
#include "shared/rpc/version.h"

#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <time.h>

static int seed_random(const ProtobufCBinaryData *entropy, struct err *err) {
    _cleanup_free_ struct rand_pool_info *pool = malloc(sizeof *pool + entropy->len);
    _cleanup_close_ int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (!pool || fd < 0)
        return err_set(err, EIO, "the guest cannot use its random number generator");
    pool->entropy_count = (int)entropy->len * 8;
    pool->buf_size = (int)entropy->len;
    memcpy(pool->buf, entropy->data, entropy->len);
    /* Used at once, not after the next minute: random(4), RNDRESEEDCRNG. */
    int r = ioctl(fd, RNDADDENTROPY, pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0
                ? err_set(err, errno, "the guest cannot seed its random number generator")
                : 0;
    explicit_bzero(pool->buf, entropy->len);
    return r;
}

static int check_protocol(const Minka__Agent__V1__HelloRequest *request, struct err *err) {
    if (request->protocol == AGENT_PROTOCOL)
        return 0;
    return err_set(err, EPROTO,
                   "the guest image is of minka %s and speaks agent protocol %d, minka %.32s needs %u; "
                   "rebuild the image with 'minka image build'",
                   MINKA_VERSION, AGENT_PROTOCOL, request->version, request->protocol);
}

void hello_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__HelloRequest *r = (const void *)message;
    struct err err = {0};
    struct timespec now = {.tv_sec = r->time_sec, .tv_nsec = r->time_nsec};
    int rc = check_protocol(r, &err);
    if (rc == 0)
        rc = seed_random(&r->entropy, &err);
    if (rc == 0 && clock_settime(CLOCK_REALTIME, &now) < 0)
        rc = err_errno(&err, "cannot set the guest's clock");
    if (rc < 0) {
        answer_error(request, &err);
        return;
    }
    struct utsname names = {0};
    (void)uname(&names);
    char version[] = MINKA_VERSION;
    Minka__Agent__V1__HelloResponse response = MINKA__AGENT__V1__HELLO_RESPONSE__INIT;
    response.protocol = AGENT_PROTOCOL;
    response.version = version;
    response.kernel = names.release;
    response.boot_usec = agent->boot_usec;
    agent->greeted = true;
    answer(request, &response.base);
}
