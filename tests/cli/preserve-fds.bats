#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --preserve-fds and LISTEN_FDS: descriptors of the caller, relayed under the same numbers.
# shellcheck disable=SC2016 # scripts for the shell in the container
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    new_bundle
    id=$(new_id)
    OUT=$BATS_TEST_TMPDIR/out
    MINKA_CALL=("$MINKA" --config "$CONFIG" --root "$MINKA_ROOT")
}
teardown() { delete_all; }

# A perl in the container, which can shut a socket down for one way.
add_perl() {
    local library
    cp "$(command -v perl)" "$BUNDLE/rootfs/bin/perl"
    while read -r library; do
        mkdir -p "$BUNDLE/rootfs$(dirname "$library")"
        cp -L "$library" "$BUNDLE/rootfs$library"
    done < <(ldd "$BUNDLE/rootfs/bin/perl" | grep -o '/[^ ]*')
}

# with_socket SCRIPT COMMAND... : COMMAND with one end of a socket pair as descriptor 3; SCRIPT is python and has the other
# one as `s`. The exit code is COMMAND's.
with_socket() {
    python3 -c "$WITH_SOCKET" "$@" 3>&-
}
WITH_SOCKET='
import fcntl, os, socket, subprocess, sys
s, other = [socket.socket(fileno=fcntl.fcntl(end.detach(), fcntl.F_DUPFD_CLOEXEC, 10)) for end in socket.socketpair()]
os.closerange(3, 10)
s.settimeout(90)
os.dup2(other.fileno(), 3)
other.close()
child = subprocess.Popen(sys.argv[2:], pass_fds=[3])
os.close(3)
def everything():
    data = b""
    while piece := s.recv(65536):
        data += piece
    return data
exec(sys.argv[1])
sys.exit(child.wait())
'

# For a script in the container: the numbers of its descriptors.
LIST='i=0; while [ $i -lt 50 ]; do [ ! -e /proc/$$/fd/$i ] || printf "%s " $i; i=$((i + 1)); done; echo'

@test "preserve-fds: what can be read and what can be written, each under its number" {
    echo to-append >"$BATS_TEST_TMPDIR/appended"
    echo of-a-file >"$BATS_TEST_TMPDIR/file"
    set_script 'cat <&3; cat <&4; echo null: $(cat <&5); echo a >&6; echo b >&7; echo c >&8; echo d >&5'
    minka run --preserve-fds 6 --bundle "$BUNDLE" "$id" 3< <(echo of-a-pipe) 4<"$BATS_TEST_TMPDIR/file" 5<>/dev/null \
        6>"$BATS_TEST_TMPDIR/written" 7>>"$BATS_TEST_TMPDIR/appended" 8> >(cat >"$BATS_TEST_TMPDIR/piped") >"$OUT"
    [ "$(cat "$OUT")" = $'of-a-pipe\nof-a-file\nnull:' ]
    [ "$(cat "$BATS_TEST_TMPDIR/written")" = a ]
    [ "$(cat "$BATS_TEST_TMPDIR/appended")" = $'to-append\nb' ]
    wait_for 5 grep -qx c "$BATS_TEST_TMPDIR/piped"
    nothing_left
}

@test "preserve-fds: exactly those asked for are open, and to a user without rights, too" {
    exec 4</dev/null 5</dev/null 6</dev/null
    set_script "$LIST"
    run minka run --bundle "$BUNDLE" "$id-a" 3</dev/null
    [ "$output" = '0 1 2 ' ]
    run minka run --preserve-fds 0 --bundle "$BUNDLE" "$id-b" 3</dev/null
    [ "$output" = '0 1 2 ' ]
    run minka run --preserve-fds=2 --bundle "$BUNDLE" "$id-c" 3</dev/null
    [ "$output" = '0 1 2 3 4 ' ]
    edit_config '.process.user = {uid: 1000, gid: 1000} | .process.capabilities = {}'
    set_script "$LIST; cat /proc/self/fd/3" # opened anew
    run minka run --preserve-fds 1 --bundle "$BUNDLE" "$id-d" 3< <(echo readable)
    [ "$output" = $'0 1 2 3 \nreadable' ]
    exec 4<&- 5<&- 6<&-
}

@test "preserve-fds: as many as there can be" {
    set_script "$LIST"
    run python3 -c 'import os, sys
for i in range(3, 60): os.dup2(0, i)
os.execv(sys.argv[1], sys.argv[1:])' "${MINKA_CALL[@]}" run --preserve-fds 32 --bundle "$BUNDLE" "$id" </dev/null
    [ "$(wc -w <<<"$output")" -eq 35 ]
    run minka run --preserve-fds 33 --bundle "$BUNDLE" "$id" 3</dev/null
    [ "$status" -ne 0 ]
    [[ $output == *'a process in a virtual machine can be given 32 descriptors, not 33' ]]
    nothing_left
}

@test "preserve-fds: with a terminal, and not for startContainer hooks" {
    printf '#!/bin/sh\n{ %s; } >/tmp/hook\n' "$LIST" >"$BUNDLE/rootfs/bin/hook"
    chmod 755 "$BUNDLE/rootfs/bin/hook"
    edit_config '.hooks.startContainer = [{path: "/bin/hook"}] | .process.terminal = true'
    set_script "$LIST; cat <&3; tty; cat /tmp/hook"
    minka run --preserve-fds 1 --bundle "$BUNDLE" "$id" 3< <(echo further) </dev/null | tr -d '\r' >"$OUT"
    echo "got: $(cat "$OUT")"
    [ "$(sed -n 1,3p "$OUT")" = $'0 1 2 3 \nfurther\n/dev/pts/0' ]
    [[ $(sed -n 4p "$OUT") == '0 1 2 1'* ]] # from 10 on they are the shell's own
}

@test "preserve-fds: a socket goes both ways, and either side ends its own" {
    add_perl
    # the host's end first: the guest reads to its end and answers then
    set_args perl -e 'open(S, "+<&=", 3); binmode S; my $n = 0; while (sysread(S, $b, 65536)) { $n += length $b }
        syswrite(S, "you sent $n"); shutdown(S, 1); while (sysread(S, $b, 9)) {} exit 7'
    run with_socket 's.sendall(b"x" * 3000000); s.shutdown(socket.SHUT_WR); print(everything().decode())' \
        "${MINKA_CALL[@]}" run --preserve-fds 1 --bundle "$BUNDLE" "$id-a"
    [ "$status" -eq 7 ]
    [ "$output" = 'you sent 3000000' ]
    # the guest's end first: it goes on reading
    set_args perl -e 'open(S, "+<&=", 3); binmode S; syswrite(S, "hello"); shutdown(S, 1); my $n = 0;
        while (sysread(S, $b, 65536)) { $n += length $b } print "got $n\n"; exit 8'
    run with_socket 'print(everything().decode(), flush=True); s.sendall(b"x" * 3000000); s.shutdown(socket.SHUT_WR)' \
        "${MINKA_CALL[@]}" run --preserve-fds 1 --bundle "$BUNDLE" "$id-b"
    [ "$status" -eq 8 ]
    [ "$output" = $'hello\ngot 3000000' ]
    nothing_left
}

@test "preserve-fds: a socket whose other side reads no more" {
    set_script 'cat <&3 >/tmp/got & trap "" PIPE; while echo tick >&3; do sleep 0.1; done 2>/dev/null; echo refused; wait; cat /tmp/got'
    with_socket '
s.recv(4)
s.shutdown(socket.SHUT_RD)
import time
for i in range(10):
    s.send(b"%d " % i)
    time.sleep(0.1)
s.close()' "${MINKA_CALL[@]}" run --preserve-fds 1 --bundle "$BUNDLE" "$id" >"$OUT"
    [ "$(cat "$OUT")" = $'refused\n0 1 2 3 4 5 6 7 8 9 ' ]
    nothing_left
}

@test "preserve-fds: a socket that the process closes is closed on the host, while it runs on" {
    set_script 'echo bye >&3; exec 3>&-; read -r line; echo "$line"'
    mkfifo "$BATS_TEST_TMPDIR/in"
    exec 8<>"$BATS_TEST_TMPDIR/in"
    with_socket 'print(everything().decode(), flush=True); open("'"$BATS_TEST_TMPDIR/in"'", "w").write("end\n")' \
        "${MINKA_CALL[@]}" run --preserve-fds 1 --bundle "$BUNDLE" "$id" <"$BATS_TEST_TMPDIR/in" >"$OUT"
    exec 8>&-
    [ "$(cat "$OUT")" = $'bye\n\nend' ]
}

@test "preserve-fds: the end of an output reaches the reader while the process runs on" {
    set_script 'echo last >&3; exec 3>&-; read -r line; echo "$line"'
    mkfifo "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/three"
    exec 8<>"$BATS_TEST_TMPDIR/in"
    "${MINKA_CALL[@]}" run --preserve-fds 1 --bundle "$BUNDLE" "$id" 3>"$BATS_TEST_TMPDIR/three" <"$BATS_TEST_TMPDIR/in" >"$OUT" 8>&- &
    timeout 60 cat "$BATS_TEST_TMPDIR/three" >"$BATS_TEST_TMPDIR/seen" # to its end
    [ "$(cat "$BATS_TEST_TMPDIR/seen")" = last ]
    is_status "$id" running
    echo go >&8
    wait $!
    exec 8>&-
    [ "$(cat "$OUT")" = go ]
}

@test "preserve-fds: who writes to nobody gets SIGPIPE, on stdout as well" {
    set_script 'yes >&3; echo three $?; yes; echo one $? >&2'
    timeout 100 bash -c '"$@" 3> >(head -c 10 >/dev/null) | head -n 1' - "${MINKA_CALL[@]}" run --preserve-fds 1 --bundle "$BUNDLE" "$id" \
        >"$OUT" 2>"$BATS_TEST_TMPDIR/err"
    [ "$(cat "$OUT")" = 'three 141' ]
    [ "$(cat "$BATS_TEST_TMPDIR/err")" = 'one 141' ]
    nothing_left
}

@test "preserve-fds: 64 MiB through 3 arrive unharmed while the reader of 4 is stalled" {
    # 4's writer blocks; its reader comes back at the end and finds everything
    set_script 'yes | head -c 5000000 >&4 & cat <&3; echo three-done >&2; wait'
    mkfifo "$BATS_TEST_TMPDIR/four" "$BATS_TEST_TMPDIR/in"
    exec 8<>"$BATS_TEST_TMPDIR/four"
    (openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 </dev/zero 2>/dev/null | head -c 67108864 |
        tee "$BATS_TEST_TMPDIR/in" | sha256sum >"$BATS_TEST_TMPDIR/sum.in") &
    (minka run --preserve-fds 2 --bundle "$BUNDLE" "$id" 3<"$BATS_TEST_TMPDIR/in" 4>"$BATS_TEST_TMPDIR/four" 8>&- \
        2>"$BATS_TEST_TMPDIR/err" | sha256sum >"$BATS_TEST_TMPDIR/sum.out") &
    local run_pid=$!
    wait_for 90 grep -qx three-done "$BATS_TEST_TMPDIR/err"
    is_status "$id" running
    [ "$(head -c 5000000 <&8 | wc -c)" -eq 5000000 ]
    exec 8>&-
    wait "$run_pid"
    cmp "$BATS_TEST_TMPDIR/sum.in" "$BATS_TEST_TMPDIR/sum.out"
    nothing_left
}

@test "preserve-fds: everything written is delivered before the exit code" {
    set_script 'head -c 3000000 /dev/zero >&3; exit 6'
    local code=0
    mkfifo "$BATS_TEST_TMPDIR/three"
    (sleep 3; wc -c) <"$BATS_TEST_TMPDIR/three" >"$BATS_TEST_TMPDIR/count" &
    minka run --preserve-fds 1 --bundle "$BUNDLE" "$id" 3>"$BATS_TEST_TMPDIR/three" || code=$?
    wait $!
    [ "$code" -eq 6 ]
    [ "$(cat "$BATS_TEST_TMPDIR/count")" -eq 3000000 ]
    nothing_left
}

@test "preserve-fds: exec" {
    add_perl
    set_args sleep 1000
    minka run -d --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    run minka exec --preserve-fds 2 "$id" sh -c "$LIST; cat <&3; echo four >&4" 3< <(echo three) 4>"$OUT"
    [ "$output" = $'0 1 2 3 4 \nthree' ]
    [ "$(cat "$OUT")" = four ]
    run with_socket 's.sendall(b"ping"); s.shutdown(socket.SHUT_WR); print(everything().decode())' \
        "${MINKA_CALL[@]}" exec --preserve-fds 1 "$id" sh -c 'cat <&3 >&3; echo "" >&3'
    [ "$output" = $'ping\n' ] || [ "$output" = ping ]
    run minka exec "$id" sh -c "$LIST" 3</dev/null
    [ "$output" = '0 1 2 ' ]
    run minka exec --preserve-fds 1 "$id" true 3</
    [ "$status" -ne 0 ]
    [[ $output == *'descriptor 3 is a directory, which cannot be passed into a virtual machine: mount it as a volume' ]]
    run minka exec --preserve-fds 2 "$id" true 3</dev/null 4<&-
    [[ $output == *'descriptor 4 is not open, but --preserve-fds 2 asks for it' ]]
    [ "$(minka ps --format json "$id" | jq length)" -eq 1 ]
    # nothing of them stays in the monitor
    local fds before
    fds=/proc/$(jq -r .monitor.pid "$MINKA_ROOT/$id/state.json")/fd
    before=$(find "$fds" -type l | wc -l)
    minka exec --preserve-fds 2 "$id" true 3</dev/null 4</dev/null
    wait_for 5 bash -c "[ \$(find $fds -type l | wc -l) -eq $before ]"
}

@test "preserve-fds: a detached container's are the monitor's, and nobody else's" {
    set_script 'cat <&3 >&4; echo ended >&4; exit 3'
    mkfifo "$BATS_TEST_TMPDIR/three" "$BATS_TEST_TMPDIR/four"
    exec 8<>"$BATS_TEST_TMPDIR/three" 9<>"$BATS_TEST_TMPDIR/four"
    "${MINKA_CALL[@]}" create --preserve-fds 2 --bundle "$BUNDLE" "$id" 3<"$BATS_TEST_TMPDIR/three" \
        4>"$BATS_TEST_TMPDIR/four" 5</etc/hostname 8>&- 9>&- </dev/null >/dev/null 2>&1
    local pid name holders=
    while read -r pid name; do # the sandbox's processes
        holders+=$(find "/proc/$pid/fd" \( -lname "$BATS_TEST_TMPDIR/*" -o -lname /etc/hostname \) -printf "$name %l\n")
    done < <(awk -v first="$RANGE" '/^Name/ {name = $2} /^Pid/ {pid = $2}
        /^Uid/ && $2 >= first && $2 < first + 1000 {print pid, name}' /proc/[0-9]*/status 2>/dev/null)
    [ "$(sort <<<"$holders")" = "minka-monitor $BATS_TEST_TMPDIR/four"$'\n'"minka-monitor $BATS_TEST_TMPDIR/three" ]
    [ -z "$(pgrep -f "$MINKA_ROOT create")" ]
    minka start "$id"
    echo through >&8
    exec 8>&-
    exec 7<"$BATS_TEST_TMPDIR/four" 9>&-
    [ "$(timeout 30 cat <&7)" = $'through\nended' ] # to its end: nobody holds it open
    exec 7<&-
    wait_for 20 is_status "$id" stopped
    minka delete "$id"
    nothing_left
}

@test "preserve-fds: LISTEN_FDS and LISTEN_PID, as systemd sets them for a connection (Accept=yes)" {
    set_script 'echo $LISTEN_FDS $LISTEN_PID; read -r line <&3; echo "re: $line" >&3'
    run with_socket 's.sendall(b"request\n"); print(everything().decode(), end="")' \
        sh -c 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"' - "${MINKA_CALL[@]}" run --bundle "$BUNDLE" "$id-a"
    [ "$status" -eq 0 ]
    [ "$output" = $'1 1\nre: request' ] || [ "$output" = $'re: request\n1 1' ]
    # first those of systemd, then those of --preserve-fds
    set_script "$LIST; cat <&3; cat <&4; echo \$LISTEN_FDS"
    run sh -c 'export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"' - "${MINKA_CALL[@]}" run --preserve-fds 1 --bundle "$BUNDLE" "$id-b" \
        3< <(echo first) 4< <(echo second)
    [ "$output" = $'0 1 2 3 4 \nfirst\nsecond\n1' ]
    # meant for another process
    set_script "$LIST; echo \$LISTEN_FDS"
    LISTEN_FDS=1 LISTEN_PID=1 run minka run --bundle "$BUNDLE" "$id-c" 3</dev/null
    [ "$output" = '0 1 2 ' ]
    nothing_left
}

# with_kind KIND COMMAND... : COMMAND with descriptor 3 of this kind
with_kind() {
    python3 - "$@" 3>&- <<'P'
import fcntl, os, select, socket, sys
kind = sys.argv[1]
def pair(type): return socket.socketpair(socket.AF_UNIX, type)[0]
def listening():
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); return s
kinds = {
    "listening": listening,
    "unconnected": socket.socket,
    "datagram": lambda: pair(socket.SOCK_DGRAM),
    "seqpacket": lambda: pair(socket.SOCK_SEQPACKET),
    "eventfd": lambda: os.eventfd(0),
    "epoll": select.epoll,
    "directory": lambda: os.open("/etc", os.O_RDONLY),
    "path": lambda: os.open("/etc/passwd", os.O_PATH),
    "namespace": lambda: os.open("/proc/self/ns/net", os.O_RDONLY),
    "file": lambda: os.open(".", os.O_TMPFILE | os.O_RDWR),
    "memory": lambda: os.memfd_create("x"),
    "terminal": lambda: os.openpty()[1],
    "device": lambda: os.open("/dev/fuse" if os.path.exists("/dev/fuse") else "/dev/ptmx", os.O_RDWR),
}
if kind == "fifo":
    os.mkfifo("fifo3")
    kinds[kind] = lambda: os.open("fifo3", os.O_RDWR)
held = kinds[kind]()
fd = held if isinstance(held, int) else held.fileno()
os.dup2(fd, 3)
os.set_inheritable(3, True)
os.execvp(sys.argv[2], sys.argv[2:])
P
}

@test "preserve-fds: what cannot be relayed is refused with one sentence, and nothing is left" {
    cd "$BATS_TEST_TMPDIR" || return 1
    local kind sentence
    while IFS='|' read -r kind sentence; do
        sentence=${sentence//\[/\\[} # what follows is a pattern
            run with_kind "$kind" "${MINKA_CALL[@]}" create --preserve-fds 1 --bundle "$BUNDLE" "$id"
        echo "$kind: $output"
        [ "$status" -eq 1 ]
        [ "${#lines[@]}" -eq 1 ]
        # shellcheck disable=SC2053 # a pattern
        [[ $output == *"descriptor 3 is "$sentence ]]
        nothing_left
    done <<'S'
listening|a listening socket, which cannot be passed into a virtual machine: pass the connection once it is accepted, as systemd does with Accept=yes
unconnected|a socket that is not connected, which cannot be passed into a virtual machine: only a connected stream socket can be relayed
datagram|a datagram socket, which cannot be passed into a virtual machine: only a connected stream socket can be relayed
seqpacket|a seqpacket socket, which cannot be passed into a virtual machine: only a connected stream socket can be relayed
eventfd|a handle of the host's kernel (anon_inode:[eventfd]), which cannot be passed into a virtual machine: only pipes, connected stream sockets and files can be relayed
epoll|a handle of the host's kernel (anon_inode:[eventpoll]), which cannot be passed into a virtual machine: only pipes, connected stream sockets and files can be relayed
namespace|a handle of the host's kernel (net:[*]), which cannot be passed into a virtual machine: only pipes, connected stream sockets and files can be relayed
directory|a directory, which cannot be passed into a virtual machine: mount it as a volume
path|opened with O_PATH, which cannot be passed into a virtual machine: nothing can be read from it or written to it
file|a file open for reading and writing, which cannot be passed into a virtual machine: mount it as a volume, or open it for one of the two
memory|a file open for reading and writing, which cannot be passed into a virtual machine: mount it as a volume, or open it for one of the two
terminal|a terminal, which cannot be passed into a virtual machine: process.terminal gives the container one of its own
device|a device, which cannot be passed into a virtual machine: its driver is in the host's kernel; put a program and a pipe in between
fifo|a pipe open for reading and writing, which cannot be passed into a virtual machine: open it for one of the two
S
}

@test "preserve-fds: a block device and a number that is not open are refused" {
    cd "$BATS_TEST_TMPDIR" || return 1
    run minka create --preserve-fds 2 --bundle "$BUNDLE" "$id" 3</dev/null 4<&-
    [ "$status" -eq 1 ]
    [[ $output == *'descriptor 4 is not open, but --preserve-fds 2 asks for it' ]]
    nothing_left
    [ -b /dev/loop0 ] && (: </dev/loop0) 2>/dev/null || skip "there is no block device that can be opened"
    run minka create --preserve-fds 1 --bundle "$BUNDLE" "$id" 3</dev/loop0
    [ "$status" -eq 1 ]
    [[ $output == *'descriptor 3 is a block device, which cannot be passed into a virtual machine: mount what is on it as a volume, or make it the root with --image' ]]
    nothing_left
}
