/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What filter-test starts in the place of a monitor, a VMM, a file server or a stand-in: it makes one attempt, by name,
 * and ends with 0 when that succeeded, else with the errno. `pause` waits.
 *
 * Every call is made with arguments that are as good as can be, so that what refuses it is not their form.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

static char area[4096] __attribute__((aligned(4096)));

static long attempt_memfd_exec(void) {
    static char name[] = "x", *argv[] = {name, NULL}, *envp[] = {NULL};
    int fd = (int)syscall(SYS_memfd_create, "x", 0U);
    if (fd < 0)
        return fd;
    static const char script[] = "#!/x\n";
    if (write(fd, script, sizeof script - 1) < 0)
        return -1;
    return syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
}

static long attempt_clone(uint64_t flags) {
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0UL, NULL, NULL, 0UL);
    if (pid == 0)
        _exit(0);
    return pid;
}

static long attempt_clone3(void) {
    struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        _exit(0);
    return pid;
}

/* getpid() as an i386 program calls it: number 20. */
static long attempt_i386(void) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
    return result;
}

static long attempt_listener(void) {
    struct sock_filter allow = {.code = 6 /* BPF_RET */, .k = SECCOMP_RET_ALLOW};
    struct sock_fprog program = {.len = 1, .filter = &allow};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static long attempt_connect(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "\0engine"};
    return connect(0, (struct sockaddr *)&address, sizeof address);
}

static long attempt_code(int prot, int flags) {
    void *p = mmap(NULL, sizeof area, prot, flags, -1, 0);
    return p == MAP_FAILED ? -1 : 0;
}

static struct iovec one = {area, 1};
static struct io_uring_params ring;
static union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
static struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event, .exclude_kernel = 1};
static struct file_handle handle = {.handle_bytes = 0};

static long make(const char *what) {
#define ATTEMPT(name, call)                                                                                            \
    if (strcmp(what, name) == 0)                                                                                       \
    return (long)(call)
    ATTEMPT("ptrace", syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0));
    ATTEMPT("process_vm_readv", syscall(SYS_process_vm_readv, getpid(), &one, 1UL, &one, 1UL, 0UL));
    ATTEMPT("process_vm_writev", syscall(SYS_process_vm_writev, getpid(), &one, 1UL, &one, 1UL, 0UL));
    ATTEMPT("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 0));
    ATTEMPT("pidfd_open", syscall(SYS_pidfd_open, getpid(), 0U));
    ATTEMPT("pidfd_getfd", syscall(SYS_pidfd_getfd, 0, 0, 0U));
    ATTEMPT("pidfd_send_signal", syscall(SYS_pidfd_send_signal, 0, 0, NULL, 0U));
    ATTEMPT("process_madvise", syscall(SYS_process_madvise, 0, &one, 1UL, MADV_COLD, 0U));
    ATTEMPT("kill-others", syscall(SYS_kill, -1, 0));
    ATTEMPT("tgkill-others", syscall(SYS_tgkill, 2, 2, SIGKILL));
    ATTEMPT("tkill", syscall(SYS_tkill, 1, 0));
    ATTEMPT("mount", mount("none", "/", "tmpfs", 0, NULL));
    ATTEMPT("umount2", umount2("/", MNT_DETACH));
    ATTEMPT("pivot_root", syscall(SYS_pivot_root, ".", "."));
    ATTEMPT("fsopen", syscall(SYS_fsopen, "tmpfs", 0U));
    ATTEMPT("fsconfig", syscall(SYS_fsconfig, 0, 0U, "", "", 0));
    ATTEMPT("fsmount", syscall(SYS_fsmount, 0, 0U, 0U));
    ATTEMPT("fspick", syscall(SYS_fspick, AT_FDCWD, "/", 0U));
    ATTEMPT("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1U));
    ATTEMPT("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/", AT_FDCWD, "/", 0U));
    ATTEMPT("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/", 0U, area, 32UL));
    ATTEMPT("unshare-user", unshare(CLONE_NEWUSER));
    ATTEMPT("unshare-mount", unshare(CLONE_NEWNS | CLONE_FS));
    ATTEMPT("setns", setns(0, 0));
    ATTEMPT("clone-user", attempt_clone(CLONE_NEWUSER));
    ATTEMPT("clone-thread-user", attempt_clone(CLONE_NEWUSER | CLONE_VM | CLONE_SIGHAND | CLONE_THREAD));
    ATTEMPT("clone3-user", attempt_clone3());
    ATTEMPT("fork", attempt_clone(0));
    ATTEMPT("vfork", attempt_clone(CLONE_VM | CLONE_VFORK));
    ATTEMPT("execve", execve("/x", (char *[]){area, NULL}, (char *[]){NULL}));
    ATTEMPT("execveat-memfd", attempt_memfd_exec());
    ATTEMPT("socket-unix", socket(AF_UNIX, SOCK_STREAM, 0));
    ATTEMPT("socket-inet", socket(AF_INET, SOCK_STREAM, 0));
    ATTEMPT("socket-inet6", socket(AF_INET6, SOCK_DGRAM, 0));
    ATTEMPT("socket-netlink", socket(AF_NETLINK, SOCK_RAW, 0));
    ATTEMPT("socket-packet", socket(AF_PACKET, SOCK_RAW, 0));
    ATTEMPT("socket-vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    ATTEMPT("socket-alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
    ATTEMPT("connect", attempt_connect());
    ATTEMPT("bind", syscall(SYS_bind, 0, area, 2));
    ATTEMPT("listen", listen(0, 1));
    ATTEMPT("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map));
    ATTEMPT("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, -3, 1));
    ATTEMPT("add_key", syscall(SYS_add_key, "user", "x", "x", 1UL, -3));
    ATTEMPT("request_key", syscall(SYS_request_key, "user", "x", NULL, 0));
    ATTEMPT("io_uring_setup", syscall(SYS_io_uring_setup, 1U, &ring));
    ATTEMPT("io_uring_enter", syscall(SYS_io_uring_enter, 0, 0U, 0U, 0U, NULL, 0UL));
    ATTEMPT("userfaultfd", syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */));
    ATTEMPT("perf_event_open", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0UL));
    ATTEMPT("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, &handle, O_RDONLY));
    ATTEMPT("name_to_handle_at", syscall(SYS_name_to_handle_at, AT_FDCWD, "/", area, area + 2048, 0));
    ATTEMPT("fanotify_init", syscall(SYS_fanotify_init, 0U, 0U));
    ATTEMPT("inotify_init1", syscall(SYS_inotify_init1, 0));
    ATTEMPT("kexec_load", syscall(SYS_kexec_load, 0UL, 0UL, NULL, 0UL));
    ATTEMPT("kexec_file_load", syscall(SYS_kexec_file_load, 0, 0, 0UL, "", 0UL));
    ATTEMPT("init_module", syscall(SYS_init_module, area, 1UL, ""));
    ATTEMPT("finit_module", syscall(SYS_finit_module, 0, "", 0));
    ATTEMPT("delete_module", syscall(SYS_delete_module, "x", 0U));
    ATTEMPT("reboot", syscall(SYS_reboot, 0, 0, 0, NULL)); /* not the magic numbers */
    ATTEMPT("swapon", syscall(SYS_swapon, "/x", 0));
    ATTEMPT("acct", syscall(SYS_acct, NULL));
    ATTEMPT("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL));
    ATTEMPT("syslog", syscall(SYS_syslog, 3, area, 1));
    ATTEMPT("iopl", syscall(SYS_iopl, 3));
    ATTEMPT("ioperm", syscall(SYS_ioperm, 0x80UL, 1UL, 1));
    ATTEMPT("modify_ldt", syscall(SYS_modify_ldt, 0, area, 16UL));
    ATTEMPT("personality", syscall(SYS_personality, 0x0400000UL /* READ_IMPLIES_EXEC */));
    ATTEMPT("settimeofday", syscall(SYS_settimeofday, NULL, NULL));
    ATTEMPT("clock_settime", syscall(SYS_clock_settime, 0, area));
    ATTEMPT("adjtimex", syscall(SYS_adjtimex, area));
    ATTEMPT("sethostname", sethostname("x", 1));
    ATTEMPT("setuid", syscall(SYS_setuid, 0));
    ATTEMPT("setfsuid", syscall(SYS_setfsuid, 0));
    ATTEMPT("setsid", syscall(SYS_setsid));
    ATTEMPT("chroot", syscall(SYS_chroot, "/"));
    ATTEMPT("mknod", syscall(SYS_mknod, "/x", S_IFCHR | 0600, 0x101));
    ATTEMPT("memfd_secret", syscall(SYS_memfd_secret, 0U));
    ATTEMPT("landlock", syscall(SYS_landlock_create_ruleset, NULL, 0UL, 1U));
    ATTEMPT("shmget", syscall(SYS_shmget, 1, 4096UL, 01600));
    ATTEMPT("semget", syscall(SYS_semget, 1, 1, 01600));
    ATTEMPT("msgget", syscall(SYS_msgget, 1, 01600));
    ATTEMPT("mq_open", syscall(SYS_mq_open, "x", O_RDWR | O_CREAT, 0600, NULL));
    ATTEMPT("splice", syscall(SYS_splice, 0, NULL, 0, NULL, 1UL, 0U));
    ATTEMPT("vmsplice", syscall(SYS_vmsplice, 0, &one, 1UL, 0U));
    ATTEMPT("move_pages", syscall(SYS_move_pages, 0, 0UL, NULL, NULL, NULL, 0));
    ATTEMPT("remap_file_pages", syscall(SYS_remap_file_pages, area, 4096UL, 0, 0UL, 0));
    ATTEMPT("pkey_alloc", syscall(SYS_pkey_alloc, 0UL, 0UL));
    ATTEMPT("prctl-dumpable", prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    ATTEMPT("prctl-ptracer", prctl(PR_SET_PTRACER, -1L, 0, 0, 0));
    ATTEMPT("prctl-speculation", prctl(PR_SET_SPECULATION_CTRL, 0, PR_SPEC_ENABLE, 0, 0));
    ATTEMPT("seccomp-listener", attempt_listener());
    ATTEMPT("seccomp-strict", syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0U, NULL));
    ATTEMPT("tiocsti", ioctl(0, TIOCSTI, "x"));
    ATTEMPT("kvm-ioctl", ioctl(0, KVM_GET_API_VERSION, 0));
    ATTEMPT("code-writable", attempt_code(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS));
    ATTEMPT("code-anonymous", attempt_code(PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS));
    ATTEMPT("code-mprotect", mprotect(area, sizeof area, PROT_READ | PROT_EXEC));
    ATTEMPT("code-mprotect-writable", mprotect(area, sizeof area, PROT_READ | PROT_WRITE | PROT_EXEC));
    ATTEMPT("i386", attempt_i386());
    ATTEMPT("x32", syscall(0x40000000L | SYS_getpid));
    ATTEMPT("newer", syscall(1000L));
    ATTEMPT("nothing", 0);
    errno = EDOM; /* no such attempt */
    return -1;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "pause";
    while (strcmp(what, "pause") == 0)
        (void)poll(NULL, 0, -1);
    errno = 0;
    long result = make(what);
    return result < 0 && errno == 0 ? (int)-result & 127 : result < 0 ? errno : 0;
}
