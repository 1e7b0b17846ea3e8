#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Who serves a sandbox, read from /proc while it runs.
load ../lib/common

setup_file() {
    setup_minka
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR new_bundle
    set_args sleep 1000
    export BUNDLE ID=$ID_PREFIX-unprivileged
    minka run --detach --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
}
teardown_file() { minka delete --force "$ID"; }

roles='monitor vmm fileServer standin'
process_of() { jq -r ".$1.pid" "$MINKA_ROOT/$ID/state.json"; }
field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }

@test "unprivileged: each role has a uid and gid of its own, leased, and no groups" {
    local role pid uids=()
    for role in $roles; do
        pid=$(process_of $role)
        read -r real effective saved fs <<<"$(field "$pid" Uid)"
        echo "$role: $real"
        ((real >= RANGE && real < RANGE + 1000))
        [ "$real $real $real" = "$effective $saved $fs" ]
        [ "$(field "$pid" Gid)" = "$(field "$pid" Uid)" ]
        [ -z "$(field "$pid" Groups | tr -d ' ')" ]
        uids+=("$real")
    done
    [ "$(printf '%s\n' "${uids[@]}" | sort -u | wc -l)" -eq 4 ]
}

@test "unprivileged: no capabilities anywhere, no_new_privs, not dumpable" {
    local role pid set
    for role in $roles; do
        pid=$(process_of $role)
        [ "$(field "$pid" NoNewPrivs)" = 1 ]
        for set in CapInh CapPrm CapEff CapBnd CapAmb; do
            [[ $role == fileServer ]] || [ "$((16#$(field "$pid" $set)))" -eq 0 ]
        done
        [ "$(stat -c %u "/proc/$pid/mem")" = 0 ] # root's, because the process is not dumpable
    done
    # the file server's capabilities hold in a user namespace of its own only
    pid=$(process_of fileServer)
    [ "$(readlink "/proc/$pid/ns/user")" != "$(readlink /proc/self/ns/user)" ]
}

@test "unprivileged: private mount, network, pid, ipc, uts and cgroup namespaces" {
    local role pid ns
    for role in $roles; do
        pid=$(process_of $role)
        for ns in mnt net pid ipc uts cgroup; do
            echo "$role $ns"
            [ "$(readlink "/proc/$pid/ns/$ns")" != "$(readlink "/proc/self/ns/$ns")" ]
        done
    done
    [ "$(readlink "/proc/$(process_of vmm)/ns/pid")" != "$(readlink "/proc/$(process_of monitor)/ns/pid")" ]
}

@test "unprivileged: the running VMM's root is one empty read-only tmpfs, and so are the monitor's and the stand-in's" {
    local role pid
    for role in vmm monitor standin; do
        pid=$(process_of $role)
        echo "$role: $(cat "/proc/$pid/mountinfo")"
        [ "$(wc -l <"/proc/$pid/mountinfo")" -eq 1 ]
        [[ $(cat "/proc/$pid/mountinfo") == *" / ro"*" - tmpfs "* ]]
        [ -z "$(ls -A "/proc/$pid/root/")" ]
    done
}

@test "unprivileged: the VMM holds nothing but sockets, its memory and the accelerator" {
    local pid link
    pid=$(process_of vmm)
    for link in /proc/"$pid"/fd/*; do
        case $(readlink "$link") in
        socket:* | pipe:* | anon_inode:* | /memfd:* | /dev/kvm | /dev/null) ;;
        *) echo "unexpected: $(readlink "$link")"; false ;;
        esac
    done
}

@test "unprivileged: each thread of each process is under a list of system calls, and QEMU under its own too" {
    local role thread own
    own=$(field self Seccomp_filters)
    for role in $roles; do
        for thread in "/proc/$(process_of $role)/task"/*; do
            echo "$role: $(field "${thread#/proc/}" Seccomp) $(field "${thread#/proc/}" Seccomp_filters)"
            [ "$(field "${thread#/proc/}" Seccomp)" = 2 ]
            case $role in
            vmm) [ "$(field "${thread#/proc/}" Seccomp_filters)" -eq $((own + 2)) ] ;;
            fileServer) [ "$(field "${thread#/proc/}" Seccomp_filters)" -gt "$own" ] ;; # in C, not each thread is under its own
            *) [ "$(field "${thread#/proc/}" Seccomp_filters)" -eq $((own + 1)) ] ;;
            esac
        done
    done
}

@test "unprivileged: no root process of minka's remains" {
    local dir exe
    for dir in /proc/[0-9]*; do
        exe=$(readlink "$dir/exe" 2>/dev/null) || continue
        [[ $exe == "$STAGE"/* ]] || continue
        [ "$(awk '/^Uid/ {print $2}' "$dir/status")" != 0 ]
    done
}

@test "unprivileged: the processes are in a cgroup of the sandbox" {
    local role
    for role in $roles; do
        grep -q minka "/proc/$(process_of $role)/cgroup"
    done
}
