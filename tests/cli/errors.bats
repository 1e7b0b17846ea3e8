#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bad input and a bad host: one clear sentence, exit code 1, nothing left.
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    write_config
    new_bundle
    id=$(new_id)
}
teardown() {
    write_config
    delete_all
}

# A virtual machine with this kernel and this initrd instead of the guest image's.
boots() { # KERNEL INITRD
    write_config "kernel = \"$1\"" "initrd = \"$2\""
}

# fails 'a pattern the sentence must match' COMMAND...
fails() {
    local pattern=$1
    shift
    run timeout 100 "$@"
    echo "status $status: $output"
    [ "$status" -ne 0 ]
    [ "$status" -ne 124 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output =~ $pattern ]]
    ((${#output} < 400))
    [ "$(grep -o ': ' <<<"$output" | wc -l)" -le 4 ] # no stack of "this: that: …"
    nothing_left
}
run_bundle() { "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"; }
export -f run_bundle
run_fails() { fails "$1" "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"; }

@test "errors: no bundle, no config.json" {
    BUNDLE=/no/such/bundle run_fails '/no/such/bundle'
    rm "$BUNDLE/config.json"
    run_fails 'config.json'
}

@test "errors: config.json truncated, empty, not JSON, wrong types, unknown version" {
    cp "$BUNDLE/config.json" "$BATS_TEST_TMPDIR/good"
    head -c 500 "$BATS_TEST_TMPDIR/good" >"$BUNDLE/config.json"
    run_fails 'config.json'
    : >"$BUNDLE/config.json"
    run_fails 'config.json'
    echo hello >"$BUNDLE/config.json"
    run_fails 'config.json'
    echo '[]' >"$BUNDLE/config.json"
    run_fails 'config.json'
    local edit
    for edit in '.process.args = "sh"' '.process.user.uid = "root"' '.process.user.uid = -1' '.process.user.uid = 4294967296' '.mounts = {}' \
        '.root = "x"' '.root.path = 5' '.process.cwd = "relative"' '.process.args = []' '.linux.namespaces[0].type = "no-such"' \
        '.ociVersion = "9.9.9"' 'del(.ociVersion)' 'del(.root)' '.process.capabilities.bounding = [1]' '.linux.resources.memory.limit = "1G"' \
        '.process.rlimits = [{type: "RLIMIT_X", soft: 1, hard: 1}]' '.linux.seccomp = {defaultAction: "NO"}'; do
        jq "$edit" "$BATS_TEST_TMPDIR/good" >"$BUNDLE/config.json"
        echo "$edit"
        run_fails 'config.json|rootfs|root'
    done
}

@test "errors: config.json of 10 MiB, deeply nested, with uint64 limits" {
    cp "$BUNDLE/config.json" "$BATS_TEST_TMPDIR/good"
    # 10 MiB of annotations is legal, and works
    jq '.annotations = ([range(10000)] | map({key: "k\(.)", value: ("x" * 1000)}) | from_entries)' "$BATS_TEST_TMPDIR/good" >"$BUNDLE/config.json"
    [ "$(stat -c %s "$BUNDLE/config.json")" -gt 10000000 ]
    run timeout 100 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    [ "$status" -eq 0 ]
    nothing_left
    python3 -c 'print("{\"ociVersion\": \"1.0.2\", \"x\": " + "[" * 100000 + "]" * 100000 + "}")' >"$BUNDLE/config.json"
    run_fails 'config.json'
    head -c 40000000 /dev/zero | tr '\0' ' ' >"$BUNDLE/config.json"
    run_fails 'config.json.*(large|bytes)'
    # the largest number, which is also how the kernel says "unlimited", is no error; one more is
    sed 's/"soft": *[0-9]*/"soft": 18446744073709551615/; s/"hard": *[0-9]*/"hard": 18446744073709551615/; s/RLIMIT_NOFILE/RLIMIT_CORE/' \
        "$BATS_TEST_TMPDIR/good" >"$BUNDLE/config.json"
    grep -q RLIMIT_CORE "$BUNDLE/config.json"
    grep -q 18446744073709551615 "$BUNDLE/config.json"
    run timeout 100 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    [ "$status" -eq 0 ]
    sed -i 's/RLIMIT_CORE/RLIMIT_NOFILE/' "$BUNDLE/config.json" # of open files no kernel gives that many
    run_fails 'nofile'
    sed -i 's/"hard": *[0-9]*/"hard": 18446744073709551616/' "$BUNDLE/config.json"
    run_fails 'config.json: line [0-9]+.*64 bits'
    cp "$BATS_TEST_TMPDIR/good" "$BUNDLE/config.json"
    edit_config '.process.rlimits[0].soft = 2 | .process.rlimits[0].hard = 1'
    run_fails 'config.json.*rlimits'
    cp "$BATS_TEST_TMPDIR/good" "$BUNDLE/config.json"
    sed -i 's/"uid": *0/"uid": 18446744073709551615/' "$BUNDLE/config.json"
    grep -q 18446744073709551615 "$BUNDLE/config.json"
    run_fails 'config.json.*uid'
    jq '.linux.resources.memory = {limit: 1234567}' "$BATS_TEST_TMPDIR/good" >"$BUNDLE/config.json"
    sed -i 's/1234567/9223372036854775808/' "$BUNDLE/config.json"
    run_fails 'config.json.*limit'
    sed -i 's/9223372036854775808/9223372036854775807/' "$BUNDLE/config.json"
    run timeout 100 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    [ "$status" -eq 0 ]
    nothing_left
}

@test "errors: rootfs missing, a file in its place" {
    rm -r "$BUNDLE/rootfs"
    run_fails 'rootfs'
    touch "$BUNDLE/rootfs"
    run_fails 'rootfs'
}

@test "errors: the command is not there, not executable, not a program" {
    set_args no-such-command
    run_fails 'executable file .*no-such-command.* not found in'
    set_args /no/such/command
    run_fails '(not found in|[Nn]o such file or directory)'
    touch "$BUNDLE/rootfs/plain"
    set_args /plain
    run_fails '[Pp]ermission denied'
    printf 'not a program' >"$BUNDLE/rootfs/plain"
    chmod 755 "$BUNDLE/rootfs/plain"
    run_fails '[Ee]xec format error'
    set_args /bin
    run_fails '/bin.*[Pp]ermission denied'
    set_args ''
    run_fails 'args'
}

@test "errors: the working directory is not there, or is none" {
    # crun and runc make one that is missing
    edit_config '.process.cwd = "/made/on/demand" | .process.args = ["sh", "-c", "pwd"]'
    run timeout 100 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    [ "$status" -eq 0 ]
    [ "$output" = /made/on/demand ]
    nothing_left
    edit_config '.process.cwd = "/etc/passwd"'
    run_fails '/etc/passwd.*[Nn]ot a directory'
    edit_config '.process.cwd = "/etc/passwd/below"'
    run_fails '/etc/passwd/below.*[Nn]ot a directory'
}

@test "errors: ids: taken, malformed" {
    set_args sleep 100
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    run minka run --bundle "$BUNDLE" "$id"
    [ "$status" -eq 1 ]
    [[ $output == *"$id"*exists* ]]
    is_status "$id" running # untouched
    minka delete --force "$id"
    local bad
    for bad in '' . .. a/b 'a b' $'a\nb' "$(printf 'x%.0s' {1..300})"; do
        id=$bad run_fails 'id'
    done
    fails 'id|usage' "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE"
}

# What systemd leaves in /run, in a mount namespace of its own.
on_systemd() { unshare --mount --propagation private sh -c 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec "$@"' sh "$@"; }
export -f on_systemd

@test "errors: cgroup managers, and paths that are not theirs" {
    fails 'unknown cgroup manager "bogus"' "$MINKA" --cgroup-manager bogus --root "$MINKA_ROOT" list
    fails 'contradict' "$MINKA" --cgroup-manager cgroupfs --systemd-cgroup --root "$MINKA_ROOT" list
    edit_config --arg path "/$id" '.linux.cgroupsPath = $path'
    fails 'slice:prefix:name, not "/' "$MINKA" --systemd-cgroup --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    fails 'slice:prefix:name, not "/' "$MINKA" --cgroup-manager=systemd --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    run "$MINKA" --cgroup-manager disabled --systemd-cgroup --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    [ "$status" -eq 0 ]
    edit_config --arg path "minka.slice:$ID_PREFIX:$id" '.linux.cgroupsPath = $path'
    if [[ ! -d /run/systemd/system ]]; then
        fails 'systemd does not run on this host' "$MINKA" --systemd-cgroup --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    fi
    cgroup_of() { find /sys/fs/cgroup -maxdepth 4 -type d -name "*$id*" -printf '/%P\n' | sort -u; }
    set_args sleep 1000
    on_systemd "$MINKA" --systemd-cgroup --config "$CONFIG" --root "$MINKA_ROOT" run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    [[ $(cgroup_of) == *"/minka.slice/$ID_PREFIX-$id.scope" ]]
    minka delete --force "$id"
    # Without the option it is a name like any other, as for runc.
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    [[ $(cgroup_of) == *"/minka.slice:$ID_PREFIX:$id" ]]
    minka delete --force "$id"
    [ -z "$(cgroup_of)" ]
    find /sys/fs/cgroup -maxdepth 2 -type d -name minka.slice -exec rmdir {} + # no container's own
    nothing_left
}

@test "errors: an id whose name in the state directory is something else's" {
    mkdir -p "$MINKA_ROOT"
    ln -s /no/such/place "$MINKA_ROOT/$id"
    remember
    run_fails "the id $id cannot be used.*exists and is no container's directory"
    rm "$MINKA_ROOT/$id"
    ln -s "$BATS_TEST_TMPDIR" "$MINKA_ROOT/$id"
    run_fails "exists and is no container's directory"
    rm "$MINKA_ROOT/$id"
    echo mine >"$MINKA_ROOT/$id"
    run_fails "exists and is no container's directory"
    [ "$(cat "$MINKA_ROOT/$id")" = mine ]
    rm "$MINKA_ROOT/$id"
}

@test "errors: a wrong --root costs nobody any files" {
    mkdir -p "$MINKA_ROOT"
    mkdir -m 700 "$MINKA_ROOT/$id"
    echo mine >"$MINKA_ROOT/$id/file"
    remember
    run_fails "exists and is no container's directory"
    run minka delete "$id"
    [[ $status -eq 1 && $output == *'does not exist'* ]]
    run minka delete --force "$id"
    [[ $status -eq 1 && $output == *"is no container's directory"* ]]
    [ "$(cat "$MINKA_ROOT/$id/file")" = mine ]
    nothing_left
    mv "$MINKA_ROOT/$id/file" "$MINKA_ROOT/$id/config.json" # the name alone does not make it one
    chmod 755 "$MINKA_ROOT/$id"
    remember
    run_fails "exists and is no container's directory"
    run minka delete --force "$id"
    [ "$(cat "$MINKA_ROOT/$id/config.json")" = mine ]
    rm -r "${MINKA_ROOT:?}/$id"
}

@test "errors: unknown verbs and options, options without value" {
    fails 'no-such-verb' "$MINKA" no-such-verb
    fails 'no-such-option' "$MINKA" --no-such-option list
    fails 'no-such-option' "$MINKA" run --no-such-option x
    fails 'bundle' "$MINKA" run --bundle
    fails 'argument|unexpected|one' "$MINKA" state a b
}

@test "errors: the state directory cannot be made or written" {
    touch "$BATS_TEST_TMPDIR/file"
    MINKA_ROOT=$BATS_TEST_TMPDIR/file/root run_fails 'root'
    mkdir "$BATS_TEST_TMPDIR/ro"
    mount -t tmpfs -o ro tmpfs "$BATS_TEST_TMPDIR/ro"
    run timeout 60 "$MINKA" --config "$CONFIG" --root "$BATS_TEST_TMPDIR/ro/root" run --bundle "$BUNDLE" "$id"
    umount "$BATS_TEST_TMPDIR/ro"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"$BATS_TEST_TMPDIR/ro/root"*--root* ]]
    nothing_left
}

@test "errors: the state directory's disk is full" {
    mkdir "$BATS_TEST_TMPDIR/full"
    mount -t tmpfs -o size=16k tmpfs "$BATS_TEST_TMPDIR/full"
    head -c 16384 /dev/zero >"$BATS_TEST_TMPDIR/full/fill" 2>/dev/null || true
    run timeout 60 "$MINKA" --config "$CONFIG" --root "$BATS_TEST_TMPDIR/full" run --bundle "$BUNDLE" "$id"
    echo "$output"
    ls -R "$BATS_TEST_TMPDIR/full"
    left=$(find "$BATS_TEST_TMPDIR/full" -mindepth 1 ! -name fill)
    umount "$BATS_TEST_TMPDIR/full"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"$BATS_TEST_TMPDIR/full/$id"* ]]
    [ -z "$left" ]
    nothing_left
}

@test "errors: no guest image, an incomplete one, one older than the program" {
    sed -i "s|^image_dir.*|image_dir = \"$BATS_TEST_TMPDIR/none\"|" "$CONFIG"
    run_fails 'minka image build'
    cp -r "$CACHE/images" "$BATS_TEST_TMPDIR/images"
    sed -i "s|^image_dir.*|image_dir = \"$BATS_TEST_TMPDIR/images\"|" "$CONFIG"
    sed -i 's/^protocol=.*/protocol=0/' "$BATS_TEST_TMPDIR"/images/*/manifest
    run_fails 'minka image build'
    cp "$CACHE"/images/*/manifest "$BATS_TEST_TMPDIR"/images/*/manifest
    rm "$BATS_TEST_TMPDIR"/images/*/initrd
    run_fails 'initrd.*minka image build'
    : >"$(echo "$BATS_TEST_TMPDIR"/images/*/manifest)"
    run_fails 'manifest.*minka image build|minka image build.*manifest'
    rm "$BATS_TEST_TMPDIR"/images/*/manifest
    run_fails 'minka image build'
}

@test "errors: no QEMU, one that is none, one that dies at once, one that dies later" {
    write_config 'path = "/no/such/qemu"'
    run_fails '/no/such/qemu'
    printf '#!/bin/sh\nexit 3\n' >"$BATS_TEST_TMPDIR/qemu"
    chmod 755 "$BATS_TEST_TMPDIR/qemu"
    write_config "path = \"$BATS_TEST_TMPDIR/qemu\""
    run_fails 'qemu'
    write_config 'path = "/bin/true"'
    run_fails '/bin/true'
}

@test "errors: QEMU refuses the kernel, the kernel is damaged, the initrd is" {
    local vmlinux initrd
    vmlinux=$(echo "$CACHE"/images/*/vmlinux) initrd=$(echo "$CACHE"/images/*/initrd)
    boots "$vmlinux" /no/such/initrd
    run_fails '/no/such/initrd'
    boots /etc/passwd "$initrd"
    run_fails 'QEMU ended with status'
    head -c 3000000 "$vmlinux" >"$BATS_TEST_TMPDIR/vmlinux"
    boots "$BATS_TEST_TMPDIR/vmlinux" "$initrd"
    run_fails 'QEMU ended with status'
    cp "$vmlinux" "$BATS_TEST_TMPDIR/vmlinux"
    dd if=/dev/zero of="$BATS_TEST_TMPDIR/vmlinux" bs=1M seek=6 count=12 conv=notrunc status=none
    boots "$BATS_TEST_TMPDIR/vmlinux" "$initrd"
    run_fails 'the guest '
    head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/initrd"
    boots "$vmlinux" "$BATS_TEST_TMPDIR/initrd"
    run_fails "guest's kernel panicked.*Unable to mount root"
    head -c "$(($(stat -c %s "$initrd") - 400000))" "$initrd" >"$BATS_TEST_TMPDIR/initrd"
    boots "$vmlinux" "$BATS_TEST_TMPDIR/initrd"
    run_fails 'the guest.*minka image build'
}

@test "errors: the guest panics, its agent gives up" {
    write_config 'kernel_params = "rdinit=/nonexistent"'
    run_fails "guest's kernel panicked.*Unable to mount root"
    write_config 'kernel_params = "minka.modules=nonsense"'
    run_fails "the guest gave up.*'nonsense'.*minka image build"
    write_config 'kernel_params = "module_blacklist=virtio_mmio"'
    run_fails 'the guest gave up.*virtio_mmio'
}

@test "errors: more memory than the host has" {
    write_config 'default_memory = 16000000'
    run_fails 'default_memory.*this host has'
    # a container's limit above it is none, as for other runtimes
    write_config
    edit_config '.linux.resources.memory = {limit: 4398046511104}'
    run timeout 100 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    echo "$output"
    [ "$status" -eq 0 ]
    nothing_left
}

@test "errors: update above what the virtual machine has" {
    edit_config '.process.args = ["sleep", "100"] | .linux.resources.memory = {limit: 67108864}'
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    run minka update --memory 1g "$id"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"cannot have 1024 MiB"*"create it anew"* ]]
    minka update --memory 32m "$id"
    is_status "$id" running
    minka delete --force "$id"
    nothing_left
}

@test "errors: a guest that never answers ends with a deadline" {
    # the kernel finds no init and, told not to restart, stands still: the machine is up and silent
    write_config 'kernel_params = "rdinit=/nonexistent panic=0"'
    sed -i 's/^dial_timeout.*/dial_timeout = 8/' "$CONFIG"
    SECONDS=0
    run_fails 'the guest did not get ready within 8 s .dial_timeout.; its console last said: .*Kernel panic'
    ((SECONDS >= 8 && SECONDS < 40))
}

@test "errors: accel = kvm where KVM does not run a guest; auto falls back" {
    verdict=$(minka env 2>/dev/null | grep -i kvm || true)
    write_config 'accel = "kvm"'
    run timeout 100 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    echo "$verdict; $output"
    if [[ $status -eq 0 ]]; then
        [[ $verdict == *works* ]]
    else
        [ "${#lines[@]}" -eq 1 ]
        [[ $output == *KVM* || $output == */dev/kvm* ]]
    fi
    nothing_left
    write_config 'accel = "auto"'
    run minka run --bundle "$BUNDLE" "$id"
    [ "$status" -eq 0 ]
    nothing_left
}

# In a mount namespace where COMMAND has been executed: accel = "kvm" fails with a sentence, "auto" runs all the same.
with_dev() { # COMMAND PATTERN
    write_config 'accel = "kvm"'
    fails "$2" unshare -m --propagation private sh -c "$1"' && exec "$@"' sh \
        "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    write_config 'accel = "auto"'
    run timeout 100 unshare -m --propagation private sh -c "$1"' && exec "$@"' sh \
        "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id"
    echo "$output"
    [ "$status" -eq 0 ]
    nothing_left
}

@test "errors: no /dev/kvm, one that is another device, one that is a plain file" {
    local dev=$BATS_TEST_TMPDIR/dev
    mkdir "$dev"
    with_dev "mount --rbind /dev $dev && mount -t tmpfs tmpfs /dev && for d in null zero full random urandom tty fuse; do \
        touch /dev/\$d && mount --bind $dev/\$d /dev/\$d || exit; done; mkdir /dev/pts /dev/shm && \
        mount --rbind $dev/pts /dev/pts && ln -s pts/ptmx /dev/ptmx" '/dev/kvm'
    [ -e /dev/kvm ] || skip "the rest needs a place for /dev/kvm"
    with_dev 'mount --bind /dev/null /dev/kvm' '/dev/kvm'
    touch "$BATS_TEST_TMPDIR/kvm"
    with_dev "mount --bind $BATS_TEST_TMPDIR/kvm /dev/kvm" '/dev/kvm'
}

@test "errors: configuration: unknown key, wrong type, out of range, with the line" {
    write_config 'no_such_key = 1'
    run_fails ':[0-9]+:.*no_such_key'
    write_config 'default_vcpus = "many"'
    run_fails ':[0-9]+:.*default_vcpus'
    write_config 'default_memory = 1'
    run_fails 'default_memory'
    fails '/no/such/config' "$MINKA" --config /no/such/config env
}

@test "errors: devices that an engine lists for a privileged container are left out, with a warning" {
    set_args sh -c 'ls /dev/mem /dev/port 2>/dev/null | wc -l'
    # shellcheck disable=SC2016 # jq's own
    edit_config '.linux.devices = [{path: "/dev/mem", type: "c", major: 1, minor: 1}, {path: "/dev/port", type: "c", major: 1, minor: 4}]
        | .linux.resources.devices = [{allow: true, access: "rwm"}]'
    run minka run --bundle "$BUNDLE" "$id"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"level=warning"*"2 devices of the host are left out: the container has its virtual machine's own /dev"* ]]
    [ "${lines[-1]}" = 0 ]
    nothing_left
}

@test "errors: a container that cannot be: host devices, other containers' namespaces" {
    edit_config '.linux.devices = [{path: "/dev/weird", type: "c", major: 200, minor: 7}]'
    run_fails '/dev/weird'
    new_bundle '.linux.namespaces |= map(if .type == "pid" then . + {path: "/proc/1/ns/pid"} else . end)'
    run_fails 'pid'
}
