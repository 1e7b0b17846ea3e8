/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest kernel's command line. The words of Documentation/admin-guide/
 * kernel-parameters.txt, each with its reason; the user's own come last, so
 * that they win.
 */
#include "facts/vmm/vmm.h"
#include "shared/base/buf.h"
#include "shared/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* COMMAND_LINE_SIZE of arch/x86/include/asm/setup.h, with its closing NUL: the kernel cuts the rest off in silence. */
enum { KERNEL_COMMAND_LINE_MAX = 2048 };

enum { RESERVE_MIN_KIB = 8192 };

struct words {
    struct buf text;
    bool failed;
};

static void add(struct words *words, const char *word) {
    if (words->text.length > 0 && buf_append(&words->text, " ", 1) < 0)
        words->failed = true;
    if (buf_append_string(&words->text, word) < 0)
        words->failed = true;
}

static void add_messages(struct words *words, const struct vmm_config *config) {
    if (config->fds.console >= 0)
        add(words, "console=ttyS0");
    if (config->debug) {
        add(words, "ignore_loglevel");
        return;
    }
    /* loglevel=1 and not 0: with 0 console_verbose() leaves the level alone, and a panic would say nothing. */
    add(words, "quiet loglevel=1");
}

static void add_time(struct words *words, const struct vmm_config *config) {
    if (config->accel != VMM_TCG)
        return; /* under KVM the clock's rate comes from kvm-clock */
    /*
     * TCG hands the host's TSC to the guest. Left to itself the guest measures it against the PIT, which on a busy host
     * fails in up to 40 % of boots, and without a timer from the (absent) PIC the kernel then waits for ever. Being
     * told the rate it measures nothing.
     */
    if (config->tsc_khz > 0) {
        char word[48];
        (void)snprintf(word, sizeof(word), "tsc_early_khz=%llu", (unsigned long long)config->tsc_khz);
        add(words, word);
        add(words, "tsc=reliable");
    }
    add(words, "no_timer_check");
}

static void add_boot(struct words *words) {
    add(words, "panic=-1 reboot=t"); /* a dead guest ends its VMM at once: triple fault, -no-reboot */
    add(words, "cryptomgr.notests"); /* the self-tests of the crypto code take a fifth of the boot */
    add(words, "swiotlb=noforce");   /* no device here needs bounce buffers; saves 64 MiB above 3 GiB of memory */
    add(words, "cgroup_no_v1=all");  /* every controller belongs to cgroup v2 */
}

static void add_processor(struct words *words, const struct vmm_config *config) {
    if (config->accel == VMM_TCG) {
        add(words, "noreplace-smp");              /* patching lock prefixes costs more than it saves here */
        add(words, "mitigations=off");            /* the emulated CPU does not speculate */
        add(words, "transparent_hugepage=never"); /* nothing is gained by them in emulation */
        return;
    }
    /*
     * khugepaged raises the reserve of free memory to 5 %, and the container would meet the machine's OOM killer before
     * its own limit (size.c). Back to about what the kernel chooses without huge pages.
     */
    char word[64];
    unsigned long long reserve = config->memory_mib > RESERVE_MIN_KIB ? config->memory_mib : RESERVE_MIN_KIB;
    (void)snprintf(word, sizeof(word), "sysctl.vm.min_free_kbytes=%llu", reserve);
    add(words, word);
}

static void add_modules(struct words *words, const struct vmm_config *config) {
    add(words, config->machine == VMM_MICROVM ? "minka.modules=mmio,console" : "minka.modules=pci,console");
    if (config->fds.share >= 0 && buf_append_string(&words->text, ",virtiofs") < 0)
        words->failed = true;
    if (config->n_disks > 0 && buf_append_string(&words->text, ",blk") < 0)
        words->failed = true;
}

/* The words of the user may hold anything printable; what could end the line or hide in a log may not. */
static int check_user_words(const char *params, struct err *err) {
    for (const char *c = params; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return err_set(err, EINVAL,
                           "kernel_params has a control character at position %zu; separate words by spaces",
                           (size_t)(c - params) + 1);
    return 0;
}

int vmm_kernel_command_line(const struct vmm_config *config, char **ret, struct err *err) {
    _cleanup_(buf_done) struct buf text = {0};
    struct words words = {0};
    const char *params = config->kernel_params ? config->kernel_params : "";

    int r = check_user_words(params, err);
    if (r < 0)
        return r;
    add_messages(&words, config);
    add_time(&words, config);
    add_boot(&words);
    add_processor(&words, config);
    add_modules(&words, config);
    if (*params)
        add(&words, params);
    text = words.text;
    if (words.failed || !buf_string(&text))
        return err_set(err, ENOMEM, "out of memory for the kernel command line");
    if (text.length >= KERNEL_COMMAND_LINE_MAX)
        return err_set(err, E2BIG,
                       "the guest's kernel command line has %zu characters, %d are possible; shorten kernel_params",
                       text.length, KERNEL_COMMAND_LINE_MAX - 1);
    *ret = strdup(buf_string(&text));
    return *ret ? 0 : err_set(err, ENOMEM, "out of memory for the kernel command line");
}
