#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A start that fails at each step in turn: one sentence, and nothing left. The build has -Dfault_injection=true.
load ../lib/common

setup_file() {
    setup_minka
    # without the injection every start would succeed, and nothing be tested
    grep -q MINKA_FAIL_AT "$MINKA" || skip "the build has no -Dfault_injection=true"
}
setup() {
    remember
    new_bundle
}
teardown() { delete_all; }

# Tries 1, 2, 3 … until the command succeeds with nothing injected any more.
every_step() { # COMMAND... : with {} for the id
    local step id args
    for step in $(seq 1 200); do
        id=$(new_id)
        args=("${@//\{\}/$id}")
        run env MINKA_FAIL_AT="$step" timeout 60 "${args[@]}" </dev/null
        if [[ $status -eq 0 ]]; then
            echo "$((step - 1)) steps"
            ((step > 20))
            return
        fi
        echo "step $step: $output"
        [ "$status" -ne 124 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ $output == *"step "*"MINKA_FAIL_AT"* ]] # this, and nothing that came of it
        [ ! -e "$MINKA_ROOT/$id" ]
        nothing_left
    done
    false
}

@test "fault: run fails at every step in turn and leaves nothing" {
    every_step "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" {}
    nothing_left
}

@test "fault: run from an image fails at every step in turn and leaves nothing" {
    mkfs.erofs "$BATS_TEST_TMPDIR/image" "$BUNDLE/rootfs" >/dev/null 2>&1
    every_step "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" --image "$BATS_TEST_TMPDIR/image" {}
    nothing_left
}

@test "fault: exec fails at every step in turn and the container goes on" {
    local id step
    id=$(new_id)
    set_args sleep 1000
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    for step in $(seq 1 50); do
        run env MINKA_FAIL_AT=$step timeout 60 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" exec "$id" true
        [[ $status -ne 0 ]] || break
        echo "step $step: $output"
        [ "${#lines[@]}" -eq 1 ]
        is_status "$id" running
        [ "$(minka ps --format json "$id" | jq length)" -eq 1 ]
    done
    ((step > 2))
    minka delete --force "$id"
    nothing_left
}

# Kills a process of the sandbox before each step that it lives to see.
kill_at_every_step() { # ROLE PATTERN STEP...
    local role=$1 pattern=$2 step id
    shift 2
    for step in "$@"; do
        id=$(new_id)
        run env MINKA_KILL="$role@$step" timeout 60 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run \
            --bundle "$BUNDLE" "$id" </dev/null
        echo "$role, $step: status $status: $output"
        [ "$status" -ne 0 ] # nor do misspelt steps pass
        [ "$status" -ne 124 ]
        [ "${#lines[@]}" -eq 1 ]
        [[ $output =~ $pattern ]]
        [ ! -e "$MINKA_ROOT/$id" ]
        nothing_left
    done
}
early=(trees load empty prove boot streams stand-in "prove stand-in" hooks guest container)
late=("limit CPU" save end)

@test "fault: QEMU dies before every step of the start" {
    kill_at_every_step vmm 'QEMU was ended by SIGKILL while the virtual machine was' "file server" "${early[@]}"
    kill_at_every_step vmm 'not running|has stopped|QEMU was ended' "${late[@]}"
}

@test "fault: the file server dies before every step of the start" {
    kill_at_every_step "file server" 'the file server was ended by SIGKILL while the virtual machine was' "${early[@]}"
    kill_at_every_step "file server" 'not running|has stopped|file server was ended' "${late[@]}"
}

@test "fault: the monitor dies before every step of the start" {
    kill_at_every_step monitor 'minka-monitor ended unexpectedly' VMM "file server" "${early[@]}"
    kill_at_every_step monitor 'not running|has stopped|minka-monitor ended' "${late[@]}"
}

@test "fault: the stand-in dies before every step of the start" {
    kill_at_every_step stand-in 'minka-standin ended unexpectedly' "prove stand-in"
    # from here on it is as if the container had been killed
    kill_at_every_step stand-in 'not running|has stopped|minka-standin ended' hooks guest container "${late[@]}"
}
