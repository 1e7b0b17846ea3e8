#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What config.json asks for is what the process in the guest finds.
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    new_bundle
}
teardown() {
    delete_all
    nothing_left
}

bits() { # NAME... : the mask of these capabilities, as /proc/PID/status prints it
    local mask=0 name
    for name; do
        case $name in
        CAP_CHOWN) ((mask |= 1 << 0)) ;; CAP_KILL) ((mask |= 1 << 5)) ;; CAP_NET_BIND_SERVICE) ((mask |= 1 << 10)) ;;
        CAP_SYS_CHROOT) ((mask |= 1 << 18)) ;; CAP_AUDIT_WRITE) ((mask |= 1 << 29)) ;;
        esac
    done
    printf '%016x' $mask
}

@test "spec: user, group, additional groups, umask" {
    edit_config '.process.user = {uid: 1000, gid: 1001, additionalGids: [5, 2000], umask: 23}'
    run_script 'id -u; id -g; id -G; touch /tmp/f; stat -c %a /tmp/f; umask'
    [ "$output" = $'1000\n1001\n1001 5 2000\n640\n0027' ]
}

@test "spec: the five capability sets" {
    edit_config '.process.capabilities = {bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_BIND_SERVICE"], permitted: ["CAP_CHOWN", "CAP_KILL"],
        effective: ["CAP_KILL"], inheritable: ["CAP_CHOWN"], ambient: ["CAP_CHOWN"]} | .process.user = {uid: 1000, gid: 1000} | .process.noNewPrivileges = false'
    set_args grep Cap /proc/self/status
    run minka run --bundle "$BUNDLE" "$(new_id)"
    [[ $output == *"CapBnd:"*"$(bits CAP_CHOWN CAP_KILL CAP_NET_BIND_SERVICE)"* ]]
    # after execve by a user that is not root: P' = ambient (capabilities(7))
    [[ $output == *"CapPrm:"*"$(bits CAP_CHOWN)"* ]]
    [[ $output == *"CapEff:"*"$(bits CAP_CHOWN)"* ]]
    [[ $output == *"CapInh:"*"$(bits CAP_CHOWN)"* ]]
    [[ $output == *"CapAmb:"*"$(bits CAP_CHOWN)"* ]]
    edit_config 'del(.process.capabilities)'
    run minka run --bundle "$BUNDLE" "$(new_id)"
    [[ $output == *"CapBnd:"*0000000000000000* ]]
}

@test "spec: no_new_privs" {
    edit_config '.process.noNewPrivileges = true'
    run_script 'grep NoNewPrivs /proc/self/status'
    [[ $output == *1 ]]
    edit_config '.process.noNewPrivileges = false'
    run_script 'grep NoNewPrivs /proc/self/status'
    [[ $output == *0 ]]
}

@test "spec: seccomp with errno, argument conditions and a default" {
    edit_config '.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], syscalls: [
        {names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95},
        {names: ["kill"], action: "SCMP_ACT_ERRNO", errnoRet: 28, args: [{index: 1, value: 10, op: "SCMP_CMP_EQ"}]},
        {names: ["no_such_syscall"], action: "SCMP_ACT_ERRNO"},
        {names: ["sethostname"], action: "SCMP_ACT_KILL_PROCESS"}]}'
    run_script 'grep Seccomp: /proc/self/status; mkdir /tmp/d 2>&1; kill -USR1 $$ 2>&1; trap "echo usr2" USR2; kill -USR2 $$; hostname x; echo rc=$?'
    [[ ${lines[0]} == *2 ]]
    [[ $output == *"not supported"* ]]      # 95
    [[ $output == *"No space left"* ]]      # 28
    [[ $output == *usr2* ]]
    [[ $output == *rc=159* ]]               # 128 + SIGSYS
}

@test "spec: rlimits, with infinity" {
    edit_config '.process.rlimits = [{type: "RLIMIT_NOFILE", soft: 100, hard: 200}, {type: "RLIMIT_CORE", soft: 0, hard: 424242}]'
    set_script 'ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Hc'
    sed -i 's/424242/18446744073709551615/' "$BUNDLE/config.json" # jq would round it
    run minka run --bundle "$BUNDLE" "$(new_id)"
    [ "$output" = $'100\n200\n0\nunlimited' ]
}

@test "spec: sysctl, hostname, domainname" {
    edit_config '.linux.sysctl = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "65536"} | .hostname = "host-name" | .domainname = "domain.name"'
    run_script 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/domainname; hostname'
    [ "$output" = $'1\n65536\ndomain.name\nhost-name' ]
}

@test "spec: masked and read-only paths" {
    edit_config '.linux.maskedPaths = ["/proc/kcore", "/etc", "/no/such/path"] | .linux.readonlyPaths = ["/proc/sys", "/var"]'
    run_script 'wc -c </proc/kcore; ls /etc | wc -l; echo 1 >/proc/sys/kernel/msgmax || echo ro1; touch /var/x || echo ro2'
    [[ $output == 0$'\n'0$'\n'*ro1*ro2* ]]
}

@test "spec: mounts: proc, sysfs, cgroup2, devpts, mqueue, tmpfs with size and mode" {
    edit_config '.mounts += [{destination: "/scratch", type: "tmpfs", source: "tmpfs", options: ["nosuid", "noexec", "nodev", "size=1m", "mode=1700"]}]'
    run_script 'cat /proc/self/mountinfo'
    local fs
    for fs in proc sysfs cgroup2 devpts mqueue; do [[ $output == *" - $fs "* ]]; done
    run_script 'stat -c %a /scratch; grep " /scratch " /proc/self/mounts; dd if=/dev/zero of=/scratch/x bs=1M count=2 2>/dev/null || echo full; cat /sys/fs/cgroup/cgroup.controllers'
    [[ ${lines[0]} == 1700 ]]
    [[ $output == *nosuid*nodev*noexec* && $output == *full* && $output == *memory* ]]
}

@test "spec: tmpcopyup shows what lay below" {
    echo below >"$BUNDLE/rootfs/var/file"
    chown 7:8 "$BUNDLE/rootfs/var/file"
    chmod 666 "$BUNDLE/rootfs/var/file"
    edit_config '.mounts += [{destination: "/var", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"]}]'
    run_script 'cat /var/file; stat -c %u:%g /var/file; echo new >/var/file; cat /var/file'
    [ "$output" = $'below\n7:8\nnew' ]
    [ "$(cat "$BUNDLE/rootfs/var/file")" = below ]
}

@test "spec: a mount destination that is a symbolic link stays inside the root" {
    ln -s /../../../../escaped "$BUNDLE/rootfs/link"
    edit_config '.mounts += [{destination: "/link/dir", type: "tmpfs", source: "tmpfs", options: []}]'
    run_script 'grep escaped /proc/self/mounts | wc -l; ls -d /escaped/dir'
    [ "$output" = $'1\n/escaped/dir' ]
    [ ! -e /escaped ]
}

@test "spec: mount propagation" {
    edit_config '.linux.rootfsPropagation = "private" | .mounts += [{destination: "/shared", type: "tmpfs", source: "tmpfs", options: ["shared"]}]'
    run_script 'grep " /shared " /proc/self/mountinfo; grep " / / " /proc/self/mountinfo'
    [[ ${lines[0]} == *shared:* ]]
    [[ ${lines[1]} != *shared:* ]]
}

@test "spec: default devices and links, spec devices with mode and owner" {
    edit_config '.linux.devices = [{path: "/dev/mine", type: "c", major: 1, minor: 3, fileMode: 432, uid: 5, gid: 6}]'
    run_script 'for d in null zero full random urandom tty; do stat -c "%n %t:%T %a" /dev/$d; done; stat -c "%t:%T %a %u:%g" /dev/mine; for l in fd stdin stdout stderr; do readlink /dev/$l; done; ls /dev/ptmx /dev/shm -d'
    [[ $output == *"/dev/null 1:3 666"* && $output == *"/dev/full 1:7 666"* && $output == *"1:3 660 5:6"* && $output == *"/proc/self/fd/0"* ]]
}

@test "spec: device rules are enforced in the guest" {
    edit_config '.process.capabilities |= (.bounding += ["CAP_MKNOD", "CAP_SYSLOG"] | .effective += ["CAP_MKNOD", "CAP_SYSLOG"] | .permitted += ["CAP_MKNOD", "CAP_SYSLOG"])
        | .linux.resources.devices = [{allow: false, access: "rwm"}]'
    run_script 'mknod /dev/kmsg c 1 11 2>&1; cat /dev/kmsg 2>&1 | head -1; echo x >/dev/null && echo null-works'
    [[ $output == *"not permitted"* ]]
    [[ $output == *null-works* ]]
    edit_config '.linux.resources.devices = [{allow: false, access: "rwm"}, {allow: true, type: "c", major: 1, minor: 11, access: "rwm"}]'
    run_script 'mknod /dev/kmsg c 1 11 && dd if=/dev/kmsg of=/dev/null bs=8192 count=1 2>/dev/null && echo kmsg-works'
    [[ $output == *kmsg-works* ]]
}

@test "spec: cgroup limits: memory kills, pids refuse, cpu.max is set" {
    edit_config '.linux.resources.memory.limit = 134217728 | .linux.resources.pids.limit = 12 | .linux.resources.cpu = {quota: 50000, period: 100000, shares: 512}'
    run_script 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max /sys/fs/cgroup/cpu.weight'
    [ "${lines[0]}" = 134217728 ]
    [ "${lines[1]}" = 12 ]
    [ "${lines[2]}" = '50000 100000' ]
    [ "${lines[3]}" = 20 ] # 1 + (512 - 2) * 9999 / 262142
    run_script 'i=0; while [ $i -lt 20 ]; do sleep 5 & i=$((i+1)); done; echo all'
    [[ $output != *all* ]]
    run_script 'awk "BEGIN {s = \"x\"; while (1) s = s s}"; echo rc=$?; grep oom_kill /sys/fs/cgroup/memory.events'
    [[ $output == *rc=137* && $output == *"oom_kill 1"* ]]
}

@test "spec: the guest sees the memory limit as its memory, and the CPUs as asked" {
    edit_config '.linux.resources.memory.limit = 268435456 | .linux.resources.cpu = {quota: 200000, period: 100000}'
    run_script 'awk "/MemTotal/ {print \$2}" /proc/meminfo; nproc'
    echo "MemTotal ${lines[0]} kB"
    ((lines[0] >= 262144 && lines[0] < 262144 + 98304))
    [ "${lines[1]}" = 2 ]
}

@test "spec: OOM is told by events" {
    edit_config '.linux.resources.memory.limit = 67108864'
    local id
    id=$(new_id)
    set_script 'sleep 3; awk "BEGIN {s = \"x\"; while (1) s = s s}"; echo rc=$?; sleep 3'
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    timeout 30 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" events "$id" >"$BATS_TEST_TMPDIR/events" &
    wait_for 40 grep -q '"type": *"oom"' "$BATS_TEST_TMPDIR/events"
    minka delete --force "$id"
}

@test "spec: user namespace with mappings" {
    chown -R 100000:100000 "$BUNDLE/rootfs"
    edit_config '.linux.namespaces += [{type: "user"}] | .linux.uidMappings = [{containerID: 0, hostID: 100000, size: 65536}] | .linux.gidMappings = [{containerID: 0, hostID: 100000, size: 65536}]'
    run_script 'id -u; cat /proc/self/uid_map | tr -s " "; touch /tmp/made; stat -c %u /tmp/made /bin/busybox; echo x >/dev/null && echo dev'
    [ "${lines[0]}" = 0 ]
    [[ ${lines[1]} == *"0 100000 65536"* ]]
    [[ $output == *$'\n0\n0\ndev' ]]
    [ "$(stat -c %u "$BUNDLE/rootfs/tmp/made")" = 100000 ]
}

@test "spec: namespaces: own pid tree, own mounts, loopback up" {
    run_script 'ps | wc -l; ip addr show lo 2>/dev/null | grep -c "127.0.0.1"; test "$(readlink /proc/1/ns/pid)" = "$(readlink /proc/self/ns/pid)" && echo 1'
    ((lines[0] < 6))
    [ "${lines[1]}" = 1 ]
    [ "${lines[2]}" = 1 ]
}

@test "spec: what a VM cannot do is refused with the alternative" {
    edit_config '.linux.namespaces |= map(select(.type != "network"))'
    run_script true
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *network* ]]
    new_bundle '.linux.namespaces |= map(select(.type != "pid"))'
    run_script true
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
}

@test "spec: oomScoreAdj, orphans are reaped by pid 1's rules, environment HOME" {
    edit_config '.process.oomScoreAdj = 321 | .process.env = ["PATH=/bin"]'
    run_script 'cat /proc/self/oom_score_adj; echo $HOME'
    [ "$output" = $'321\n/root' ]
}
