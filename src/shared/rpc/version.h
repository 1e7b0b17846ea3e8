/* SPDX-License-Identifier: Apache-2.0 */
/* What host and guest image must agree on. Raise AGENT_PROTOCOL with every incompatible change of the .proto files. */
#pragma once

enum { AGENT_PROTOCOL = 2 };

/* The virtio-serial port of the agent channel. */
#define AGENT_PORT_NAME "minka.agent.0"
#define AGENT_SERVICE   "minka.agent.v1.Agent"

/* Where the guest mounts the sandbox's virtiofs share, and the share's tag. */
#define GUEST_SHARE_PATH "/run/minka/share"
#define GUEST_SHARE_TAG  "minka"
