/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/agent.h"
#include "guest/agent/boot.h"
#include "guest/agent/power.h"
#include "guest/agent/service.h"
#include "shared/base/cleanup.h"
#include "shared/rpc/version.h"

#include <stdio.h>
#include <time.h>

/* The virtio-serial driver is loaded when this starts to count; the device answers within milliseconds. */
enum { PORT_APPEAR_MSEC = 30000 };

static int run(struct agent *agent, struct err *err) {
    int r = root_leave_initramfs(err);
    if (r == 0)
        r = boot_mount(err);
    if (r == 0)
        r = boot_load_modules(err);
    if (r < 0)
        return r;
    int channel = boot_open_port(AGENT_PORT_NAME, PORT_APPEAR_MSEC, err);
    if (channel < 0)
        return channel;
    struct timespec up;
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    agent->boot_usec = (uint64_t)up.tv_sec * 1000000 + (uint64_t)up.tv_nsec / 1000;
    r = loop_new(&agent->loop, err);
    if (r >= 0)
        r = reap_start(agent, err);
    if (r >= 0)
        r = service_start(agent, channel, err);
    if (r < 0)
        return r;
    r = loop_run(agent->loop); /* returns only when it fails: the machine ends in power_off() */
    return err_set(err, r < 0 ? -r : EIO, "the event loop has stopped");
}

int main(void) {
    if (getpid() != 1) {
        (void)fprintf(stderr, "minka-agent: this is PID 1 of minka's virtual machines and does nothing elsewhere\n");
        return 1;
    }
    static struct agent agent = {.sandbox = {.ipc = -EBADF, .uts = -EBADF, .network = -EBADF}};
    struct err err = {0};
    (void)run(&agent, &err);
    power_off_failed(&err);
}
