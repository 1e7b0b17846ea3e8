/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   minka-monitor --setup=N --listen=N --qmp=N --agent=N --console=N --vmm-stderr=N [--share-stderr=N]
 *                 --owner-uid=UID --dial-timeout=SECONDS [--debug] [--log=N]
 *
 * Started by minka's commands with exactly these descriptors open; what each is: monitor.h, docs/protocol-control.md.
 */
#include "shared/base/cleanup.h"
#include "shared/base/text.h"
#include "unprivileged/monitor/monitor.h"

#include <fcntl.h>
#include <getopt.h>
#include <string.h>

enum { DIAL_TIMEOUT_MAX_SEC = 3600 };

static const struct option options[] = {{"setup", required_argument, NULL, 's'},
                                        {"listen", required_argument, NULL, 'l'},
                                        {"qmp", required_argument, NULL, 'q'},
                                        {"agent", required_argument, NULL, 'a'},
                                        {"console", required_argument, NULL, 'c'},
                                        {"vmm-stderr", required_argument, NULL, 'v'},
                                        {"share-stderr", required_argument, NULL, 'f'},
                                        {"log", required_argument, NULL, 'L'},
                                        {"owner-uid", required_argument, NULL, 'o'},
                                        {"dial-timeout", required_argument, NULL, 't'},
                                        {"debug", no_argument, NULL, 'd'},
                                        {0}};

static int *descriptor_of(struct monitor_config *config, int option) {
    switch (option) {
    case 's':
        return &config->setup;
    case 'l':
        return &config->listen;
    case 'q':
        return &config->qmp;
    case 'a':
        return &config->agent;
    case 'c':
        return &config->console;
    case 'v':
        return &config->vmm_stderr;
    case 'f':
        return &config->share_stderr;
    case 'L':
        return &config->log;
    default:
        return NULL;
    }
}

static int parse_option(struct monitor_config *config, int option, const char *value, struct err *err) {
    uint64_t number = 0;
    int *fd = descriptor_of(config, option);
    if (option == '?')
        return err_set(err, EINVAL, "there is an unknown option, or one without its value");
    if (option == 'd') {
        config->debug = true;
        return 0;
    }
    if (parse_u64(value, &number) < 0)
        return err_set(err, EINVAL, "'%s' is not a number", value);
    if (fd) {
        if (number > 1023 || fcntl((int)number, F_GETFD) < 0)
            return err_set(err, EBADF, "descriptor %s is not open", value);
        *fd = (int)number;
    } else if (option == 'o' && number < UINT32_MAX) {
        config->owner = (uid_t)number;
    } else if (option == 't' && number >= 1 && number <= DIAL_TIMEOUT_MAX_SEC) {
        config->dial_timeout_sec = (unsigned)number;
    } else {
        return err_set(err, ERANGE, "%s is out of range", value);
    }
    return 0;
}

static int parse_arguments(struct monitor_config *config, int argc, char **argv, struct err *err) {
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int r = parse_option(config, option, optarg, err);
        if (r < 0)
            return r;
    }
    if (optind != argc)
        return err_set(err, EINVAL, "'%s' is not an option", argv[optind]);
    if (config->setup < 0 || config->listen < 0 || config->qmp < 0 || config->agent < 0 || config->console < 0 ||
        config->vmm_stderr < 0 || config->owner == (uid_t)-1 || config->dial_timeout_sec == 0)
        return err_set(err, EINVAL, "an option is missing; this program is started by minka");
    return 0;
}

int main(int argc, char **argv) {
    struct monitor_config config = {.setup = -EBADF,
                                    .listen = -EBADF,
                                    .qmp = -EBADF,
                                    .agent = -EBADF,
                                    .console = -EBADF,
                                    .vmm_stderr = -EBADF,
                                    .share_stderr = -EBADF,
                                    .log = -EBADF,
                                    .owner = (uid_t)-1};
    struct err err = {0};
    int r = parse_arguments(&config, argc, argv, &err);
    if (r == 0)
        r = monitor_run(&config, &err);
    if (r < 0) {
        fprintf(stderr, "minka-monitor: %s\n", err.text);
        return 125;
    }
    return r;
}
