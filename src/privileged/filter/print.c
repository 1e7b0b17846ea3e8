/* SPDX-License-Identifier: Apache-2.0 */
#include "privileged/filter/filter.h"

#include <string.h>

static int print_row(const struct filter_row *row, struct buf *ret) {
    int r = row->action == FILTER_REFUSE ? buf_append_format(ret, "%s %s", strerrorname_np(row->error), row->call)
                                         : buf_append_format(ret, "allow %s", row->call);
    if (r == 0 && row->action == FILTER_AT_START)
        r = buf_append_format(ret, " at the start");
    for (size_t i = 0; r == 0 && i < FILTER_CONDITIONS; i++) {
        const struct filter_condition *c = &row->conditions[i];
        if (c->mask == UINT32_MAX)
            r = buf_append_format(ret, " [%u] == 0x%x", c->argument, c->value);
        else if (c->mask)
            r = buf_append_format(ret, " [%u] & 0x%x == 0x%x", c->argument, c->mask, c->value);
    }
    return r < 0 ? r : buf_append_format(ret, ": %s\n", row->why);
}

int filter_print(const struct filter *filter, struct buf *ret) {
    int r = 0;
    for (size_t g = 0; g < FILTER_GROUPS && filter->groups[g]; g++)
        for (const struct filter_row *row = filter->groups[g]; r == 0 && row->call; row++)
            r = print_row(row, ret);
    return r;
}
