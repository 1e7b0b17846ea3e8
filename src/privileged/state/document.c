/* SPDX-License-Identifier: Apache-2.0 */
/* state.json: written and read by minka only, but read as strictly as anything else. */
#include "facts/json/json.h"
#include "privileged/state/state.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_FORMAT = 1, STATE_MAX = 1 << 20 };

static void write_process(struct json_writer *w, const char *key, const struct state_process *p) {
    json_write_begin_object(w, key);
    json_write_int(w, "pid", p->pid);
    json_write_uint(w, "startTicks", p->start_ticks);
    json_write_end_object(w);
}

int state_save(int dir, const struct state *state, struct err *err) {
    _cleanup_buf_ struct buf out = {0};
    struct json_writer w = {.out = &out, .pretty = true};
    json_write_begin_object(&w, NULL);
    json_write_uint(&w, "format", STATE_FORMAT);
    json_write_string(&w, "id", state->id);
    json_write_string(&w, "bundle", state->bundle);
    json_write_string(&w, "rootfs", state->rootfs);
    json_write_string(&w, "ociVersion", state->oci_version);
    json_write_string(&w, "status", state_status_text(state->status));
    json_write_string(&w, "created", state->created);
    json_write_uint(&w, "owner", state->owner);
    write_process(&w, "creator", &state->creator);
    write_process(&w, "monitor", &state->monitor);
    write_process(&w, "vmm", &state->vmm);
    write_process(&w, "fileServer", &state->file_server);
    write_process(&w, "standin", &state->standin);
    json_write_begin_array(&w, "uids");
    for (size_t i = 0; i < ARRAY_SIZE(state->uids); i++)
        json_write_uint(&w, NULL, state->uids[i]);
    json_write_end_array(&w);
    json_write_string(&w, "cgroup", state->cgroup);
    json_write_uint(&w, "memoryMiB", state->memory_mib);
    json_write_uint(&w, "hostOverheadMiB", state->host_overhead_mib);
    json_write_uint(&w, "vcpus", state->vcpus);
    json_write_bool(&w, "terminal", state->terminal);
    json_write_end_object(&w);
    if (w.failed)
        return err_set(err, ENOMEM, "out of memory writing the state of container %s", state->id);
    return write_file_atomic(dir, "state.json", out.data, out.length, 0600, err);
}

static int replace(char **text, const char *with) {
    char *copy = strdup(with);
    if (!copy)
        return -ENOMEM;
    free(*text);
    *text = copy;
    return 0;
}

/* 1 or an error: every member of this file must be there. */
static int required(int r, const char *key, struct err *err) {
    return r == 0 ? err_set(err, EBADMSG, "state.json lacks \"%s\"", key) : r;
}

static int get_text(const struct json_value *top, const char *key, char **ret, struct err *err) {
    const char *text;
    int r = required(json_get_string(top, key, &text, err), key, err);
    if (r < 0)
        return r;
    return replace(ret, text) < 0 ? err_set(err, ENOMEM, "out of memory reading state.json") : 0;
}

static int get_process(const struct json_value *top, const char *key, struct state_process *ret, struct err *err) {
    struct json_value object;
    uint32_t pid = 0;
    uint64_t ticks = 0;
    int r = required(json_get(top, key, &object, err), key, err);
    if (r >= 0)
        r = required(json_get_u32(&object, "pid", &pid, err), "pid", err);
    if (r >= 0)
        r = required(json_get_u64(&object, "startTicks", &ticks, err), "startTicks", err);
    if (r < 0)
        return r;
    if (pid > INT32_MAX)
        return err_set(err, EBADMSG, "state.json: the pid of %s is out of range", key);
    *ret = (struct state_process){.pid = (pid_t)pid, .start_ticks = ticks};
    return 0;
}

static int get_status(const struct json_value *top, enum state_status *ret, struct err *err) {
    const char *text;
    int r = required(json_get_string(top, "status", &text, err), "status", err);
    if (r < 0)
        return r;
    for (enum state_status s = STATE_CREATING; s <= STATE_STOPPED; s++)
        if (strcmp(text, state_status_text(s)) == 0) {
            *ret = s;
            return 0;
        }
    return err_set(err, EBADMSG, "state.json has the unknown status \"%.32s\"", text);
}

struct uids {
    uint32_t *ids;
    size_t count;
};

static int add_uid(const struct json_value *item, void *data, struct err *err) {
    struct uids *uids = data;
    uint64_t uid;
    int r = json_uint(item, UINT32_MAX, &uid, err);
    if (r < 0)
        return r;
    if (uids->count == ARRAY_SIZE(((struct state *)NULL)->uids))
        return err_set(err, EBADMSG, "state.json lists too many uids");
    uids->ids[uids->count++] = (uint32_t)uid;
    return 0;
}

static int get_numbers(const struct json_value *top, struct state *state, struct err *err) {
    uint32_t owner = 0;
    int r = required(json_get_u32(top, "owner", &owner, err), "owner", err);
    state->owner = owner;
    if (r >= 0)
        r = required(json_get_u64(top, "memoryMiB", &state->memory_mib, err), "memoryMiB", err);
    if (r >= 0)
        r = required(json_get_u64(top, "hostOverheadMiB", &state->host_overhead_mib, err), "hostOverheadMiB", err);
    if (r >= 0)
        r = required(json_get_u32(top, "vcpus", &state->vcpus, err), "vcpus", err);
    if (r >= 0)
        r = required(json_get_bool(top, "terminal", &state->terminal, err), "terminal", err);
    return r < 0 ? r : 0;
}

static int get_uids(const struct json_value *top, struct state *state, struct err *err) {
    struct json_value uids;
    int r = required(json_get(top, "uids", &uids, err), "uids", err);
    if (r >= 0)
        r = json_each_element(&uids, add_uid, &(struct uids){.ids = state->uids}, err);
    return r < 0 ? r : 0;
}

static int get_all(const struct json_value *top, struct state *state, struct err *err) {
    uint64_t format = 0;
    int r = required(json_get_u64(top, "format", &format, err), "format", err);
    if (r < 0)
        return r;
    if (format != STATE_FORMAT)
        return err_set(err, EBADMSG, "state.json was written by another version of minka");
    const struct {
        const char *key;
        char **text;
    } texts[] = {{"id", &state->id},
                 {"bundle", &state->bundle},
                 {"rootfs", &state->rootfs},
                 {"ociVersion", &state->oci_version},
                 {"cgroup", &state->cgroup}};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        if ((r = get_text(top, texts[i].key, texts[i].text, err)) < 0)
            return r;
    const char *created;
    r = required(json_get_string(top, "created", &created, err), "created", err);
    if (r < 0)
        return r;
    (void)snprintf(state->created, sizeof state->created, "%s", created);
    const struct {
        const char *key;
        struct state_process *process;
    } processes[] = {{"creator", &state->creator},
                     {"monitor", &state->monitor},
                     {"vmm", &state->vmm},
                     {"fileServer", &state->file_server},
                     {"standin", &state->standin}};
    for (size_t i = 0; i < ARRAY_SIZE(processes); i++)
        if ((r = get_process(top, processes[i].key, processes[i].process, err)) < 0)
            return r;
    if ((r = get_status(top, &state->status, err)) < 0 || (r = get_numbers(top, state, err)) < 0)
        return r;
    return get_uids(top, state, err);
}

int state_load(int dir, struct state **ret, struct err *err) {
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = read_file(dir, "state.json", STATE_MAX, &text, &length, err);
    if (r == -ENOENT) /* between mkdir(2) and the first save of `create`, or what a creator that died there left */
        return err_set(err, ENOENT, "the container does not exist (its state is empty)");
    if (r < 0)
        return r;
    _cleanup_json_ struct json *json = NULL;
    r = json_parse(text, length, "state.json", &json, err);
    if (r < 0)
        return r;
    _cleanup_state_ struct state *state = state_new("");
    if (!state)
        return err_set(err, ENOMEM, "out of memory reading state.json");
    struct json_value top = json_top(json);
    r = get_all(&top, state, err);
    if (r < 0)
        return r;
    *ret = take_ptr(state);
    return 0;
}
