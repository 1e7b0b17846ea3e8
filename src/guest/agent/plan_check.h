/* SPDX-License-Identifier: Apache-2.0 */
/* Is a plan well-formed enough to be carried out? The host compiled it, so a refusal here means a bug or a version
 * skew; what the steps mean is not judged. All return 0, or -EINVAL with a sentence. */
#pragma once

#include "plan.pb-c.h"
#include "shared/base/err.h"

int plan_check_container(const Minka__Plan__V1__Container *plan, struct err *err);
int plan_check_process(const Minka__Plan__V1__Process *plan, struct err *err);
int plan_check_cgroup(const Minka__Plan__V1__Cgroup *plan, struct err *err);
int plan_check_sandbox(const Minka__Plan__V1__Sandbox *plan, struct err *err);
