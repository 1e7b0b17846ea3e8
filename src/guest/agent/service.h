/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's side of agent.proto: which call is answered by whom, and when it is allowed. */
#pragma once

#include "guest/agent/agent.h"

/* Serve the channel; when the host goes away, the machine ends. */
int service_start(struct agent *agent, int channel, struct err *err);
