/* SPDX-License-Identifier: Apache-2.0 */
/* The vhost-user socket pair. */
#include "privileged/share/share.h"
#include "shared/base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static const char socket_name[] = "vhost-user.sock";

static int connect_pair(const struct sockaddr_un *address, int listening, int connecting) {
    if (bind(listening, (const struct sockaddr *)address, sizeof *address) < 0 || listen(listening, 1) < 0 ||
        connect(connecting, (const struct sockaddr *)address, sizeof *address) < 0)
        return -errno;
    return 0;
}

int share_sockets(const char *scratch_dir, int *ret_listen_fd, int *ret_connected_fd, struct err *err) {
    _cleanup_close_ int dir = open(scratch_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, errno, "cannot open the directory %s for the file server's socket (%s)", scratch_dir,
                       strerrorname_np(errno));
    _cleanup_close_ int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    _cleanup_close_ int connecting = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listening < 0 || connecting < 0)
        return err_set(err, errno, "cannot make the file server's socket (%s)", strerrorname_np(errno));
    /* By way of the directory's descriptor, as a state directory's path may be longer than a socket's: unix(7). */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir, socket_name);
    int r = connect_pair(&address, listening, connecting);
    if (r != -EADDRINUSE)
        (void)unlinkat(dir, socket_name, 0);
    if (r < 0)
        return err_set(err, -r, "cannot connect the file server's socket in %s (%s)", scratch_dir, strerrorname_np(-r));
    *ret_listen_fd = take_fd(&listening);
    *ret_connected_fd = take_fd(&connecting);
    return 0;
}
