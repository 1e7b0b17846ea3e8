/* SPDX-License-Identifier: Apache-2.0 */
/* Who the process is: its ids, and its home directory, which belongs to them. */
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PASSWD_MAX = 4 << 20 };

/* Field n (from 0) of a passwd(5) line, cut out of it; NULL when the line has fewer. */
static char *field(char *line, unsigned n) {
    while (n-- > 0) {
        line = strchr(line, ':');
        if (!line)
            return NULL;
        line++;
    }
    line[strcspn(line, ":")] = '\0';
    return line;
}

/* The home directory of uid in the container's /etc/passwd; NULL when it has none. */
static char *find_home(uint32_t uid) {
    _cleanup_free_ char *text = NULL;
    if (read_file(AT_FDCWD, "/etc/passwd", PASSWD_MAX, &text, NULL, NULL) < 0)
        return NULL;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        _cleanup_free_ char *copy = strdup(line);
        if (!copy)
            return NULL;
        uint64_t found;
        const char *number = field(copy, 2);
        if (!number || parse_u64(number, &found) < 0 || found != uid)
            continue;
        const char *home = field(line, 5);
        return home && *home ? strdup(home) : NULL;
    }
    return NULL;
}

int user_environment(const plan_process *process, char ***ret, struct err *err) {
    _cleanup_strv_ char **environment = calloc(process->n_env + 2, sizeof *environment);
    if (!environment)
        return err_set(err, ENOMEM, "out of memory");
    bool has_home = false;
    for (size_t i = 0; i < process->n_env; i++) {
        has_home |= text_has_prefix(process->env[i], "HOME=");
        environment[i] = strdup(process->env[i]);
        if (!environment[i])
            return err_set(err, ENOMEM, "out of memory");
    }
    if (!has_home) {
        _cleanup_free_ char *home = find_home(process->uid);
        environment[process->n_env] = text_format("HOME=%s", home ? home : "/");
        if (!environment[process->n_env])
            return err_set(err, ENOMEM, "out of memory");
    }
    *ret = take_ptr(environment);
    return 0;
}

int user_become(const plan_process *process, struct err *err) {
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return err_errno(err, "cannot keep capabilities over the change of user");
    _Static_assert(sizeof(gid_t) == sizeof *process->additional_gids, "additional_gids is handed on as it is");
    /* Without a mapping of its own for setgroups(2) a user namespace refuses even an empty list: then it is empty. */
    if (setgroups(process->n_additional_gids, process->additional_gids) < 0 &&
        !(errno == EPERM && process->n_additional_gids == 0))
        return err_errno(err, "cannot set the additional groups of the process");
    if (setresgid(process->gid, process->gid, process->gid) < 0)
        return err_errno(err, "cannot become group %u", process->gid);
    if (setresuid(process->uid, process->uid, process->uid) < 0)
        return err_errno(err, "cannot become user %u", process->uid);
    return 0;
}
