/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room: the cache, running a program that is not to be trusted, and the parsers that tests reach. */
#pragma once

#include "privileged/probe/probe.h"
#include "shared/base/buf.h"

#include <stddef.h>

/* ---- cache.c ---- */

/*
 * Answers are files DIR/NAME: a line with the key that they are for, then the value. A file counts only when it and
 * its directory are ours or root's, and nobody else can write them; everything else about the cache may fail, in
 * silence, for it can be found out anew.
 */
int cache_load(const char *dir, const char *name, const char *key, char **ret_value); /* 0 or -ENOENT */
void cache_store(const char *dir, const char *name, const char *key, const char *value);

/* Append " PATH=device:inode:size:mtime:ctime" to a key. 0 or -errno of stat(2). */
int cache_key_add_file(struct buf *key, const char *path);
/* Append this boot's id: what is measured once is not measured again before the next one. */
int cache_key_add_boot(struct buf *key);
/* "PREFIX-<hash of path>": a file name for the cache; the key still has the path itself. */
void cache_name(const char *prefix, const char *path, char *ret, size_t size);

/* ---- run.c ---- */

/*
 * Run a program for its standard output (at most 256 KiB, NUL-terminated): as uid and gid 65534 without capabilities
 * when we are root, in new mount, network, pid, ipc and uts namespaces where that is allowed, without environment,
 * input and further descriptors, and not longer than the deadline. Its exit status must be 0.
 */
int run_for_output(const char *program, const char *const *argv, unsigned deadline_msec, char **ret, struct err *err);

/* ---- parsers ---- */

/* "QEMU emulator version 7.2.22 (Debian …)\n…" */
int qemu_parse_version(const char *output, struct vmm_features *ret);

/* What `ld.so --list` prints; absolute paths are appended to *strings (a vector as of probe_closure). */
int closure_parse_list(const char *output, const char *program, char ***strings, struct err *err);

/* The interpreter in an ELF program: a new string, or *ret = NULL for a static program. */
int closure_interpreter(const char *program, char **ret, struct err *err);
