/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of agent-client share. Everything here ends the program when it fails. */
#pragma once

#include "agent.pb-c.h"
#include "shared/base/loop.h"
#include "shared/rpc/ttrpc.h"

extern struct loop *loop;

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Send a call; reply comes from the loop. */
void send_call(const char *method, const ProtobufCMessage *request, ttrpc_reply_fn *reply, void *data);

/* A process as root with the capabilities that engines give. arguments ends with NULL and must live as long. */
Minka__Plan__V1__Process plain_process(char **arguments);

/* A container with namespaces of its own, /proc, /dev, /sys: the packed plan, to be freed. */
uint8_t *plain_container(char *id, char *root_path, char **arguments, size_t *ret_length);

/* agent-storm.c: calls at random, in any order and state; all must be answered, and nothing may stay. */
void storm(char *root_path, unsigned count, unsigned seed);
