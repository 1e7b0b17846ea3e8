#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Terminals, driven as a person would: through a real pseudo-terminal (tmux).
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    new_bundle '.process.terminal = true'
    id=$(new_id)
    export TMUX_TMPDIR=$BATS_TEST_TMPDIR
    unset TMUX
}
teardown() {
    tmux kill-server 2>/dev/null || true
    delete_all
}
screen() { tmux capture-pane -p -t t; }
on_screen() { screen | grep -qE "$1"; }
in_tmux() { # COMMAND
    tmux -f /dev/null new-session -d -s t -x 100 -y 30 "$1; echo code=\$?; sleep 1000"
}
minka_command() { printf '%q ' "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" "$@"; }

@test "terminal: run -t has a terminal with the caller's size, and resizes with it" {
    set_args sh
    in_tmux "$(minka_command run --bundle "$BUNDLE" "$id")"
    wait_for 30 on_screen '# ?$'
    tmux send-keys -t t 'tty; stty size' Enter
    wait_for 10 on_screen '/dev/(pts/0|console)'
    wait_for 10 on_screen '^30 100'
    tmux resize-window -t t -x 80 -y 20
    sleep 0.5
    tmux send-keys -t t 'stty size' Enter
    wait_for 10 on_screen '^20 80'
    tmux send-keys -t t 'exit 23' Enter
    wait_for 20 on_screen 'code=23'
    # the caller's own terminal is as it was: it echoes again
    nothing_left
}

@test "terminal: Ctrl-C interrupts the foreground job, not the shell; job control works" {
    set_args sh
    in_tmux "$(minka_command run --bundle "$BUNDLE" "$id")"
    wait_for 30 on_screen '# ?$'
    tmux send-keys -t t 'sleep 1000' Enter
    sleep 0.5
    tmux send-keys -t t C-c
    tmux send-keys -t t 'echo rc=$?' Enter
    wait_for 10 on_screen '^rc=130'
    tmux send-keys -t t 'sleep 1000' Enter
    sleep 0.5
    tmux send-keys -t t C-z
    wait_for 10 on_screen 'Stopped'
    tmux send-keys -t t 'kill -KILL %1; sleep 1; jobs; exit' Enter
    wait_for 20 on_screen 'code='
    nothing_left
}

@test "terminal: exec -t in a running container" {
    edit_config '.process.terminal = false'
    set_args sleep 1000
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    in_tmux "$(minka_command exec --tty "$id" sh)"
    wait_for 30 on_screen '# ?$'
    tmux send-keys -t t 'tty; stty size; exit 5' Enter
    wait_for 10 on_screen '/dev/pts/'
    wait_for 10 on_screen '^30 100'
    wait_for 20 on_screen 'code=5'
    minka delete --force "$id"
    nothing_left
}

@test "terminal: --console-socket receives the master, its size changes reach the guest" {
    set_script 'stty size; read line; stty size; echo "got:$line"'
    cat >"$BATS_TEST_TMPDIR/console.py" <<'P'
import array, fcntl, os, socket, struct, subprocess, sys, termios, threading, time
minka, bundle, name, path = sys.argv[1].split(), sys.argv[2], sys.argv[3], sys.argv[4]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(1)
create = subprocess.Popen(minka + ["create", "--bundle", bundle, "--console-socket", path, name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
connection, _ = listener.accept()
data, ancillary, _, _ = connection.recvmsg(1000, socket.CMSG_SPACE(4))
master = array.array("i", ancillary[0][2])[0]
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 11, 22, 0, 0))
assert create.wait() == 0
subprocess.run(minka + ["start", name], check=True)
out = b""
def more(until):
    global out
    while until not in out:
        out += os.read(master, 1000)
more(b"11 22")
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 44, 0, 0))
time.sleep(0.5)
os.write(master, b"typed\n")
more(b"got:typed")
assert b"33 44" in out, out
print("fine")
P
    run timeout 60 python3 "$BATS_TEST_TMPDIR/console.py" "$MINKA --config $CONFIG --root $MINKA_ROOT" "$BUNDLE" "$id" "$BATS_TEST_TMPDIR/socket"
    echo "$output"
    [ "$output" = fine ]
    wait_for 20 is_status "$id" stopped
    minka delete "$id"
    nothing_left
}

@test "terminal: create with a terminal and nobody to take it is refused" {
    run minka create --bundle "$BUNDLE" "$id"
    [ "$status" -ne 0 ]
    [[ $output == *console-socket* ]]
    nothing_left
}

@test "terminal: the end of the caller's input reaches a shell that starts later" {
    local script
    # The second throws away what was typed before it, as a prompt for a password does.
    for script in 'sleep 1; exec sh -i' 'sleep 1; stty -icanon; stty icanon; exec sh -i' 'exec sh -i'; do
        set_script "$script"
        timeout -k 5 40 "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" run --bundle "$BUNDLE" "$id" </dev/null >"$BATS_TEST_TMPDIR/output" 2>&1
        nothing_left
    done
}
