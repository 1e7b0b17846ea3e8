#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A start that fails at each step in turn: one sentence, and nothing left. The build has -Dfault_injection=true.
load ../lib/common

setup_file() { setup_minka; }
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
        run env MINKA_FAIL_AT=$step timeout 60 "${args[@]}"
        if [[ $status -eq 0 ]]; then
            echo "$((step - 1)) steps"
            ((step > 10)) # else the injection is not compiled in
            return
        fi
        echo "step $step: $output"
        [ "$status" -ne 124 ]
        [ "${#lines[@]}" -eq 1 ]
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
