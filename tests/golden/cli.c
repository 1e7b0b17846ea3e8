/* SPDX-License-Identifier: Apache-2.0 */
/* What the command says of itself: the features document, and the help of every verb. */
#include "golden.h"

#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <string.h>

static void check_output(struct golden *golden, const char *program, const char *arguments, const char *name) {
    _cleanup_free_ char *command = text_format("'%s' %s 2>&1", program, arguments);
    _cleanup_buf_ struct buf text = {0};
    char part[4096];
    FILE *output = popen(command, "re");
    if (!output)
        abort();
    for (size_t n; (n = fread(part, 1, sizeof part, output)) > 0;)
        if (buf_append(&text, part, n) < 0)
            abort();
    int status = pclose(output);
    if (status != 0 && buf_append_format(&text, "status %d\n", status) < 0)
        abort();
    golden_check(golden, name, &text);
}

int main(int argc, char **argv) {
    struct golden golden;
    char **rest;
    golden_start(&golden, argc, argv, &rest);
    const char *program = rest[0];
    static const char *const verbs[] = {"create", "start", "state", "kill",     "delete", "run",
                                        "exec",   "ps",    "list",  "pause",    "resume", "update",
                                        "events", "image", "spec",  "features", "env",    "audit"};
    check_output(&golden, program, "features", "features.json");
    check_output(&golden, program, "--help", "help.txt");
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        _cleanup_free_ char *arguments = text_format("help %s", verbs[i]);
        _cleanup_free_ char *name = text_format("help-%s.txt", verbs[i]);
        check_output(&golden, program, arguments, name);
    }
    return golden_finish(&golden);
}
