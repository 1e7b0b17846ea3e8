/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that several roles share. [read]: known from a program's source, not seen in a run of the tests. */
#include "privileged/filter/rows.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/*
 * From the loading of the filter on, until main(). That execve(2) is called once only cannot be said in a filter, but
 * where from can: at that address a program that can have no executable memory but its own has none. In the others it
 * gains nothing: what could be executed, in a root without a file, has the same filter, the same uid and the same root.
 */
const struct filter_row filter_start[] = {
    ALLOW(sendmsg, "the stage of the proof tells the command that it is ready"),
    ALLOW(recvfrom, "and waits for its answer"),
    {.call = "execve",
     .why = "becoming the program, which is not in the table otherwise",
     .number = SYS_execve,
     .action = FILTER_AT_START},
    {.call = "execveat",
     .why = "the same for a program by descriptor",
     .number = SYS_execveat,
     .action = FILTER_AT_START},
    ALLOW(brk, "the C library's start and malloc()"),
    ALLOW(arch_prctl, "thread-local storage", IS(0, ARCH_SET_FS)),
    ALLOW(set_tid_address, "the C library's start"),
    ALLOW(set_robust_list, "the C library's start, and that of each thread"),
    ALLOW(rseq, "the C library's start, and that of each thread"),
    ALLOW(prlimit64, "getrlimit() of its stack; hard limits of its own it can only lower", IS(0, 0)),
    ALLOW(readlink, "the C library asks for /proc/self/exe, which is not there"),
    ALLOW(getrandom, "seeds of malloc() and the stack's protection"),
    ALLOW(munmap, "gives back only what is its own"),
    ALLOW(exit_group, "the end"),
    ALLOW(restart_syscall, "what the kernel makes of a call that a stop signal interrupted"),
    ALLOW(futex, "locks of the C library"),
    END,
};

const struct filter_row filter_no_code[] = {
    ALLOW(mmap, "memory for malloc()", BITS(2, PROT_EXEC, 0), BITS(3, MAP_ANONYMOUS, MAP_ANONYMOUS)),
    ALLOW(mprotect, "the program's relocations become read-only, heaps grow", BITS(2, PROT_EXEC, 0)),
    ALLOW(mremap, "realloc()"),
    END,
};

const struct filter_row filter_compiler[] = {
    ALLOW(mprotect, "TCG's buffer of translated code is writable and executable",
          IS(2, PROT_READ | PROT_WRITE | PROT_EXEC)),
    END,
};

const struct filter_row filter_library[] = {
    ALLOW(mmap, "data, and files", BITS(2, PROT_EXEC, 0)),
    /* All libraries are loaded before main() or, in QEMU 7.2, for an accelerator; later there is no file with code. */
    ALLOW(mmap, "a library's code, never writable", BITS(2, PROT_EXEC | PROT_WRITE, PROT_EXEC),
          BITS(3, MAP_ANONYMOUS | MAP_SHARED, 0)),
    ALLOW(mprotect, "read-only relocations, stacks' guard pages", BITS(2, PROT_EXEC, 0)),
    ALLOW(mremap, "realloc()"),
    ALLOW(madvise, "malloc() gives back memory; the guest's wants huge pages and no dumps"),
    ALLOW(openat, "libraries and data by path; what is not in the jail, which is empty later, is not found"),
    ALLOW(open, "[read] the same"),
    ALLOW(access, "the same: is it there?"),
    ALLOW(faccessat, "[read] the same"),
    ALLOW(read, "libraries, and all there is to read"),
    ALLOW(pread64, "parts of files"),
    ALLOW(close, "descriptors"),
    ALLOW(newfstatat, "what kind of file a descriptor or a path is"),
    ALLOW(fstat, "[read] the same"),
    ALLOW(stat, "[read] the same"),
    ALLOW(lstat, "[read] the same"),
    ALLOW(statx, "the same"),
    ALLOW(statfs, "libselinux looks for its file system"),
    ALLOW(fstatfs, "page size and kind of a file system"),
    ALLOW(lseek, "sizes of files"),
    END,
};

const struct filter_row filter_events[] = {
    ALLOW(epoll_create1, "the event loop"),
    ALLOW(epoll_ctl, "the event loop"),
    ALLOW(epoll_wait, "the event loop"),
    ALLOW(epoll_pwait, "[read] how other C libraries do epoll_wait()"),
    ALLOW(signalfd4, "signals come as events"),
    ALLOW(rt_sigprocmask, "and are blocked therefore"),
    ALLOW(rt_sigaction, "default and ignored signals"),
    ALLOW(read, "signals, timers, streams"),
    ALLOW(write, "streams; messages to stderr"),
    ALLOW(writev, "[read] the C library's last words before abort()"),
    ALLOW(sendto, "send() to the other processes of the sandbox"),
    ALLOW(close, "descriptors"),
    ALLOW(newfstatat, "fstat() of a descriptor; as a path, of nothing in an empty root"),
    ALLOW(fstat, "[read] the same"),
    ALLOW(clock_gettime, "where the kernel gives no vDSO"),
    ALLOW(getpid, "raise() and abort()"),
    ALLOW(gettid, "[read] raise() and abort()"),
    ALLOW(tgkill, "[read] abort()", IS(2, SIGABRT)),
    END,
};

const struct filter_row filter_own[] = {
    ALLOW(prctl, "a program's own filter needs it", IS(0, PR_SET_NO_NEW_PRIVS)),
    ALLOW(prctl, "is it set already?", IS(0, PR_GET_NO_NEW_PRIVS)),
    ALLOW(seccomp, "its own filter, above this one", IS(0, SECCOMP_SET_MODE_FILTER),
          BITS(1, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0)),
    ALLOW(seccomp, "libseccomp asks what the kernel has", IS(0, SECCOMP_GET_ACTION_AVAIL)),
    ALLOW(seccomp, "the same", IS(0, SECCOMP_GET_NOTIF_SIZES)),
    REFUSE(seccomp, EINVAL, "and tries what would fail, but never a filter that somebody else answers for"),
    END,
};

/* Only threads: the flags that pthread_create() sets are those, and no namespace. */
#define NAMESPACES                                                                                                     \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define THREAD (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)

const struct filter_row filter_threads[] = {
    ALLOW(clone, "threads", BITS(0, THREAD | NAMESPACES | CLONE_VFORK | CLONE_UNTRACED | CLONE_PTRACE, THREAD)),
    REFUSE(clone3, ENOSYS, "its flags are in memory, where no filter sees them; C libraries then call clone()"),
    ALLOW(exit, "the end of a thread"),
    ALLOW(gettid, "who am I"),
    ALLOW(tgkill, "pthread_kill() and abort(): pid 1 of its namespace is itself", IS(0, 1)),
    ALLOW(rt_sigreturn, "the end of a signal handler"),
    ALLOW(rt_sigaction, "signal handlers"),
    ALLOW(rt_sigprocmask, "threads that take no signals"),
    ALLOW(sigaltstack, "[read] handlers of stack overflows"),
    ALLOW(membarrier, "[read] read-copy-update in user space"),
    ALLOW(sched_yield, "[read] before a lock is waited for"),
    ALLOW(sched_getaffinity, "how many CPUs there are"),
    ALLOW(prctl, "threads have names", IS(0, PR_SET_NAME)),
    END,
};

const struct filter_row filter_foreign[] = {
    ALLOW(getpid, "who am I"),
    ALLOW(getppid, "the same"),
    ALLOW(getuid, "the same"),
    ALLOW(geteuid, "the same"),
    ALLOW(getgid, "[read] the same"),
    ALLOW(getegid, "the same"),
    ALLOW(getresuid, "[read] the same"),
    ALLOW(getresgid, "[read] the same"),
    ALLOW(getgroups, "the same"),
    ALLOW(getpgrp, "[read] the same"),
    ALLOW(getsid, "[read] the same"),
    ALLOW(uname, "[read] which kernel is it"),
    ALLOW(sysinfo, "how much memory has the host"),
    ALLOW(getrusage, "[read] how much time has it used"),
    ALLOW(times, "[read] the same"),
    ALLOW(getcpu, "[read] where am I"),
    ALLOW(time, "[read] where the kernel gives no vDSO"),
    ALLOW(gettimeofday, "[read] the same"),
    ALLOW(clock_gettime, "the same"),
    ALLOW(clock_getres, "[read] the same"),
    ALLOW(nanosleep, "[read] wait"),
    ALLOW(clock_nanosleep, "wait"),
    ALLOW(poll, "wait for descriptors"),
    ALLOW(ppoll, "wait for descriptors"),
    ALLOW(epoll_create1, "wait for descriptors"),
    ALLOW(epoll_ctl, "wait for descriptors"),
    ALLOW(epoll_wait, "wait for descriptors"),
    ALLOW(epoll_pwait, "[read] wait for descriptors"),
    ALLOW(eventfd2, "threads wake each other; a virtual queue is kicked"),
    ALLOW(pipe2, "[read] where there is no eventfd"),
    ALLOW(write, "what there is to write"),
    ALLOW(readv, "the same in pieces"),
    ALLOW(writev, "the same in pieces"),
    ALLOW(recvmsg, "its sockets"),
    ALLOW(getsockopt, "of which kind is a socket"),
    ALLOW(getsockname, "the same"),
    ALLOW(getpeername, "the same"),
    ALLOW(shutdown, "[read] the end of a connection"),
    ALLOW(dup, "a second descriptor"),
    ALLOW(dup3, "[read] the same"),
    ALLOW(fcntl, "close-on-exec", IS(1, F_GETFD)),
    ALLOW(fcntl, "the same", IS(1, F_SETFD)),
    ALLOW(fcntl, "non-blocking", IS(1, F_GETFL)),
    ALLOW(fcntl, "the same", IS(1, F_SETFL)),
    ALLOW(fcntl, "a second descriptor", IS(1, F_DUPFD_CLOEXEC)),
    ALLOW(fcntl, "[read] the same", IS(1, F_DUPFD)),
    ALLOW(fcntl, "memory that does not shrink", IS(1, F_ADD_SEALS)),
    ALLOW(fcntl, "[read] the same", IS(1, F_GET_SEALS)),
    ALLOW(fcntl, "[read] locks of files", IS(1, F_OFD_SETLK)),
    ALLOW(fcntl, "[read] locks of files", IS(1, F_OFD_GETLK)),
    ALLOW(fcntl, "[read] locks of files", IS(1, F_OFD_SETLKW)),
    ALLOW(fcntl, "[read] locks of files", IS(1, F_SETLK)),
    ALLOW(fcntl, "[read] locks of files", IS(1, F_GETLK)),
    ALLOW(fcntl, "[read] locks of files", IS(1, F_SETLKW)),
    REFUSE(fcntl, EINVAL, "not signals for descriptors, leases or whatever comes"),
    ALLOW(umask, "whoever makes files"),
    ALLOW(get_mempolicy, "libnuma asks at its start"),
    REFUSE(set_mempolicy, EPERM, "libnuma tries at its start"),
    REFUSE(sched_setaffinity, EPERM, "[read] the cgroup says which CPUs"),
    REFUSE(sched_setscheduler, EPERM, "[read] and how much of them"),
    REFUSE(sched_setparam, EPERM, "[read] the same"),
    REFUSE(setpriority, EPERM, "[read] the same"),
    ALLOW(prctl, "[read] names of memory areas", IS(0, PR_SET_VMA)),
    REFUSE(prctl, EINVAL, "[read] what else may be tried; no dumps, no tracer, no speculation"),
    REFUSE(arch_prctl, EINVAL, "[read] shadow stacks are tried by newer C libraries"),
    REFUSE(userfaultfd, ENOSYS, "vhost-user tries it for migration"),
    REFUSE(io_uring_setup, ENOSYS, "QEMU tries it, and then waits as before; its calls would pass by this filter"),
    REFUSE(close_range, ENOSYS, "[read] nobody shall close what he does not know"),
    REFUSE(faccessat2, ENOSYS, "[read] newer than access(), which is then called"),
    REFUSE(epoll_pwait2, ENOSYS, "[read] newer than epoll_wait(), which is then called"),
    REFUSE(futex_waitv, ENOSYS, "[read] newer than futex()"),
    END,
};
