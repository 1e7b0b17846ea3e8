/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest agent: PID 1 of the virtual machine, one event loop, no thread. It
 * carries out what the host asks over the agent channel (agent.proto) and never
 * blocks on a container: everything that may take time is a child or a pending call.
 *
 *   main.c boot.c modules.c power.c     from the kernel's exec to an open channel, and the end
 *   request.c plan_check.c              bytes from the host to a checked message; executes nothing (fuzzed)
 *   service.c hello.c sandbox.c         the dispatch table, and the calls about the VM itself
 *   container.c process.c streams.c     the tables of what runs, and their pending calls
 *   reap.c oom.c stats.c list.c         what is learnt from the kernel about them
 *   write_back.c freshen.c              nothing that a container wrote is lost, nor what the host wrote before it
 *   launch*.c stage*.c …                how a process is made: see launch.h
 */
#pragma once

#include "guest/agent/launch.h"
#include "shared/base/err.h"
#include "shared/base/loop.h"
#include "shared/rpc/ttrpc.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <sys/types.h>

enum { AGENT_SHARES_MAX = 16, AGENT_EARLY_EXITS_MAX = 64 };

struct container;

struct agent {
    struct loop *loop;
    struct ttrpc_server *server;
    uint64_t boot_usec; /* CLOCK_BOOTTIME when the channel was open */
    bool greeted;       /* Hello has been answered */
    bool set_up;        /* SetupSandbox has been answered */
    struct container *containers;
    struct launch_sandbox sandbox;
    bool has_sandbox_namespaces;

    int shares[AGENT_SHARES_MAX]; /* directories at which they are mounted */
    size_t n_shares;

    struct ttrpc_request *next_event; /* a pending NextEvent */

    /* Children that were reaped before stage 1 said whose they are. Emptied when no launch is under way. */
    struct early_exit {
        pid_t pid;
        int status;
    } early_exits[AGENT_EARLY_EXITS_MAX];
    size_t n_early_exits;
};

/* A handler answers its request exactly once, now or later. message is only valid during the call. */
typedef void agent_handler(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message);

agent_handler hello_run;
agent_handler sandbox_run;

/* Answer with a message, with Empty, or with an error; all use up the request. */
void answer(struct ttrpc_request *request, const ProtobufCMessage *message);
void answer_empty(struct ttrpc_request *request);
void answer_error(struct ttrpc_request *request, const struct err *err);

/* reap.c: watch SIGCHLD. */
int reap_start(struct agent *agent, struct err *err);
