/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/undo.h"

#include <stdlib.h>

void undo_push(struct undo *undo, undo_fn *fn, void *data) {
    /* The number of steps is fixed in the code, so running out is a bug, and going on would leak. */
    if (undo->count == sizeof undo->steps / sizeof undo->steps[0])
        abort();
    undo->steps[undo->count++] = (struct undo_step){fn, data};
}

void undo_keep(struct undo *undo) {
    undo->count = 0;
}

void undo_all(struct undo *undo) {
    while (undo->count > 0) {
        struct undo_step step = undo->steps[--undo->count];
        step.fn(step.data);
    }
}
