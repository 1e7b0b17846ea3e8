/* SPDX-License-Identifier: Apache-2.0 */
/* The five capability sets, by capset(2) and prctl(2): capabilities(7). Bit n is capability n. */
#include "guest/agent/stage.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef Minka__Plan__V1__Capabilities plan_capabilities;

/* The kernel knows capability n: -EINVAL from prctl(PR_CAPBSET_READ) beyond the last. */
static bool is_known(unsigned capability) {
    return capability < 64 && prctl(PR_CAPBSET_READ, (unsigned long)capability, 0, 0, 0) >= 0;
}

static uint64_t current_bounding(void) {
    uint64_t bounding = 0;
    for (unsigned c = 0; is_known(c); c++)
        if (prctl(PR_CAPBSET_READ, (unsigned long)c, 0, 0, 0) > 0)
            bounding |= UINT64_C(1) << c;
    return bounding;
}

static int set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
    };
    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int get_permitted(uint64_t *ret) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    *ret = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

int capabilities_bound(const plan_capabilities *wanted, struct err *err) {
    uint64_t bounding = wanted ? wanted->bounding : 0;
    for (unsigned c = 0; is_known(c); c++) {
        if ((bounding >> c & 1) || prctl(PR_CAPBSET_READ, (unsigned long)c, 0, 0, 0) == 0)
            continue;
        if (prctl(PR_CAPBSET_DROP, (unsigned long)c, 0, 0, 0) < 0)
            return err_errno(err, "cannot drop capability %u from the bounding set", c);
    }
    return 0;
}

int capabilities_apply(const plan_capabilities *wanted, struct err *err) {
    /* What this kernel does not know, and what the agent has not got itself, cannot be given: crun drops it likewise.
     */
    uint64_t have = 0;
    int r = get_permitted(&have);
    uint64_t effective = wanted ? wanted->effective & wanted->permitted & have : 0;
    uint64_t permitted = wanted ? wanted->permitted & have : 0;
    uint64_t inheritable = wanted ? wanted->inheritable & current_bounding() : 0;
    uint64_t ambient = wanted ? wanted->ambient : 0;
    if (r == 0)
        r = set_capabilities(effective, permitted, inheritable);
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot set the capabilities of the process");
    }
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return err_errno(err, "cannot clear the ambient capabilities");
    for (unsigned c = 0; c < 64; c++) {
        if (!(ambient >> c & 1))
            continue;
        /* EPERM, capability not in permitted and inheritable: crun goes on without it as well. */
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, (unsigned long)c, 0, 0) < 0 && errno != EINVAL &&
            errno != EPERM)
            return err_errno(err, "cannot raise the ambient capability %u", c);
    }
    return 0;
}
