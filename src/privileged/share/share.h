/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file server's side of a sandbox: one virtiofsd per sandbox whose root *is*
 * the share, under its own leased uid, with the ownership of a root-owned rootfs
 * kept (docs/file-server.md). Knows both servers: Rust's virtiofsd and the C one
 * in QEMU 7.2. Makes plans; confine executes them.
 *
 * The share is a tmpfs in the server's mount namespace. Trees get into it as
 * detached mounts (open_tree(2)) that are attached in that namespace, at the
 * start and later alike, so that the host's mount table never shows them and
 * nothing is left when the server is gone.
 */
#pragma once

#include "privileged/confine/confine.h"
#include "shared/base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum share_server { SHARE_SERVER_RUST, SHARE_SERVER_C };

/* Which server to use: config_path if not "", else the first of the known places. *ret_path is new. */
int share_find_server(const char *config_path, enum share_server *ret_kind, char **ret_path, struct err *err);

struct share_export {
    const char *source; /* absolute path on the host */
    const char *name;   /* below the share: "ID/rootfs", "ID/3" */
    bool readonly;      /* read-only on the host's side too */
    bool recursive;
};

struct share_id_range {
    uint32_t start, count;
};

struct share {
    enum share_server kind;
    const char *server_path;
    char *const *server_files; /* what the server needs to be executed: itself, libraries; NULL-terminated */
    const char *cache;         /* auto, always, metadata, never */
    uid_t uid;                 /* leased */
    int listen_fd;             /* the server's listening socket */
    int stderr_fd;             /* where its messages go */
    int pid_namespace_of;      /* pidfd of the monitor */
    /*
     * Host ids beyond 0..65535 that files of the share may have: the host sides of the container's own uid and gid
     * mappings. NULL when it has none.
     */
    const struct share_id_range *more_ids;
    size_t n_more_ids;
};

/* A connected pair as vhost-user wants it: a listening socket for the server and a socket connected to it. No path
 * stays. */
int share_sockets(const char *scratch_dir, int *ret_listen_fd, int *ret_connected_fd, struct err *err);

/* Fill plan; strings it needs beyond its life go to *ret_strings (free_strv after spawning). */
int share_plan(const struct share *share, struct confine_plan *plan, char ***ret_strings, struct err *err);

/*
 * When the VMM has connected and the server answers: take the server's files (and proc) out of its jail again, so that
 * it sees the share and nothing else. confine_prove(plan, pid, true, ...) proves it.
 */
int share_empty(const struct confine_plan *plan, int server_pidfd, struct err *err);

/* Attach trees to a running server's share. The container's directory "ID" is made as needed. */
int share_attach(int server_pidfd, const struct share_export *exports, size_t count, struct err *err);
/* Take all of container's trees away again. */
int share_detach(int server_pidfd, const char *container_id, struct err *err);
