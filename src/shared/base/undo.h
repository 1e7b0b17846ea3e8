/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stack of releases for resources acquired on the host. Push right after each
 * acquisition; undo_all() (or leaving the scope) releases in reverse order, unless
 * undo_keep() said that the whole succeeded and the resources live on.
 */
#pragma once

#include <stddef.h>

typedef void undo_fn(void *data);

struct undo {
    struct undo_step {
        undo_fn *fn;
        void *data; /* must live until the stack is run or kept */
    } steps[32];
    size_t count;
};

void undo_push(struct undo *undo, undo_fn *fn, void *data);
void undo_keep(struct undo *undo);
void undo_all(struct undo *undo);
#define _cleanup_undo_ __attribute__((cleanup(undo_all)))
