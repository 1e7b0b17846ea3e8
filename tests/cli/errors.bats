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
    run minka run --bundle "$BUNDLE" "$id"
    [ "$status" -eq 0 ]
    python3 -c 'print("{\"ociVersion\": \"1.0.2\", \"x\": " + "[" * 100000 + "]" * 100000 + "}")' >"$BUNDLE/config.json"
    run_fails 'config.json'
    head -c 40000000 /dev/zero | tr '\0' ' ' >"$BUNDLE/config.json"
    run_fails 'config.json.*(large|bytes)'
    sed 's/"soft": *[0-9]*/"soft": 18446744073709551615/; s/"hard": *[0-9]*/"hard": 18446744073709551616/' "$BATS_TEST_TMPDIR/good" >"$BUNDLE/config.json"
    grep -q 18446744073709551616 "$BUNDLE/config.json"
    run_fails 'rlimits|fit in 64 bits'
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
    MINKA_ROOT=$BATS_TEST_TMPDIR/ro/root run -1 timeout 60 "$MINKA" --config "$CONFIG" --root "$BATS_TEST_TMPDIR/ro/root" run --bundle "$BUNDLE" "$id"
    umount "$BATS_TEST_TMPDIR/ro"
    [ "${#lines[@]}" -eq 1 ]
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
    rm "$BATS_TEST_TMPDIR"/images/*/initrd
    sed -i 's/^protocol=.*/protocol=1/' "$BATS_TEST_TMPDIR"/images/*/manifest
    run_fails 'initrd|minka image build'
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
    write_config 'kernel_params = "panic=0 init=/nonexistent rdinit=/nonexistent"'
    run_fails 'guest'
}

@test "errors: a guest that never answers ends with a deadline" {
    # a kernel that finds no init and stays where it is: the VM is up and silent
    write_config 'kernel_params = "panic=0 rdinit=/nonexistent"'
    sed -i 's/^dial_timeout.*/dial_timeout = 4/' "$CONFIG"
    run_fails 'within 4 s'
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

@test "errors: configuration: unknown key, wrong type, out of range, with the line" {
    write_config 'no_such_key = 1'
    run_fails ':[0-9]+:.*no_such_key'
    write_config 'default_vcpus = "many"'
    run_fails ':[0-9]+:.*default_vcpus'
    write_config 'default_memory = 1'
    run_fails 'default_memory'
    fails '/no/such/config' "$MINKA" --config /no/such/config list
}

@test "errors: a container that cannot be: host devices, other containers' namespaces" {
    edit_config '.linux.devices = [{path: "/dev/weird", type: "c", major: 200, minor: 7}]'
    run_fails '/dev/weird'
    new_bundle '.linux.namespaces |= map(if .type == "pid" then . + {path: "/proc/1/ns/pid"} else . end)'
    run_fails 'pid'
}
