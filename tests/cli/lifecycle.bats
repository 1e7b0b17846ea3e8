#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The OCI verbs one by one, as engines call them.
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    new_bundle
    id=$(new_id)
}
teardown() { delete_all; }

# As conmon does: the engine holds the pipes, the runtime returns.
create() { minka create --bundle "$BUNDLE" --pid-file "$BATS_TEST_TMPDIR/pid" "$id" </dev/null >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err"; }

@test "lifecycle: create, state, start, kill, delete" {
    set_script 'trap "echo got-term; exit 7" TERM; echo ready; while :; do sleep 0.1; done'
    create
    pid=$(cat "$BATS_TEST_TMPDIR/pid")
    [ -d "/proc/$pid" ]
    run minka state "$id"
    [ "$status" -eq 0 ]
    [ "$(jq -r .status <<<"$output")" = created ]
    [ "$(jq -r .id <<<"$output")" = "$id" ]
    [ "$(jq -r .pid <<<"$output")" = "$pid" ]
    [ "$(jq -r .bundle <<<"$output")" = "$BUNDLE" ]
    jq -e '.ociVersion and .created and .rootfs and .owner == "root"' <<<"$output"
    [ "$(minka list --format json | jq -r '.[0].owner')" = root ]
    # who has no name is shown by number
    jq '.owner = 4000000000' "$MINKA_ROOT/$id/state.json" >"$BATS_TEST_TMPDIR/state.json"
    cat "$BATS_TEST_TMPDIR/state.json" >"$MINKA_ROOT/$id/state.json"
    [ "$(minka state "$id" | jq -r .owner)" = '#4000000000' ]
    [ ! -s "$BATS_TEST_TMPDIR/out" ] # nothing of the process has run
    minka start "$id"
    is_status "$id" running
    wait_for 20 grep -q ready "$BATS_TEST_TMPDIR/out"
    minka kill "$id" TERM
    wait_for 20 is_status "$id" stopped
    grep -q got-term "$BATS_TEST_TMPDIR/out"
    [ "$(minka state "$id" | jq .pid)" = 0 ]
    minka delete "$id"
    run minka state "$id"
    [ "$status" -eq 1 ]
    [[ $output == *"does not exist"* ]]
    nothing_left
}

@test "lifecycle: the pid in --pid-file ends with the code of the process" {
    set_script 'exit 42'
    # the shell is the parent here, as conmon is: a subreaper is not needed when create is exec'd by it
    cat >"$BATS_TEST_TMPDIR/parent.py" <<'P'
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
minka, bundle, pidfile, name = sys.argv[1].split(), sys.argv[2], sys.argv[3], sys.argv[4]
null = open(os.devnull, "r+")
subprocess.run(minka + ["create", "--bundle", bundle, "--pid-file", pidfile, name], check=True, stdin=null, stdout=null, stderr=null)
pid = int(open(pidfile).read())
subprocess.run(minka + ["start", name], check=True)
if len(sys.argv) > 5:
    subprocess.run(minka + ["kill", name, sys.argv[5]], check=True)
while True:
    got, status = os.wait()
    if got == pid:
        break
print("signal" if os.WIFSIGNALED(status) else "exit", os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
P
    run python3 "$BATS_TEST_TMPDIR/parent.py" "$MINKA --config $CONFIG --root $MINKA_ROOT" "$BUNDLE" "$BATS_TEST_TMPDIR/pid" "$id"
    [ "$output" = "exit 42" ]
    minka delete "$id"
    set_args sleep 100
    run python3 "$BATS_TEST_TMPDIR/parent.py" "$MINKA --config $CONFIG --root $MINKA_ROOT" "$BUNDLE" "$BATS_TEST_TMPDIR/pid" "$id" KILL
    [ "$output" = "signal 9" ]
    minka delete "$id"
    nothing_left
}

@test "lifecycle: a signal sent to the pid in --pid-file reaches the process" {
    set_script 'trap "echo usr1; exit 3" USR1; echo ready; while :; do sleep 0.1; done'
    create
    minka start "$id"
    wait_for 20 grep -q ready "$BATS_TEST_TMPDIR/out"
    kill -USR1 "$(cat "$BATS_TEST_TMPDIR/pid")"
    wait_for 20 is_status "$id" stopped
    grep -q usr1 "$BATS_TEST_TMPDIR/out"
    minka delete "$id"
    nothing_left
}

@test "lifecycle: a container that never started can be killed and deleted" {
    set_args sleep 100
    create
    minka kill "$id" KILL
    wait_for 20 is_status "$id" stopped
    minka delete "$id"
    create
    minka delete "$id"
    run minka state "$id"
    [ "$status" -eq 1 ]
    nothing_left
}

@test "lifecycle: what must be refused is refused, with the words that engines look for" {
    set_args sleep 100
    create
    run minka create --bundle "$BUNDLE" "$id"
    [ "$status" -eq 1 ]
    [[ $output == *"exists"* ]]
    minka start "$id"
    run minka start "$id"
    [ "$status" -ne 0 ]
    run minka delete "$id"
    [ "$status" -eq 1 ]
    [[ $output == *running* ]]
    is_status "$id" running
    minka kill "$id" 0
    is_status "$id" running
    minka kill "$id" 9
    wait_for 20 is_status "$id" stopped
    run minka kill "$id" 0
    [ "$status" -eq 1 ]
    run minka kill "$id" TERM
    [ "$status" -eq 1 ]
    [[ $output == *"container not running"* ]]
    minka delete "$id"
    local verb
    for verb in state start kill delete pause resume ps exec update; do
        run minka $verb no-such-container
        [ "$status" -ne 0 ]
    done
    run minka state no-such-container
    [[ $output == *"does not exist"* ]]
    run minka delete --force no-such-container
    [ "$status" -eq 0 ]
    nothing_left
}

@test "lifecycle: delete --force ends a running container" {
    set_args sleep 100
    create
    minka start "$id"
    minka delete --force "$id"
    run minka state "$id"
    [ "$status" -eq 1 ]
    nothing_left
}

@test "lifecycle: exec in a container that is just ending says so in the words that engines look for" {
    set_args sleep 100
    for _ in 1 2 3; do
        create
        minka start "$id"
        minka kill "$id" KILL
        for _ in 1 2 3; do
            run minka exec "$id" true
            echo "$output"
            [[ $status -eq 1 && $output == *'container not running'* ]]
        done
        minka delete --force "$id"
    done
    nothing_left
}

@test "lifecycle: ids that are names of the kernel's files in a cgroup" {
    set_args sleep 100
    for id in tasks cgroup.procs cpu.stat memory.max memory.limit_in_bytes; do
        create
        minka start "$id"
        run minka exec "$id" cat /proc/self/cgroup
        [ "$output" = 0::/ ]
        minka pause "$id"
        minka resume "$id"
        minka update --pids-limit 50 "$id"
        [ -n "$(find /sys/fs/cgroup -maxdepth 3 -type d -name "$id:")" ]
        minka delete --force "$id"
        [ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -name "$id:")" ]
        nothing_left
    done
}

@test "lifecycle: signals by name and number, in every spelling, and --all" {
    set_script 'for s in HUP USR1 USR2 ALRM; do trap "echo $s" $s; done; echo ready; sh -c "trap \"echo child-alrm; exit\" ALRM; while :; do sleep 0.1; done" & while :; do sleep 0.1; done'
    create
    minka start "$id"
    wait_for 20 grep -q ready "$BATS_TEST_TMPDIR/out"
    minka kill "$id" HUP
    wait_for 10 grep -qx HUP "$BATS_TEST_TMPDIR/out"
    minka kill "$id" SIGUSR1
    wait_for 10 grep -qx USR1 "$BATS_TEST_TMPDIR/out"
    minka kill "$id" 12
    wait_for 10 grep -qx USR2 "$BATS_TEST_TMPDIR/out"
    minka kill --all "$id" ALRM
    wait_for 10 grep -qx ALRM "$BATS_TEST_TMPDIR/out"
    wait_for 10 grep -qx child-alrm "$BATS_TEST_TMPDIR/out"
    run minka kill "$id" NOSUCH
    [ "$status" -ne 0 ]
    minka kill -a "$id" KILL
    wait_for 20 is_status "$id" stopped
    minka delete "$id"
    nothing_left
}

@test "lifecycle: list, in text, quiet and JSON" {
    set_args sleep 100
    run minka list -f json
    [ "$status" -eq 0 ]
    [ "$output" = null ]
    create
    run minka list -q
    [ "$output" = "$id" ]
    run minka list
    [[ ${lines[0]} == *ID*PID*STATUS*BUNDLE* ]]
    [[ ${lines[1]} == *"$id"*created* ]]
    run minka list --format json
    [ "$(jq -r '.[0].id' <<<"$output")" = "$id" ]
    [ "$(jq -r '.[0].status' <<<"$output")" = created ]
    minka delete --force "$id"
    nothing_left
}

@test "lifecycle: pause stops every process, resume lets them go on" {
    set_script 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done'
    create
    minka start "$id"
    wait_for 20 test -s "$BATS_TEST_TMPDIR/out"
    minka pause "$id"
    is_status "$id" paused
    sleep 0.5
    before=$(wc -l <"$BATS_TEST_TMPDIR/out")
    sleep 1
    [ "$(wc -l <"$BATS_TEST_TMPDIR/out")" -eq "$before" ]
    run minka pause "$id"
    [ "$status" -ne 0 ]
    minka resume "$id"
    is_status "$id" running
    wait_for 10 bash -c "[ \$(wc -l <'$BATS_TEST_TMPDIR/out') -gt $before ]"
    minka kill "$id" KILL
    wait_for 20 is_status "$id" stopped
    minka delete "$id"
    nothing_left
}

@test "lifecycle: ps shows the guest's processes as a table and host pids as JSON" {
    set_args sleep 77
    create
    minka start "$id"
    run minka ps "$id"
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == *PID*CMD* ]]
    [[ $output == *"sleep 77"* ]]
    run minka ps --format json "$id"
    [ "$(jq -r '.[0]' <<<"$output")" = "$(cat "$BATS_TEST_TMPDIR/pid")" ]
    minka delete --force "$id"
    nothing_left
}

@test "lifecycle: events --stats tells memory, cpu and pids" {
    set_args sleep 100
    create
    minka start "$id"
    run minka events --stats "$id"
    [ "$status" -eq 0 ]
    jq -e '.type == "stats" and .data.memory.usage.usage > 0 and .data.cpu.usage.total > 0 and .data.pids.current >= 1' <<<"$output"
    minka delete --force "$id"
    nothing_left
}

@test "lifecycle: update changes the limits of a running container" {
    edit_config '.linux.resources.memory.limit = 67108864 | .linux.resources.pids.limit = 20'
    set_script 'while :; do cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max | tr "\n" " "; echo; sleep 0.2; done'
    create
    minka start "$id"
    wait_for 20 grep -q '^67108864 20' "$BATS_TEST_TMPDIR/out"
    minka update --memory 50331648 --pids-limit 30 "$id"
    wait_for 20 grep -q '^50331648 30' "$BATS_TEST_TMPDIR/out"
    echo '{"memory": {"limit": 58720256}}' | minka update --resources - "$id"
    wait_for 20 grep -q '^58720256 30' "$BATS_TEST_TMPDIR/out"
    echo '{"pids": {"limit": 40}}' >"$BATS_TEST_TMPDIR/resources"
    minka update --resources="$BATS_TEST_TMPDIR/resources" "$id"
    wait_for 20 grep -q '^58720256 40' "$BATS_TEST_TMPDIR/out"
    minka delete --force "$id"
    nothing_left
}

@test "lifecycle: run --detach returns, options stand before and after the id" {
    set_args sleep 100
    minka run --bundle="$BUNDLE" "$id" --detach --pid-file "$BATS_TEST_TMPDIR/pid" </dev/null >/dev/null 2>&1
    is_status "$id" running
    [ -d "/proc/$(cat "$BATS_TEST_TMPDIR/pid")" ]
    minka delete "$id" --force
    nothing_left
}

@test "lifecycle: features and spec are what engines and people expect" {
    run minka features
    [ "$status" -eq 0 ]
    jq -e '.ociVersionMin and .ociVersionMax and (.hooks | index("prestart")) and .linux.seccomp.enabled and (.linux.namespaces | index("pid"))' <<<"$output"
    mkdir "$BATS_TEST_TMPDIR/new"
    minka spec --bundle "$BATS_TEST_TMPDIR/new"
    jq -e '.ociVersion and .process.args == ["sh"]' "$BATS_TEST_TMPDIR/new/config.json"
    run minka spec --bundle "$BATS_TEST_TMPDIR/new"
    [ "$status" -ne 0 ] # never overwrites
    run minka --version
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == minka\ version* ]]
}

@test "lifecycle: hooks run at their times with the state on stdin" {
    log=$BATS_TEST_TMPDIR/hooks
    cat >"$BATS_TEST_TMPDIR/hook" <<H
#!/bin/sh
printf '%s %s ' "\$1" "\$HOOKENV" >>$log
cat >>$log
echo >>$log
H
    chmod +x "$BATS_TEST_TMPDIR/hook"
    edit_config --arg h "$BATS_TEST_TMPDIR/hook" '
        def hook($kind): [{path: $h, args: ["hook", $kind], env: ["HOOKENV=e-" + $kind, "PATH=/usr/bin:/bin"]}];
        .hooks = {prestart: hook("prestart"), createRuntime: hook("createRuntime"), createContainer: hook("createContainer"),
                  poststart: hook("poststart"), poststop: hook("poststop"),
                  startContainer: [{path: "/bin/sh", args: ["sh", "-c", "cat >/tmp/start-state; readlink /proc/self/ns/pid >/tmp/start-ns"]}]}'
    set_script 'cat /tmp/start-state; echo; test "$(readlink /proc/self/ns/pid)" = "$(cat /tmp/start-ns)" && echo same-namespace'
    create
    [ "$(cut -d' ' -f1,2 "$log" | tr '\n' ' ')" = 'prestart e-prestart createRuntime e-createRuntime createContainer e-createContainer ' ]
    grep -q '"status":"creat' "$log"
    [ "$(grep -o '"pid": *[0-9]*' "$log" | head -1 | tr -dc 0-9)" = "$(cat "$BATS_TEST_TMPDIR/pid")" ]
    minka start "$id"
    wait_for 20 is_status "$id" stopped
    grep -q same-namespace "$BATS_TEST_TMPDIR/out"
    head -1 "$BATS_TEST_TMPDIR/out" | jq -e --arg id "$id" '.id == $id and .pid == 1'
    minka delete "$id"
    [ "$(cut -d' ' -f1 "$log" | tr '\n' ' ')" = 'prestart createRuntime createContainer poststart poststop ' ]
    nothing_left
}

@test "lifecycle: a failing createRuntime hook ends the start and leaves nothing" {
    edit_config '.hooks = {createRuntime: [{path: "/bin/false"}]}'
    run minka run --bundle "$BUNDLE" "$id"
    [ "$status" -ne 0 ]
    [[ $output == *hook* ]]
    nothing_left
}

@test "lifecycle: the JSON log of a failure is exactly one object with the same sentence" {
    log=$BATS_TEST_TMPDIR/log
    run minka --log "$log" --log-format json state no-such-container
    [ "$status" -eq 1 ]
    jq -e '.level == "error" and (.msg | contains("does not exist")) and .time' "$log"
    [ "$(wc -l <"$log")" -eq 1 ]
    [[ $output == *"$(jq -r .msg "$log")"* ]]
    run minka --log "$BATS_TEST_TMPDIR/text" state no-such-container
    grep -q 'does not exist' "$BATS_TEST_TMPDIR/text"
}
