/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of system calls, as filter_print() writes them, and how long a program each becomes. */
#include "privileged/filter/filter.h"
#include "golden.h"
#include "shared/base/cleanup.h"

#include <stdio.h>

static const struct {
    const char *name;
    const struct filter *filter;
} cases[] = {
    {"monitor", &filter_monitor}, {"standin", &filter_standin},   {"vmm-tcg", &filter_vmm_tcg},
    {"vmm-kvm", &filter_vmm_kvm}, {"server-c", &filter_server_c}, {"server-rust", &filter_server_rust},
};

int main(int argc, char **argv) {
    struct golden golden;
    char **rest;
    golden_start(&golden, argc, argv, &rest);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sock_filter code[FILTER_LENGTH_MAX];
        _cleanup_buf_ struct buf text = {0};
        int length = filter_assemble(cases[i].filter, UINT64_C(0x123456789abc), code, ARRAY_SIZE(code));
        if (length < 0 || buf_append_format(&text, "%s: %d instructions\n", cases[i].filter->name, length) < 0 ||
            filter_print(cases[i].filter, &text) < 0)
            return 1;
        golden_check(&golden, cases[i].name, &text);
    }
    return golden_finish(&golden);
}
