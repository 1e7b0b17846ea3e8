/* SPDX-License-Identifier: Apache-2.0 */
/* How `minka audit` shows what it found: audit_table.c, audit_json.c. */
#pragma once

#include "cli.h"
#include "privileged/setup/audit.h"

struct json_writer;

struct audited {
    const struct state *state;
    const struct audit *audit;
    const char *problem; /* why it cannot be told; NULL: it can */
};

bool audited_holds(const struct audited *audited);
/* The name of a uid, "-" where it has none. */
void audit_user(uid_t uid, char *ret, size_t size);

void audit_print_table(const struct audited *audited);
void audit_print_host(const struct audit_lack *lacks, size_t count);
void audit_write_json(struct json_writer *w, const struct audited *audited);
void audit_write_host(struct json_writer *w, const struct audit_lack *lacks, size_t count);
