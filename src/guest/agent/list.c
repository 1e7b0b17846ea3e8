/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/list.h"

#include "guest/agent/container.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    PROCESSES_MAX = 8192, /* an answer of at most 4 MiB */
    DEPTH_MAX = 32,
    PTS_MAJOR = 136, /* Documentation/admin-guide/devices.txt */
};

struct pid_list {
    pid_t pids[PROCESSES_MAX];
    size_t count;
};

static void collect_file(int directory, struct pid_list *list) {
    _cleanup_close_ int fd = openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    _cleanup_fclose_ FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file)
        return;
    (void)take_fd(&fd); /* now the file's */
    for (int pid; list->count < PROCESSES_MAX && fscanf(file, "%d", &pid) == 1;)
        if (pid > 0)
            list->pids[list->count++] = pid;
}

static void collect(int directory, int depth, struct pid_list *list) {
    collect_file(directory, list);
    _cleanup_close_ int again = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_closedir_ DIR *entries = again >= 0 ? fdopendir(again) : NULL;
    if (!entries)
        return;
    (void)take_fd(&again); /* now the stream's */
    for (struct dirent *e; (e = readdir(entries));) {
        if (e->d_type != DT_DIR || e->d_name[0] == '.' || depth >= DEPTH_MAX)
            continue;
        _cleanup_close_ int below = openat(directory, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (below >= 0)
            collect(below, depth + 1, list);
    }
}

static int collect_container(const char *container_id, struct pid_list *list) {
    _cleanup_close_ int directory = container_cgroup_open(container_id);
    if (directory < 0)
        return directory;
    collect(directory, 0, list);
    return 0;
}

int list_signal_all(const char *container_id, int signal) {
    _cleanup_free_ struct pid_list *list = calloc(1, sizeof *list);
    if (!list)
        return -ENOMEM;
    int r = collect_container(container_id, list);
    if (r < 0)
        return r;
    bool any = false;
    for (size_t i = 0; i < list->count; i++)
        any |= kill(list->pids[i], signal) == 0;
    return any ? 0 : -ESRCH;
}

int list_parse_stat(const char *text, struct list_stat *ret) {
    const char *end = strrchr(text, ')');
    unsigned long long user, system;
    struct list_stat stat;
    /* Fields 3 to 22; %*s skips what is not wanted. */
    if (!end || sscanf(end + 1, " %*c %d %*s %*s %u %*s %*s %*s %*s %*s %*s %llu %llu %*s %*s %*s %*s %*s %*s %llu",
                       &stat.ppid, &stat.terminal, &user, &system, &stat.start_ticks) != 5)
        return -EBADMSG;
    stat.cpu_ticks = user + system;
    *ret = stat;
    return 0;
}

void list_command(const char *text, size_t length, char ret[LIST_COMMAND_MAX + 1]) {
    while (length > 0 && text[length - 1] == '\0')
        length--;
    if (length > LIST_COMMAND_MAX)
        length = LIST_COMMAND_MAX;
    for (size_t i = 0; i < length; i++)
        ret[i] = text[i] == '\0' ? ' ' : text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    ret[length] = '\0';
}

void list_terminal_name(unsigned device, char ret[32]) {
    unsigned major = (device >> 8) & 0xfff, minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    ret[0] = '\0';
    if (device != 0 && major == PTS_MAJOR)
        (void)snprintf(ret, 32, "pts/%u", minor);
}

struct entry {
    Minka__Agent__V1__ProcessInfo message;
    char command[LIST_COMMAND_MAX + 1];
    char terminal[32];
};

/* The effective user, as ps(1) shows it. */
static unsigned effective_uid(const char *status) {
    const char *line = strstr(status, "\nUid:");
    unsigned uid = 0;
    return line && sscanf(line, "\nUid: %*u %u", &uid) == 1 ? uid : 0;
}

/* Wall-clock time of the boot, in milliseconds. */
static int64_t boot_time_msec(void) {
    struct timespec now = {0}, up = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)clock_gettime(CLOCK_BOOTTIME, &up);
    return ((int64_t)now.tv_sec - up.tv_sec) * 1000 + (now.tv_nsec - up.tv_nsec) / 1000000;
}

/* "[name]" where there are no arguments: kernel threads, and processes that have overwritten them. */
static void name_in_brackets(const char *stat, char ret[LIST_COMMAND_MAX + 1]) {
    const char *begin = strchr(stat, '('), *end = strrchr(stat, ')');
    char name[LIST_COMMAND_MAX + 1] = "?";
    if (begin && end > begin)
        list_command(begin + 1, (size_t)(end - begin - 1), name);
    name[64] = '\0';
    (void)snprintf(ret, LIST_COMMAND_MAX + 1, "[%.64s]", name);
}

/* False: it has ended meanwhile. */
static bool describe(pid_t pid, int64_t boot_msec, struct entry *entry) {
    _cleanup_free_ char *path = text_format("/proc/%d", pid);
    _cleanup_close_ int directory = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    _cleanup_free_ char *stat_text = NULL;
    _cleanup_free_ char *status = NULL;
    _cleanup_free_ char *command = NULL;
    size_t command_length = 0;
    struct list_stat stat;
    if (directory < 0 || read_file(directory, "stat", 65536, &stat_text, NULL, NULL) < 0 ||
        read_file(directory, "status", 65536, &status, NULL, NULL) < 0 || list_parse_stat(stat_text, &stat) < 0)
        return false;
    if (read_file(directory, "cmdline", 8 << 20, &command, &command_length, NULL) >= 0)
        list_command(command, command_length, entry->command);
    if (!entry->command[0])
        name_in_brackets(stat_text, entry->command);
    list_terminal_name(stat.terminal, entry->terminal);
    unsigned long long ticks = (unsigned long long)sysconf(_SC_CLK_TCK);
    entry->message = (Minka__Agent__V1__ProcessInfo)MINKA__AGENT__V1__PROCESS_INFO__INIT;
    entry->message.pid = pid;
    entry->message.ppid = stat.ppid;
    entry->message.uid = effective_uid(status);
    entry->message.cpu_msec = stat.cpu_ticks * 1000 / ticks;
    entry->message.start_time_msec = (uint64_t)boot_msec + stat.start_ticks * 1000 / ticks;
    entry->message.command = entry->command;
    entry->message.terminal = entry->terminal;
    return true;
}

static int answer_list(struct ttrpc_request *request, const struct pid_list *list) {
    _cleanup_free_ struct entry *entries = calloc(list->count + 1, sizeof *entries);
    _cleanup_free_ Minka__Agent__V1__ProcessInfo **pointers = calloc(list->count + 1, sizeof *pointers);
    if (!entries || !pointers)
        return -ENOMEM;
    int64_t boot_msec = boot_time_msec();
    Minka__Agent__V1__ListResponse response = MINKA__AGENT__V1__LIST_RESPONSE__INIT;
    response.processes = pointers;
    for (size_t i = 0; i < list->count; i++)
        if (describe(list->pids[i], boot_msec, &entries[i]))
            pointers[response.n_processes++] = &entries[i].message;
    answer(request, &response.base);
    return 0;
}

void container_list_run(struct agent *agent, struct ttrpc_request *request, const ProtobufCMessage *message) {
    const Minka__Agent__V1__ContainerRequest *r = (const void *)message;
    struct container *container = container_find(agent, request, r->container);
    if (!container)
        return;
    _cleanup_free_ struct pid_list *list = calloc(1, sizeof *list);
    struct err err = {0};
    if (list)
        (void)collect_container(container->id, list); /* a container that has ended has no processes */
    if (!list || answer_list(request, list) < 0) {
        err_set(&err, ENOMEM, "the VM is out of memory");
        answer_error(request, &err);
    }
}
