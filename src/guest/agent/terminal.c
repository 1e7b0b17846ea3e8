/* SPDX-License-Identifier: Apache-2.0 */
/* The process's terminal: a pty of the container's own devpts, so that ttyname(3) works in there. */
#include "guest/agent/path.h"
#include "guest/agent/stage.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

static int open_master(int root, struct err *err) {
    _cleanup_close_ int master = open_in_root(root, "/dev/ptmx", O_RDWR | O_NOCTTY, 0);
    if (master < 0) {
        errno = -master;
        return err_errno(err, "cannot open /dev/ptmx in the container");
    }
    struct stat st;
    int unlock = 0;
    if (fstat(master, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
        return err_set(err, ENOTTY, "/dev/ptmx in the container is not a pseudo-terminal multiplexer");
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return err_errno(err, "cannot unlock the container's terminal");
    return take_fd(&master);
}

static int bind_to_console(int root, int slave, struct err *err) {
    _cleanup_close_ int target = path_make_file(root, "/dev/console", err);
    if (target < 0)
        return target;
    _cleanup_close_ int tree = mount_clone(slave, false);
    int r = tree < 0 ? tree : mount_attach(tree, target);
    if (r < 0) {
        errno = -r;
        return err_errno(err, "cannot mount the terminal on /dev/console");
    }
    return 0;
}

int terminal_open(int root, const plan_process *process, bool bind_console, int *ret_master, struct err *err) {
    _cleanup_close_ int master = open_master(root, err);
    if (master < 0)
        return master;
    /* By descriptor and not by name (ioctl_tty(2)): the container may have anything mounted on /dev/pts. */
    _cleanup_close_ int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return err_errno(err, "cannot open the container's terminal");
    struct winsize size = {.ws_row = (unsigned short)process->rows, .ws_col = (unsigned short)process->columns};
    if ((size.ws_row || size.ws_col) && ioctl(slave, TIOCSWINSZ, &size) < 0)
        return err_errno(err, "cannot set the size of the terminal");
    if (fchown(slave, process->uid, (gid_t)-1) < 0)
        return err_errno(err, "cannot give the terminal to user %u", process->uid);
    if (bind_console) {
        int r = bind_to_console(root, slave, err);
        if (r < 0)
            return r;
    }
    if (ioctl(slave, TIOCSCTTY, 0) < 0)
        return err_errno(err, "cannot make the terminal the process's own");
    for (int fd = 0; fd <= 2; fd++)
        if (dup2(slave, fd) < 0)
            return err_errno(err, "cannot attach the terminal");
    *ret_master = take_fd(&master);
    return 0;
}
