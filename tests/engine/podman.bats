#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The real podman, as root, without a network: in a mount and network namespace of its own, with storage of its own.
load ../lib/common

setup_file() {
    setup_minka
    command -v podman >/dev/null || skip "podman is not installed"
    export WORK=$BATS_FILE_TMPDIR
    # The wrapper is what `--runtime` names: the staged minka with the configuration of these tests.
    printf '#!/bin/sh\nexec %s --config %s --root %s "$@"\n' "$MINKA" "$CONFIG" "$MINKA_ROOT" >"$WORK/minka"
    chmod 755 "$WORK/minka"
    # Hard limits of this machine, which podman's defaults may exceed.
    cat >"$WORK/containers.conf" <<C
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=$(($(ulimit -Hu) < 32768 ? $(ulimit -Hu) : 32768)):$(($(ulimit -Hu) < 32768 ? $(ulimit -Hu) : 32768))"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["minka"]
C
    busybox_rootfs "$WORK/image"
    tar -C "$WORK/image" -cf "$WORK/image.tar" .
    podman import --change CMD=/bin/sh --change ENV=PATH=/bin "$WORK/image.tar" localhost/bb:latest >/dev/null 2>&1
}
teardown_file() {
    podman rm -fa >/dev/null 2>&1 || true
    podman --runtime /usr/sbin/runc system reset -f >/dev/null 2>&1 || true
}
setup() { name=c$$-$BATS_TEST_NUMBER; }

podman() {
    CONTAINERS_CONF=$WORK/containers.conf command podman --root "$WORK/storage" --runroot "$WORK/run" --tmpdir "$WORK/tmp" --runtime "$WORK/minka" "$@"
}
prun() { podman run --network none "$@"; }

@test "podman: run --rm" {
    run prun --rm bb uname -r
    [ "$status" -eq 0 ]
    [ "$output" != "$(uname -r)" ]
}

@test "podman: exit codes 0, 42, 137, 127, 126" {
    run prun --rm bb true
    [ "$status" -eq 0 ]
    run prun --rm bb sh -c 'exit 42'
    [ "$status" -eq 42 ]
    run prun --rm bb no-such-command
    [ "$status" -eq 127 ]
    run prun --rm bb /etc
    [ "$status" -eq 126 ]
    prun -d --name "$name" bb sleep 1000
    podman kill "$name"
    run podman wait "$name"
    [ "$output" = 137 ]
    podman rm "$name"
}

@test "podman: run -d, logs, exec, inspect, stop, rm" {
    prun -d --name "$name" bb sh -c 'echo out; echo err >&2; trap "exit 5" TERM; while :; do sleep 0.1; done'
    wait_for 20 bash -c "[[ \$(CONTAINERS_CONF=$WORK/containers.conf podman --root $WORK/storage --runroot $WORK/run --tmpdir $WORK/tmp logs $name 2>&1) == *out* ]]"
    run podman logs "$name"
    [[ $output == *out* && $output == *err* ]]
    run podman exec "$name" sh -c 'hostname; exit 3'
    [ "$status" -eq 3 ]
    run podman exec "$name" no-such-command
    [ "$status" -eq 127 ]
    run podman exec --user 1000 --env A=b --workdir /tmp "$name" sh -c 'id -u; echo $A; pwd'
    [ "$output" = $'1000\nb\n/tmp' ]
    echo from-stdin | podman exec -i "$name" cat >"$BATS_TEST_TMPDIR/out"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = from-stdin ]
    [ "$(podman inspect --format '{{.State.Status}}' "$name")" = running ]
    podman stop -t 10 "$name"
    [ "$(podman inspect --format '{{.State.ExitCode}}' "$name")" = 5 ]
    podman rm "$name"
    run podman ps -aq
    [ -z "$output" ]
}

@test "podman: stop kills what ignores the signal" {
    prun -d --name "$name" bb sh -c 'trap "" TERM; while :; do sleep 0.1; done'
    sleep 1
    podman stop -t 1 "$name"
    [ "$(podman inspect --format '{{.State.ExitCode}}' "$name")" = 137 ]
    podman rm "$name"
}

@test "podman: run -i takes stdin" {
    echo hello | prun --rm -i bb cat >"$BATS_TEST_TMPDIR/out"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = hello ]
}

@test "podman: run -it has a terminal, exec -it too" {
    cat >"$BATS_TEST_TMPDIR/pty.py" <<'P'
import os, pty, sys
out = b""
def read(fd):
    global out
    data = os.read(fd, 1024)
    out += data
    return data
status = pty.spawn(sys.argv[1:], read)
sys.exit(os.waitstatus_to_exitcode(status))
P
    export -f podman
    run timeout 100 python3 "$BATS_TEST_TMPDIR/pty.py" env CONTAINERS_CONF="$WORK/containers.conf" podman --root "$WORK/storage" --runroot "$WORK/run" --tmpdir "$WORK/tmp" \
        --runtime "$WORK/minka" run --network none --rm -it bb sh -c 'tty; test -t 0 && test -t 1 && exit 21'
    echo "$output"
    [ "$status" -eq 21 ]
    prun -d --name "$name" bb sleep 1000
    run timeout 100 python3 "$BATS_TEST_TMPDIR/pty.py" env CONTAINERS_CONF="$WORK/containers.conf" podman --root "$WORK/storage" --runroot "$WORK/run" --tmpdir "$WORK/tmp" \
        --runtime "$WORK/minka" exec -it "$name" sh -c 'tty; test -t 0 && exit 22'
    [ "$status" -eq 22 ]
    podman rm -f -t 0 "$name"
}

@test "podman: volumes, tmpfs, read-only, hostname, memory, user, env" {
    mkdir "$BATS_TEST_TMPDIR/v"
    run prun --rm -v "$BATS_TEST_TMPDIR/v:/v" --tmpfs /t --read-only --hostname named --memory 128m --user 1000:1000 -e X=y bb \
        sh -c 'hostname; echo $X; id -u; cat /sys/fs/cgroup/memory.max; touch /x 2>/dev/null || echo ro; touch /t/f && echo tmpfs'
    [ "$status" -eq 0 ]
    [ "$output" = $'named\ny\n1000\n134217728\nro\ntmpfs' ]
    run prun --rm -v "$BATS_TEST_TMPDIR/v:/v" bb sh -c 'echo data >/v/file'
    [ "$(cat "$BATS_TEST_TMPDIR/v/file")" = data ]
}

@test "podman: nothing stays when all are removed" {
    leftovers >"$BATS_TEST_TMPDIR/after"
    ! grep -E 'process (minka|qemu|virtiofsd)' "$BATS_TEST_TMPDIR/after"
}
