/* SPDX-License-Identifier: Apache-2.0 */
#include "shared/base/text.h"

#include "shared/base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

char *text_format(const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    char *text = NULL;
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    return n < 0 ? NULL : text;
}

bool text_has_prefix(const char *text, const char *prefix) {
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

int parse_u64(const char *text, uint64_t *ret) {
    if (!isdigit((unsigned char)text[0]))
        return -EINVAL;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno)
        return -errno;
    if (*end)
        return -EINVAL;
    *ret = value;
    return 0;
}

int parse_i64(const char *text, int64_t *ret) {
    if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1])))
        return -EINVAL;
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno)
        return -errno;
    if (*end)
        return -EINVAL;
    *ret = value;
    return 0;
}

static const struct {
    const char *name;
    int number;
} signal_names[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT},     {"ILL", SIGILL},   {"TRAP", SIGTRAP},
    {"ABRT", SIGABRT}, {"IOT", SIGABRT},      {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL},
    {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},     {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},
    {"TERM", SIGTERM}, {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},     {"CLD", SIGCHLD},  {"CONT", SIGCONT},
    {"STOP", SIGSTOP}, {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU}, {"URG", SIGURG},
    {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},     {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},     {"POLL", SIGIO},       {"PWR", SIGPWR},       {"SYS", SIGSYS},
};

/* The kernel's numbers; the C library keeps the first two real-time signals for itself, the spec does not know that. */
enum { KERNEL_RTMIN = 34, KERNEL_RTMAX = 64 };

int signal_from_text(const char *text) {
    uint64_t number;
    if (parse_u64(text, &number) == 0)
        return number >= 1 && number <= KERNEL_RTMAX ? (int)number : -EINVAL;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++)
        if (strcasecmp(text, signal_names[i].name) == 0)
            return signal_names[i].number;
    int base = 0;
    if (strncasecmp(text, "RTMIN", 5) == 0)
        base = KERNEL_RTMIN;
    else if (strncasecmp(text, "RTMAX", 5) == 0)
        base = KERNEL_RTMAX;
    else
        return -EINVAL;
    int64_t offset = 0;
    const char *rest = text + 5;
    if (*rest) {
        if ((*rest == '+') != (base == KERNEL_RTMIN) || parse_i64(*rest == '+' ? rest + 1 : rest, &offset) < 0)
            return -EINVAL;
        if (offset < -64 || offset > 64)
            return -EINVAL;
    }
    int value = base + (int)offset;
    return value >= KERNEL_RTMIN && value <= KERNEL_RTMAX ? value : -EINVAL;
}

const char *signal_to_text(int signal) {
    static char text[32];
    for (size_t i = 0; i < ARRAY_SIZE(signal_names); i++)
        if (signal_names[i].number == signal) {
            (void)snprintf(text, sizeof text, "SIG%s", signal_names[i].name);
            return text;
        }
    if (signal >= KERNEL_RTMIN && signal <= KERNEL_RTMAX)
        (void)snprintf(text, sizeof text, "SIGRTMIN+%d", signal - KERNEL_RTMIN);
    else
        (void)snprintf(text, sizeof text, "signal %d", signal);
    return text;
}

bool id_is_valid(const char *id) {
    size_t length = strlen(id);
    if (length == 0 || length > 255 || strcmp(id, ".") == 0 || strcmp(id, "..") == 0)
        return false;
    for (const char *c = id; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_+.-", *c))
            return false;
    return true;
}

enum { CGROUP_FILE_MAX = 64 }; /* MAX_CFTYPE_NAME in the kernel */

/* Version 1 has some without a controller. The rest is CONTROLLER.SETTING, whatever controllers there will be. */
static bool is_cgroup_file(const char *name) {
    static const char *const plain[] = {"tasks", "notify_on_release", "release_agent"};
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
        if (strcmp(name, plain[i]) == 0)
            return true;
    size_t controller = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
    return controller > 0 && name[controller] == '.' && name[controller + 1] && strlen(name) <= CGROUP_FILE_MAX;
}

const char *id_to_cgroup(const char *id, char ret[static ID_CGROUP_SIZE]) {
    (void)snprintf(ret, ID_CGROUP_SIZE, "%s%s", id, is_cgroup_file(id) ? ":" : "");
    return ret;
}

size_t text_utf8_sequence(const char *text, size_t length) {
    const unsigned char *c = (const unsigned char *)text;
    if (length == 0 || c[0] < 0x80)
        return length ? 1 : 0;
    size_t n = c[0] >= 0xc2 && c[0] <= 0xdf ? 2 : (c[0] & 0xf0) == 0xe0 ? 3 : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4 : 0;
    if (n == 0 || n > length)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    /* overlong forms, surrogates, and what lies above U+10FFFF */
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) || (c[0] == 0xf0 && c[1] < 0x90) ||
        (c[0] == 0xf4 && c[1] > 0x8f))
        return 0;
    return n;
}

void text_make_printable(char *text) {
    size_t left = strlen(text);
    for (unsigned char *c = (unsigned char *)text; left > 0;) {
        size_t length = text_utf8_sequence((const char *)c, left);
        if (*c == '\t' || *c == '\n' || *c == '\r')
            *c = ' ';
        else if (*c < 0x20 || *c == 0x7f || length == 0)
            *c = '?';
        else if (length == 2 && c[0] == 0xc2 && c[1] < 0xa0) /* C1: U+009B is CSI to a terminal */
            c[0] = c[1] = '?';
        length = length ? length : 1;
        c += length;
        left -= length;
    }
}
