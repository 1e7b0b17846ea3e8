#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# minka audit: what it says of a sandbox as it is, and of one that somebody has changed from outside.
load ../lib/common

setup_file() {
    setup_minka
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR new_bundle
    set_args sleep 1000
    export BUNDLE
}
setup() {
    ID=$(new_id)
    minka run --detach --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
}
teardown() { delete_all; }

process_of() { jq -r ".$1.pid" "$MINKA_ROOT/$ID/state.json"; }
# The verdict must be no, for this reason and, without ALSO, for no other.
falls_short() { # WORDS [ALSO]
    run minka audit "$ID"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"$ID (running): FALLS SHORT"* ]]
    [ -n "${2:-}" ] || [ "$(grep -c '^  FALLS SHORT' <<<"$output")" -eq 1 ]
    [[ $(grep '^  FALLS SHORT' <<<"$output") == *"$1"* ]]
    [ "$(minka audit --json "$ID" | jq -r '.holds, .sandboxes[0].holds' | sort -u)" = false ]
}
holds() {
    run minka audit "$ID"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"$ID (running): confined as proved at the start"* ]]
}

@test "audit: a table of a healthy sandbox" {
    holds
    local label
    for label in pid uid gid groups capabilities no_new_privs seccomp namespaces root mounts cgroup descriptors verdict; do
        grep -q "^$label " <<<"$output"
    done
    grep -qE '^ +monitor +VMM +file server +stand-in$' <<<"$output"
    grep -qE '^verdict +holds +holds +holds +holds$' <<<"$output"
    grep -qE '^groups +none +none +none +none$' <<<"$output"
    grep -qE "^pid +$(process_of monitor) +$(process_of vmm) " <<<"$output"
    # without an ID it is about all of them
    [[ $(minka audit) == *"$ID (running)"* ]]
}

@test "audit: JSON has the raw facts, and they are the kernel's" {
    local facts role pid
    facts=$(minka audit --json "$ID")
    [ "$(jq .holds <<<"$facts")" = true ]
    [ "$(jq -c '[.sandboxes[0].processes[].role]' <<<"$facts")" = '["monitor","VMM","file server","stand-in"]' ]
    for role in 0:monitor 1:vmm 2:fileServer 3:standin; do
        pid=$(process_of "${role#*:}")
        process=$(jq ".sandboxes[0].processes[${role%:*}]" <<<"$facts")
        echo "$process"
        [ "$(jq .pid <<<"$process")" = "$pid" ]
        [ "$(jq -c .uids <<<"$process")" = "$(awk '/^Uid/ {print "[" $2 "," $3 "," $4 "," $5 "]"}' "/proc/$pid/status")" ]
        [ "$(jq .seccompFilters <<<"$process")" = "$(awk '/^Seccomp_filters/ {print $2}' "/proc/$pid/status")" ]
        [ "$(jq .namespaces.net.inode <<<"$process")" = "$(stat -Lc %i "/proc/$pid/ns/net")" ]
        [ "$(jq '.namespaces.net.host' <<<"$process")" = false ]
        [ "$(jq '.descriptors | length' <<<"$process")" = "$(jq .descriptorCount <<<"$process")" ]
        [ "$(jq -r .cgroup <<<"$process")" = "$(cat "/proc/$pid/cgroup")" ]
        [ "$(jq '[.properties[] | select(.holds | not)] | length' <<<"$process")" = 0 ]
        for property in identity groups capabilities no_new_privs filter namespaces mounts descriptors limits cgroup threads lease; do
            [ "$(jq --arg name $property '[.properties[] | select(.name == $name)] | length' <<<"$process")" = 1 ]
        done
        [[ ${role#*:} == fileServer ]] || [ "$(jq '[.capabilities[]] | add' <<<"$process")" = 0 ]
    done
    # nothing but sockets, pipes, memory, objects of the kernel and /dev/null
    [ "$(jq -r '.sandboxes[0].processes[1].descriptors[].kind' <<<"$facts" | sort -u | tr '\n' ,)" = "character device,kernel object,memory file,pipe,unix socket," ]
}

has_standins() { [ "$(minka audit --json "$ID" | jq '[.sandboxes[0].processes[] | select(.role == "stand-in")] | length')" = "$1" ]; }

@test "audit: an exec's stand-in is one of them, with a terminal too" {
    minka exec --detach "$ID" sleep 100 </dev/null >/dev/null 2>&1
    wait_for 20 has_standins 2
    holds
    script --quiet --command "$MINKA --config $CONFIG --root $MINKA_ROOT exec --tty $ID sleep 100" /dev/null \
        </dev/null >/dev/null 2>&1 3>&- &
    wait_for 20 has_standins 3
    holds
    [ "$(minka audit --json "$ID" | jq '[.sandboxes[0].processes[].descriptors[] | select(.kind == "terminal")] | length > 1')" = true ]
}

@test "audit: a file that the container's output goes to is named" {
    minka delete --force "$ID"
    minka run --detach --bundle "$BUNDLE" "$ID" </dev/null >"$BATS_TEST_TMPDIR/output" 2>&1
    holds
    [[ $output == *"a file open for writing: $BATS_TEST_TMPDIR/output"* ]]
}

@test "audit: a mount that somebody put into the VMM's namespace" {
    python3 - "$(process_of vmm)" <<'EOF'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
namespace = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
assert libc.setns(namespace, 0x20000) == 0
assert libc.mount(b"none", b"/", b"tmpfs", 15, None) == 0, ctypes.get_errno()
EOF
    falls_short "VMM (pid $(process_of vmm)): it has 2 roots [mounts]"
}

@test "audit: a limit that somebody raised" {
    prlimit --pid "$(process_of vmm)" --nofile=256:5000 2>/dev/null || skip "this root has no CAP_SYS_RESOURCE"
    falls_short "[limits]"
}

@test "audit: a process that somebody moved to another cgroup" {
    local file moved=0
    while IFS=: read -r _ controllers path; do
        [[ $path == *"$ID" ]] || continue
        for file in "/sys/fs/cgroup/${controllers#name=}/cgroup.procs" /sys/fs/cgroup/cgroup.procs; do
            [[ -w $file ]] && process_of vmm >"$file" && moved=1 && break
        done
        ((moved)) && break
    done <"/proc/$(process_of vmm)/cgroup"
    ((moved)) || skip "no hierarchy was found to move it in"
    falls_short "VMM (pid $(process_of vmm))"
}

@test "audit: one descriptor more than there should be" {
    local file=$MINKA_ROOT/$ID/confinement.json events
    events=$(minka audit --json "$ID" | jq '[.sandboxes[0].processes[1].descriptors[] | select(.name == "eventfd")] | length')
    jq --argjson most $((events - 1)) '(.plans[] | select(.role == "VMM").holdings[] | select(.name == "eventfd")).most = $most' \
        "$file" >"$file.new"
    mv "$file.new" "$file"
    falls_short "(eventfd), one more than the $((events - 1)) that it may have [descriptors]"
}

@test "audit: another uid than the one that was leased" {
    sed -i "s/^$(jq '.uids[1]' "$MINKA_ROOT/$ID/state.json") /99 /" /run/minka/leases
    run minka audit "$ID"
    sed -i "s/^99 /$(jq '.uids[1]' "$MINKA_ROOT/$ID/state.json") /" /run/minka/leases
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"is not leased for this sandbox [lease]"* ]]
}

@test "audit: a process with one of the sandbox's uids that is none of its own" {
    local uid stranger
    uid=$(jq '.uids[1]' "$MINKA_ROOT/$ID/state.json")
    setpriv --reuid "$uid" --regid 65534 --clear-groups sleep 100 3>&- &
    stranger=$!
    wait_for 5 grep -q "^Uid:[[:space:]]*$uid" "/proc/$stranger/status"
    falls_short "the process $stranger has the uid"
    kill $stranger
}

audit_succeeds() { minka audit "$ID" >/dev/null; }

@test "audit: a VMM that is gone while its monitor does not know" {
    local monitor
    monitor=$(process_of monitor)
    kill -STOP "$monitor"
    kill -KILL "$(process_of vmm)"
    wait_for 5 grep -q '^State:.*Z' "/proc/$(process_of vmm)/status"
    falls_short "VMM (pid $(process_of vmm)): it has ended" also # the file server may have seen it, too
    kill -CONT "$monitor"
    wait_for 30 is_status "$ID" stopped
    wait_for 10 audit_succeeds # the last of its processes may still be ending
    run minka audit "$ID"
    [ "$status" -eq 0 ]
    [[ $output == *"$ID (stopped): nothing of it runs"* ]]
}

@test "audit: a pid that is another process's by now" {
    local file=$MINKA_ROOT/$ID/state.json
    jq --argjson pid $$ '.vmm.pid = $pid | .vmm.startTicks = 1' "$file" >"$file.new"
    cp "$file" "$BATS_TEST_TMPDIR/state.json"
    mv "$file.new" "$file"
    run minka audit "$ID"
    cp "$BATS_TEST_TMPDIR/state.json" "$file"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"it has ended, and its pid $$ is now another process's [alive]"* ]]
}

@test "audit: what cannot be told is no success" {
    rm "$MINKA_ROOT/$ID/confinement.json"
    run minka audit "$ID"
    [ "$status" -eq 1 ]
    [[ $output == *"not known how the container was confined"* ]]
    run minka audit
    [ "$status" -eq 1 ]
    [[ $output == *"$ID (running): it cannot be told how it is confined"* ]]
}

@test "audit: an ID that there is not, and no container at all" {
    run minka audit does-not-exist
    [ "$status" -eq 1 ]
    [[ $output == *"container does-not-exist does not exist"* ]]
    minka delete --force "$ID"
    run minka audit
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"There is no container."* ]]
    [ "$(minka audit --json | jq -c '[.sandboxes, .holds]')" = '[[],true]' ]
}

@test "audit: what this host cannot give is said, with what would" {
    run minka audit "$ID"
    [ "$status" -eq 0 ] # it is not the sandbox's fault
    if [ "$(minka env --json | jq -r .hypervisor.acceleration)" = tcg ]; then
        [[ $output == *"What this host cannot give:"*"instructions are emulated by the VMM itself"*"would help: a host whose KVM runs guests"* ]]
    elif [[ $(minka env --json | jq -r .hypervisor.version) == 7.* ]]; then
        [[ $output == *"opens /dev/kvm by its path"*"would help: QEMU 9.0 or later"* ]]
    fi
    if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
        [[ $output == *"the controllers are those of cgroup v1"*"would help: boot with"* ]]
    fi
}
