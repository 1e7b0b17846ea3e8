#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# kill -9 of any process of a sandbox: state says stopped, the caller gets a code, delete cleans everything.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    new_bundle
    set_args sleep 1000
    id=$(new_id)
}
teardown() { delete_all; }

process_of() { jq -r ".$1.pid" "$MINKA_ROOT/$id/state.json"; }

kill_while_running() { # ROLE
    minka run --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>"$BATS_TEST_TMPDIR/errors" &
    local caller=$! code=0
    wait_for 60 is_status "$id" running
    kill -KILL "$(process_of "$1")"
    wait "$caller" || code=$?
    echo "the caller got $code"
    cat "$BATS_TEST_TMPDIR/errors"
    [ "$code" -eq 137 ]
    grep -qE "$2" "$BATS_TEST_TMPDIR/errors"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/errors")" -eq 1 ]
    nothing_left
}
kill_after_create() { # ROLE
    minka create --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    kill -KILL "$(process_of "$1")"
    wait_for 20 is_status "$id" stopped
    run minka start "$id"
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
    minka delete "$id"
    nothing_left
}

@test "kill -9: the monitor of a running container" { kill_while_running monitor 'minka-monitor ended unexpectedly'; }
@test "kill -9: the VMM of a running container" { kill_while_running vmm 'QEMU was ended by SIGKILL while the virtual machine was running$'; }
@test "kill -9: the file server of a running container" { kill_while_running fileServer 'the file server was ended by SIGKILL while the virtual machine was running$'; }
# Who kills the pid that stands for a container means it, so there is nothing to explain.
@test "kill -9: the stand-in of a running container" {
    minka run --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>"$BATS_TEST_TMPDIR/errors" &
    local caller=$! code=0
    wait_for 60 is_status "$id" running
    kill -KILL "$(process_of standin)"
    wait "$caller" || code=$?
    [ "$code" -eq 137 ]
    [ ! -s "$BATS_TEST_TMPDIR/errors" ]
    nothing_left
}
@test "kill -9: a container that was asked to end by SIGKILL needs no explanation" {
    minka run --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>"$BATS_TEST_TMPDIR/errors" &
    local caller=$! code=0
    wait_for 60 is_status "$id" running
    minka kill "$id" KILL
    wait "$caller" || code=$?
    [ "$code" -eq 137 ]
    [ ! -s "$BATS_TEST_TMPDIR/errors" ]
    nothing_left
}
@test "a guest that breaks itself: the caller hears what happened, in the log too" {
    # shellcheck disable=SC2016 # jq's own
    edit_config '.linux.maskedPaths = [] | .linux.readonlyPaths = [] | (.mounts[] | select(.type == "proc") | .options) = ["rw"]
        | .process.capabilities |= with_entries(.value = ["CAP_SYS_ADMIN", "CAP_MKNOD"])
        | .linux.resources.devices = [{allow: true, access: "rwm"}]'
    set_script 'sleep 1; echo c >/proc/sysrq-trigger; sleep 1000'
    run --separate-stderr minka --log "$BATS_TEST_TMPDIR/log" --log-format json run --bundle "$BUNDLE" "$id" </dev/null
    # shellcheck disable=SC2154 # set by run --separate-stderr
    echo "$status: $stderr"
    [ "$status" -eq 137 ]
    [[ $stderr == *"the guest's kernel panicked while it was running"* ]]
    [[ $(jq -r .msg "$BATS_TEST_TMPDIR/log") == *"the guest's kernel panicked"* ]]
    nothing_left
}
@test "kill -9: the monitor of a created container" { kill_after_create monitor; }
@test "kill -9: the VMM of a created container" { kill_after_create vmm; }
@test "kill -9: the file server of a created container" { kill_after_create fileServer; }

@test "kill -9: the command itself, at moments all over the start" {
    local delay
    for delay in 0.01 0.03 0.06 0.1 0.2 0.4 0.7 1.0 1.3; do
        minka create --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1 &
        local command=$!
        sleep $delay
        kill -KILL $command 2>/dev/null || true
        wait $command || true
        minka delete --force "$id"
        nothing_left
    done
}

@test "kill -9: any process at any moment of the start" {
    local pid
    for _ in 1 2 3 4 5 6 7 8; do
        minka create --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>"$BATS_TEST_TMPDIR/err" &
        local command=$!
        sleep "0.$((RANDOM % 9))"
        # whatever of the sandbox is alive now: pick one
        pid=$(jq -r '[.monitor.pid, .vmm.pid, .fileServer.pid, .standin.pid] | map(select(. > 0)) | .[]' "$MINKA_ROOT/$id/state.json" 2>/dev/null | shuf -n 1) || true
        [[ -z $pid ]] || kill -KILL "$pid" 2>/dev/null || true
        wait $command || [ -s "$BATS_TEST_TMPDIR/err" ] # a failure says something
        minka delete --force "$id"
        nothing_left
    done
}

# The monitor is pid 1 of the stand-in's namespace, and does not go before the stand-in is reaped by its parent.
@test "delete --force: who waits for the container and is suspended does not hold it up" {
    local how
    for how in run exec damaged; do
        echo "$how"
        local verb=(run --bundle "$BUNDLE" "$id")
        if [[ $how == exec ]]; then
            minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
            verb=(exec "$id" sleep 1000)
        fi
        "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" "${verb[@]}" </dev/null >/dev/null 2>&1 &
        local waiting=$! code=0
        wait_for 60 is_status "$id" running
        [[ $how != exec ]] || wait_for 10 eval "[[ \$(minka ps -f json $id) == *,* ]]"
        kill -STOP $waiting
        [[ $how != damaged ]] || echo '{' >"$MINKA_ROOT/$id/state.json"
        run minka delete --force "$id"
        echo "$output"
        kill -CONT $waiting
        [ "$status" -eq 0 ]
        [[ $how == damaged || -z $output ]]
        wait $waiting || code=$?
        echo "code $code"
        [[ $code -eq 137 || ($how == exec && $code -ne 0) ]] # an exec may not have heard yet that its process runs
        nothing_left
    done
}

# What a disk that was full, a hand or another version leaves in the place of a state.
damage() { # HOW
    local file=$MINKA_ROOT/$id/state.json
    case $1 in
    truncated) head -c 200 "$file" >"$BATS_TEST_TMPDIR/state" && cat "$BATS_TEST_TMPDIR/state" >"$file" ;;
    empty) : >"$file" ;;
    version) jq '.format = 999' "$file" >"$BATS_TEST_TMPDIR/state" && cat "$BATS_TEST_TMPDIR/state" >"$file" ;;
    unreadable) rm "$file" && mkdir "$file" ;;
    absent) rm "$file" ;;
    esac
}

@test "delete --force: a state that cannot be read, of a container that runs" {
    local how
    for how in truncated empty version unreadable absent; do
        echo "$how"
        minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
        damage $how
        run minka delete "$id"
        if [[ $how == absent ]]; then # what ends without --force is not known: nothing is touched
            [[ $status -eq 1 && -S $MINKA_ROOT/$id/control.sock ]]
        else
            [[ $status -eq 1 && $output == *"minka delete --force $id"* && ${#lines[@]} -eq 1 ]]
        fi
        run minka delete --force "$id"
        echo "$output"
        [[ $status -eq 0 && ${#lines[@]} -eq 1 && $output == *"container $id was removed by what its leased uids lead to"* ]]
        nothing_left
    done
}

@test "delete --force: a state that cannot be read, of a container that has ended, with a hook and a cgroup" {
    printf '#!/bin/sh\ntouch %s/poststop\n' "$BATS_TEST_TMPDIR" >"$BUNDLE/poststop"
    chmod +x "$BUNDLE/poststop"
    # shellcheck disable=SC2016 # jq's own variables
    edit_config --arg dir "$BUNDLE" --arg path "/minka/$id-own" '.hooks = {poststop: [{path: "\($dir)/poststop"}]} | .linux.cgroupsPath = $path'
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    kill -KILL "$(process_of monitor)"
    wait_for 20 is_status "$id" stopped
    damage truncated
    run minka delete --force "$id"
    echo "$output"
    [[ $status -eq 0 && $output == *"its poststop hooks were not run"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/poststop" ]
    nothing_left
}
