/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include "input.h"
#include "privileged/state/state.h"
#include "shared/base/cleanup.h"
#include "shared/base/text.h"

#include <errno.h>
#include <string.h>

void process_done(struct process *process) {
    process->document = oci_process_free(process->document);
    process->spec = oci_spec_free(process->spec);
    free(process->env);
    free(process->gids);
    *process = (struct process){0};
}

static int parse_id(const char *text, uint32_t *ret) {
    uint64_t id;
    if (parse_u64(text, &id) < 0 || id >= UINT32_MAX)
        return -EINVAL;
    *ret = (uint32_t)id;
    return 0;
}

static int set_user(const char *user, struct oci_process *process, struct err *err) {
    _cleanup_free_ char *copy = strdup(user);
    if (!copy)
        return err_set(err, ENOMEM, "out of memory");
    char *colon = strchr(copy, ':');
    if (colon)
        *colon = '\0';
    if (parse_id(copy, &process->uid) < 0 || (colon && parse_id(colon + 1, &process->gid) < 0))
        return err_set(err, EINVAL, "--user takes UID or UID:GID as numbers, not \"%.64s\"", user);
    return 0;
}

static size_t name_length(const char *variable) {
    return strcspn(variable, "=");
}

/* The later of two variables with one name is the one that counts. */
static size_t put_variable(char **env, size_t count, const char *variable) {
    size_t length = name_length(variable);
    size_t i = 0;
    while (i < count && !(name_length(env[i]) == length && strncmp(env[i], variable, length) == 0))
        i++;
    env[i] = (char *)(uintptr_t)variable; /* the strings are read only */
    return i == count ? count + 1 : count;
}

static int set_env(const struct option_list *list, struct process *p, struct err *err) {
    const struct oci_process *base = &p->changed;
    p->env = calloc(base->n_env + list->count + 1, sizeof *p->env);
    if (!p->env)
        return err_set(err, ENOMEM, "out of memory");
    size_t count = 0;
    for (size_t i = 0; i < base->n_env; i++)
        count = put_variable(p->env, count, base->env[i]);
    for (size_t i = 0; i < list->count; i++) {
        if (!strchr(list->values[i], '=') || list->values[i][0] == '=')
            return err_set(err, EINVAL, "--env takes KEY=VALUE, not \"%.64s\"", list->values[i]);
        count = put_variable(p->env, count, list->values[i]);
    }
    p->env[count] = NULL;
    p->changed.env = p->env;
    p->changed.n_env = count;
    return 0;
}

static int set_groups(const struct option_list *list, struct process *p, struct err *err) {
    size_t base = p->changed.n_additional_gids;
    p->gids = calloc(base + list->count + 1, sizeof *p->gids);
    if (!p->gids)
        return err_set(err, ENOMEM, "out of memory");
    if (base > 0)
        memcpy(p->gids, p->changed.additional_gids, base * sizeof *p->gids);
    for (size_t i = 0; i < list->count; i++)
        if (parse_id(list->values[i], &p->gids[base + i]) < 0)
            return err_set(err, EINVAL, "--additional-gids takes a number, not \"%.64s\"", list->values[i]);
    p->changed.additional_gids = p->gids;
    p->changed.n_additional_gids = base + list->count;
    return 0;
}

static int set_capabilities(const struct option_list *list, struct oci_process *process, struct err *err) {
    for (size_t i = 0; i < list->count; i++) {
        int number = oci_capability_number(list->values[i]);
        if (number < 0)
            return err_set(err, EINVAL, "unknown capability \"%.64s\"", list->values[i]);
        uint64_t bit = UINT64_C(1) << number;
        process->has_capabilities = true;
        process->capabilities.bounding |= bit;
        process->capabilities.permitted |= bit;
        process->capabilities.effective |= bit;
    }
    return 0;
}

int process_change(const struct process_options *o, char **args, const struct oci_process *base, struct process *ret,
                   struct err *err) {
    ret->changed = *base;
    struct oci_process *p = &ret->changed;
    if (args[0]) {
        p->args = args;
        for (p->n_args = 0; args[p->n_args];)
            p->n_args++;
        p->terminal = o->tty;
        p->console_rows = p->console_columns = 0;
    } else if (o->tty) {
        p->terminal = true;
    }
    if (o->cwd) {
        if (o->cwd[0] != '/')
            return err_set(err, EINVAL, "--cwd takes an absolute path, not \"%.64s\"", o->cwd);
        p->cwd = (char *)(uintptr_t)o->cwd;
    }
    if (o->label)
        p->selinux_label = (char *)(uintptr_t)o->label;
    if (o->apparmor)
        p->apparmor_profile = (char *)(uintptr_t)o->apparmor;
    p->no_new_privileges = p->no_new_privileges || o->no_new_privs;
    int r = o->user ? set_user(o->user, p, err) : 0;
    if (r >= 0)
        r = set_capabilities(&o->caps, p, err);
    if (r >= 0)
        r = set_env(&o->env, ret, err);
    if (r >= 0)
        r = set_groups(&o->additional_gids, ret, err);
    if (r >= 0)
        ret->result = p;
    return r;
}

void process_inherit(const struct oci_process *container, struct oci_process *process) {
    if (process->n_env == 0) {
        process->env = container->env;
        process->n_env = container->n_env;
    }
    if (!process->has_capabilities) {
        process->has_capabilities = container->has_capabilities;
        process->capabilities = container->capabilities;
    }
}

static int read_document(const char *path, struct oci_process **ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = read_input(path, &text, &length, err);
    return r < 0 ? r : oci_process_parse(text, length, ret, err);
}

int process_make(const struct process_options *options, char **args, int dir, struct process *ret, struct err *err) {
    int r = options->file ? read_document(options->file, &ret->document, err) : 0;
    if (r >= 0)
        r = state_load_spec(dir, &ret->spec, err);
    if (r < 0)
        return r;
    if (options->file) {
        process_inherit(&ret->spec->process, ret->document);
        return process_change(options, args, ret->document, ret, err);
    }
    if (!ret->spec->has_process)
        return err_set(err, EINVAL, "the container has no process in its config.json: use --process");
    return process_change(options, args, &ret->spec->process, ret, err);
}
