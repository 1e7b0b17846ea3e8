#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `minka exec`: further processes in a running container. One container serves the whole file.
load ../lib/common

setup_file() {
    setup_minka
    BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR new_bundle
    set_args sleep 1000
    export BUNDLE ID=$ID_PREFIX-exec
    minka run --detach --bundle "$BUNDLE" "$ID" </dev/null >/dev/null 2>&1
}
teardown_file() {
    minka delete --force "$ID"
}

@test "exec: runs beside the container's process, in its namespaces" {
    run minka exec "$ID" sh -c 'cat /proc/1/comm; hostname; id -u'
    [ "$status" -eq 0 ]
    [ "$output" = $'sleep\nminka\n0' ]
}

@test "exec: exit codes and signals reach the caller" {
    run minka exec "$ID" sh -c 'exit 42'
    [ "$status" -eq 42 ]
    run minka exec "$ID" sh -c 'kill -KILL $$'
    [ "$status" -eq 137 ]
}

@test "exec: a command that is not there gives 127 with the words that engines look for" {
    run minka exec "$ID" no-such-command
    [ "$status" -ne 0 ]
    [[ $output == *"executable file"*"not found in"* ]]
}

@test "exec: stdin, stdout, stderr" {
    echo one-two | minka exec "$ID" sh -c 'cat; echo err >&2' >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = one-two ]
    [ "$(cat "$BATS_TEST_TMPDIR/err")" = err ]
}

@test "exec: --user, --cwd, --env, --cap, --additional-gids, --no-new-privs" {
    run minka exec --user 1000:1000 --additional-gids 2000 --cwd /tmp --env A=b "$ID" sh -c 'id -u; id -g; id -G; pwd; echo $A'
    [ "$output" = $'1000\n1000\n1000 2000\n/tmp\nb' ]
    run minka exec --no-new-privs "$ID" grep NoNewPrivs /proc/self/status
    [[ $output == *1 ]]
    run minka exec --cap CAP_SYS_TIME "$ID" grep CapBnd /proc/self/status
    (((16#${output##*$'\t'} >> 25 & 1) == 1))
}

@test "exec: --process takes the whole process object, --detach returns, --pid-file names a process that ends with the code" {
    jq '.process | .args = ["sh", "-c", "sleep 0.5; exit 9"] | .terminal = false' "$BUNDLE/config.json" >"$BATS_TEST_TMPDIR/process.json"
    minka exec --process "$BATS_TEST_TMPDIR/process.json" --detach --pid-file "$BATS_TEST_TMPDIR/pid" "$ID" </dev/null >/dev/null 2>&1
    pid=$(cat "$BATS_TEST_TMPDIR/pid")
    [ "$(minka ps --format json "$ID" | jq "index($pid) != null")" = true ]
    wait_for 20 bash -c "! kill -0 $pid || grep -q '^State:.Z' /proc/$pid/status"
}

@test "exec: --process without environment and capabilities takes the container's" {
    local command='echo "$TERM"; grep ^Cap /proc/self/status'
    run minka exec "$ID" sh -c "$command"
    [ "${lines[0]}" = xterm ]
    local expected=$output
    run minka exec --process - "$ID" < <(jq -n --arg c "$command" '{args: ["sh", "-c", $c], cwd: "/", user: {uid: 0, gid: 0}}')
    [ "$status" -eq 0 ]
    [ "$output" = "$expected" ]
}

@test "exec: twenty at the same time" {
    local pids=() i
    for i in $(seq 20); do
        minka exec "$ID" sh -c "echo n$i; exit $i" >"$BATS_TEST_TMPDIR/out.$i" &
        pids[i]=$!
    done
    for i in $(seq 20); do
        local code=0
        wait "${pids[i]}" || code=$?
        [ "$code" -eq "$i" ]
        [ "$(cat "$BATS_TEST_TMPDIR/out.$i")" = "n$i" ]
    done
}

@test "exec: nothing of it stays" {
    local before after
    before=$(minka ps "$ID" | wc -l)
    minka exec "$ID" true
    wait_for 5 bash -c "[ \$('$MINKA' --config '$CONFIG' --root '$MINKA_ROOT' ps --format json '$ID' | jq length) -eq 1 ]"
    after=$(minka ps "$ID" | wc -l)
    [ "$before" -eq "$after" ]
}
