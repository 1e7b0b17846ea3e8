#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What ends a command early leaves nothing: Ctrl-C and its kind, a limit of the caller's, a monitor that does not answer.
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    new_bundle
    set_args sleep 1000
    id=$(new_id)
}
teardown() {
    exec 9>&- || true
    delete_all
}

# timeout(1), since a shell's background jobs have SIGINT ignored.
interrupt_with() { # SIGNAL SECONDS MINKA-ARGUMENT...
    local signal=$1 seconds=$2
    shift 2
    run timeout -k 60 -s "$signal" "$seconds" "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" "$@" </dev/null
    echo "$signal after $seconds: $output"
    [ "$status" -eq 124 ]
    [ "${#lines[@]}" -le 1 ]
}

@test "interrupt: Ctrl-C at moments all over the start" {
    local delay
    for delay in 0.03 0.1 0.3 0.6 0.9; do
        interrupt_with INT $delay create --bundle "$BUNDLE" "$id"
        [[ -z $output || $output == *"interrupted by signal 2"* ]]
        nothing_left
    done
}

@test "interrupt: SIGTERM and SIGHUP during run" {
    interrupt_with TERM 0.5 run --bundle "$BUNDLE" "$id"
    nothing_left
    interrupt_with HUP 0.5 run --bundle "$BUNDLE" "$id"
    nothing_left
}

@test "interrupt: a hook that hangs is ended, and poststop hooks run" {
    cat >"$BUNDLE/hang" <<EOF
#!/bin/sh
exec sleep 1000
EOF
    cat >"$BUNDLE/poststop" <<EOF
#!/bin/sh
sleep 1
touch $BATS_TEST_TMPDIR/poststop
EOF
    chmod +x "$BUNDLE/hang" "$BUNDLE/poststop"
    # shellcheck disable=SC2016 # jq's own variable
    edit_config --arg dir "$BUNDLE" '.hooks = {createRuntime: [{path: "\($dir)/hang"}], poststop: [{path: "\($dir)/poststop"}]}'
    interrupt_with INT 5 create --bundle "$BUNDLE" "$id"
    [[ $output == *"interrupted during the createRuntime hook"* ]]
    [ -e "$BATS_TEST_TMPDIR/poststop" ]
    nothing_left
}

@test "interrupt: who has the signal ignored is not interrupted" {
    set_args sh -c 'exit 7'
    "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id" </dev/null & # a background job has SIGINT ignored
    local command=$! code=0
    sleep 0.5
    kill -INT "$command"
    wait "$command" || code=$?
    [ "$code" -eq 7 ]
    nothing_left
}

# In a foreground run the signals are held from the creation on, and are the container's once it runs.
signal_run() { # SIGNAL SECONDS: run in the foreground; $status is minka's own
    status=0
    timeout -k 60 --preserve-status -s "$1" "$2" "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id" \
        </dev/null >"$BATS_TEST_TMPDIR/output" 2>&1 || status=$?
    output=$(cat "$BATS_TEST_TMPDIR/output")
    echo "$1 after $2: $status $output"
}

# The same as soon as FILE is there. (A job in the background has INT ignored.)
signal_run_at() { # SIGNAL FILE
    status=0
    rm -f "$2"
    env --default-signal=INT "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id" \
        </dev/null >"$BATS_TEST_TMPDIR/output" 2>&1 &
    local command=$!
    wait_for 60 test -e "$2"
    kill -s "$1" "$command"
    wait "$command" || status=$?
    output=$(cat "$BATS_TEST_TMPDIR/output")
    echo "$1 at $2: $status $output"
}
slow_hook() { # that says when it has begun
    printf '#!/bin/sh\ntouch %s/in-hook\nsleep 2\n' "$BATS_TEST_TMPDIR" >"$BUNDLE/slow"
    chmod +x "$BUNDLE/slow"
}

@test "interrupt: between the start and the wait of a run the container gets the signal" {
    slow_hook
    # shellcheck disable=SC2016 # jq's own variable
    edit_config --arg dir "$BUNDLE" '.hooks = {poststart: [{path: "\($dir)/slow"}]}'
    set_script 'trap "exit 42" TERM HUP USR1; sleep 1000 & wait'
    local signal
    for signal in TERM HUP USR1; do
        signal_run_at "$signal" "$BATS_TEST_TMPDIR/in-hook"
        [ "$status" -eq 42 ]
        nothing_left
    done
}

@test "interrupt: a run whose start hangs is given up, with nothing left" {
    edit_config '.hooks = {startContainer: [{path: "/bin/sleep", args: ["sleep", "100"]}]}'
    signal_run INT 3
    [ "$status" -eq 1 ]
    [[ $output == *"interrupted by signal 2"* ]]
    nothing_left
}

@test "interrupt: a run at moments all over its life leaves nothing" {
    local delay
    set_script 'trap "exit 42" TERM; sleep 1000 & wait'
    for delay in 0.50 0.55 0.60 0.65 0.70 0.75 0.80 0.85 0.90 1.0; do
        signal_run TERM "$delay"
        [[ $status -eq 42 || $status -eq 143 || ($status -eq 1 && $output == *"interrupted by signal 15"*) ]]
        nothing_left
    done
}

@test "interrupt: while a run removes the container it goes on" {
    slow_hook
    # shellcheck disable=SC2016 # jq's own variable
    edit_config --arg dir "$BUNDLE" '.hooks = {poststop: [{path: "\($dir)/slow"}]}'
    set_script 'exit 5'
    signal_run_at INT "$BATS_TEST_TMPDIR/in-hook"
    [ "$status" -eq 5 ]
    nothing_left
}

@test "interrupt: an exec that is given up leaves no process in the container" {
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    local monitor
    monitor=$(jq .monitor.pid "$MINKA_ROOT/$id/state.json")
    kill -STOP "$monitor"
    status=0
    timeout -k 60 --preserve-status -s INT 1 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" exec "$id" sleep 2000 \
        </dev/null >"$BATS_TEST_TMPDIR/output" 2>&1 || status=$? # no pipe: the monitor has it in its queue
    kill -CONT "$monitor"
    [ "$status" -eq 1 ]
    grep "interrupted by signal 2" "$BATS_TEST_TMPDIR/output"
    only_its_own() { [ "$(minka ps "$id" | grep -c sleep)" -eq 1 ]; }
    wait_for 20 only_its_own
    minka delete --force "$id"
    nothing_left
}

@test "limits: too few descriptors or bytes for a file, at any step" {
    local files
    for files in 12 16 20 24 28 32; do
        run bash -c "ulimit -n $files && exec '$MINKA' --config '$CONFIG' --root '$MINKA_ROOT' create --bundle '$BUNDLE' '$id'" </dev/null
        echo "$files: $output"
        [ "$status" -eq 0 ] && minka delete --force "$id"
        nothing_left
    done
    run bash -c "ulimit -f 0 && exec '$MINKA' --config '$CONFIG' --root '$MINKA_ROOT' create --bundle '$BUNDLE' '$id'" </dev/null
    [ "$status" -eq 1 ]
    nothing_left
}

# Connect until the monitor takes no more, and stay for a while.
crowd() { # SECONDS [COUNT], in the background: it becomes the job
    exec python3 - "$MINKA_ROOT/$id" "$@" <<'EOF'
import os, socket, sys, time
os.chdir(sys.argv[1])
held = []
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 1000):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.setblocking(False)
    try:
        s.connect("control.sock")
    except BlockingIOError:
        break
    held.append(s)
open("/dev/fd/9", "w").write("ready\n")
time.sleep(float(sys.argv[2]))
EOF
}

@test "a monitor with as many connections as it takes: the next one waits for its turn" {
    minka create --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    minka start "$id"
    mkfifo "$BATS_TEST_TMPDIR/ready"
    exec 9<>"$BATS_TEST_TMPDIR/ready"
    crowd 3 64 &
    local crowd=$!
    read -r -t 20 -u 9
    minka kill "$id" KILL
    wait "$crowd"
    wait_for 20 is_status "$id" stopped
    minka delete "$id"
    nothing_left
}

one_more_is_refused() {
    run timeout 1 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" events "$id"
    [[ $status -eq 1 && $output == *'64 waiting for this already'* ]]
}

@test "a monitor with as many who wait for events as it takes: it answers everybody else" {
    local events=() p
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    for _ in {1..64}; do
        "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" events "$id" >/dev/null 2>&1 3>&- &
        events+=($!)
    done
    wait_for 60 one_more_is_refused
    run timeout 9 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" exec "$id" echo hello
    [ "$output" = hello ]
    kill "${events[0]}"
    minka kill "$id" KILL
    for p in "${events[@]:1}"; do wait "$p"; done
    wait_for 20 is_status "$id" stopped
    minka delete "$id"
    nothing_left
}

# In the monitor's place: silent, or full of rubbish, or with a list that never ends (the real monitor's first reply,
# marked as not the last, again and again).
impostor() { # silent|rubbish|endless, in the background: it becomes the job
    exec python3 - "$MINKA_ROOT/$id" "$1" <<'P'
import os, socket, sys, threading
os.chdir(sys.argv[1])
kind = sys.argv[2]
os.rename("control.sock", "real.sock")
def serve(connection):
    try:
        request = connection.recv(65536)
        if kind == "silent":
            connection.recv(1)
        elif kind == "rubbish":
            connection.send(os.urandom(len(request)))
            connection.recv(1)
        else:
            real = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            real.connect("real.sock")
            real.send(request)
            reply = bytearray(real.recv(65536))
            reply[12:16] = (1).to_bytes(4, "little")
            while True:
                connection.send(reply)
    except OSError:
        pass
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind("control.sock")
listener.listen(16)
open("/dev/fd/9", "w").write("ready\n")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
P
}
# Each verb at once: exit code 1, one sentence.
ask_all() { # PATTERN VERB...
    local pattern=$1 verb
    shift
    for verb in "$@"; do
        local arguments=("$verb" "$id")
        case $verb in
        kill) arguments+=(TERM) ;;
        exec) arguments+=(true) ;;
        events) arguments=(events --stats "$id") ;;
        esac
        (
            code=0
            timeout -k 5 100 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" "${arguments[@]}" </dev/null \
                >/dev/null 2>"$BATS_TEST_TMPDIR/$verb.err" || code=$?
            echo "$code" >"$BATS_TEST_TMPDIR/$verb.code"
        ) 3>&- 9>&- &
    done
    wait_for 110 all_answered "$@"
    for verb in "$@"; do
        echo "$verb: $(cat "$BATS_TEST_TMPDIR/$verb.code") $(cat "$BATS_TEST_TMPDIR/$verb.err")"
        [ "$(cat "$BATS_TEST_TMPDIR/$verb.code")" = 1 ]
        [ "$(wc -l <"$BATS_TEST_TMPDIR/$verb.err")" -eq 1 ]
        grep -qE "$pattern" "$BATS_TEST_TMPDIR/$verb.err"
    done
}
all_answered() {
    local verb
    for verb in "$@"; do [ -s "$BATS_TEST_TMPDIR/$verb.code" ] || return 1; done
}
with_impostor() { # KIND PATTERN VERB...
    local kind=$1
    shift
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    mkfifo "$BATS_TEST_TMPDIR/ready"
    exec 9<>"$BATS_TEST_TMPDIR/ready"
    impostor "$kind" 3>&- &
    local impostor=$!
    read -r -t 20 -u 9
    is_status "$id" running # it does not ask
    ask_all "$@"
    minka kill "$id" KILL # from outside, if need be
    minka delete --force "$id"
    kill "$impostor"
    nothing_left
}

@test "a monitor that never answers: every command ends with one sentence" {
    with_impostor silent 'has not answered within' ps kill events pause exec
}

@test "a monitor that answers with rubbish: every command ends with one sentence" {
    with_impostor rubbish 'malformed' ps kill events pause exec
}

@test "a monitor whose list never ends: ps ends with one sentence" {
    with_impostor endless 'end of its list' ps
}

@test "a monitor that accepts nobody: every command ends, and delete --force gives everything back" {
    minka create --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    mkfifo "$BATS_TEST_TMPDIR/ready"
    exec 9<>"$BATS_TEST_TMPDIR/ready"
    kill -STOP "$(jq .monitor.pid "$MINKA_ROOT/$id/state.json")"
    crowd 60 &
    local crowd=$!
    read -r -t 20 -u 9
    run timeout 30 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" kill "$id" TERM
    [ "$status" -eq 1 ]
    [[ $output == *"has not answered"* ]]
    timeout 50 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" delete --force "$id"
    kill "$crowd"
    nothing_left
}
