#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `minka run`: the first thing anybody does.
load ../lib/common

setup_file() { setup_minka; }
setup() { remember; new_bundle; }
teardown() { delete_all; }

@test "run: a container runs in a virtual machine with another kernel" {
    run_script 'uname -r; id -u; cat /proc/1/comm; hostname'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" != "$(uname -r)" ]
    [ "${lines[1]}" = 0 ]
    [ "${lines[2]}" = sh ]
    [ "${lines[3]}" = minka ]
    nothing_left
}

@test "run: exit codes reach the caller exactly" {
    local code
    for code in 0 1 42 255; do
        run_script "exit $code"
        [ "$status" -eq "$code" ]
    done
    nothing_left
}

@test "run: a signal that ends the process reaches the caller as 128 + n" {
    run_script 'kill -KILL $$'
    # pid 1 of a pid namespace cannot be killed from inside: the shell goes on and ends normally
    [ "$status" -eq 0 ]
    run_script 'sh -c "kill -TERM \$\$"; exit $?'
    [ "$status" -eq 143 ]
    set_args sleep 100
    local id
    id=$(new_id)
    minka run --bundle "$BUNDLE" "$id" &
    local pid=$!
    wait_for 30 is_status "$id" running
    minka kill "$id" KILL
    local code=0
    wait "$pid" || code=$?
    [ "$code" -eq 137 ]
    nothing_left
}

@test "run: stdin, stdout and stderr are three streams" {
    set_script 'cat; echo to-stderr >&2'
    id=$(new_id)
    echo hello | minka run --bundle "$BUNDLE" "$id" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = hello ]
    [ "$(cat "$BATS_TEST_TMPDIR/err")" = to-stderr ]
    nothing_left
}

@test "run: environment, working directory, arguments with spaces and empty ones" {
    edit_config '.process.env += ["GREETING=hello  world", "EMPTY="] | .process.cwd = "/tmp"'
    set_args sh -c 'echo "$GREETING|$EMPTY|$PWD|$#|$1|$2"' sh 'a b' ''
    run minka run --bundle "$BUNDLE" "$(new_id)"
    [ "$status" -eq 0 ]
    [ "$output" = 'hello  world||/tmp|2|a b|' ]
}

@test "run: q35 where the configuration asks for it" {
    write_config 'machine_type = "q35"'
    run_script 'cat /sys/bus/pci/devices/0000:00:00.0/device'
    write_config
    [ "$status" -eq 0 ]
    [ "$output" = 0x29c0 ] # the memory controller of a Q35
    nothing_left
}

@test "run: ten at the same time" {
    local pids=() i
    set_script 'echo $0-finished'
    for i in 1 2 3 4 5 6 7 8 9 10; do
        minka run --bundle "$BUNDLE" "$(new_id)-$i" >"$BATS_TEST_TMPDIR/out.$i" 2>&1 &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    [ "$(cat "$BATS_TEST_TMPDIR"/out.* | grep -c finished)" -eq 10 ]
    nothing_left
}
