#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The real podman, as root, without a network: in a mount and network namespace of its own, with storage, containers'
# cgroups and home of its own, so that nothing of it stays on the host.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
    setup_minka
    command -v podman >/dev/null || skip "podman is not installed"
    export WORK=$BATS_FILE_TMPDIR CGROUP_PARENT=/$ID_PREFIX-podman
    host_paths >"$WORK/host.before"
    # What is mounted by podman goes with this process, and what it keeps in /var/lib whatever it is told (a cache).
    unshare --mount --net --propagation private sh -c 'mount -t tmpfs tmpfs /var/lib && ip link set lo up; exec sleep 3600' >/dev/null 2>&1 3>&- &
    export NAMESPACES=$!
    wait_for 10 nsenter --target "$NAMESPACES" --net ip route get 127.0.0.1
    write_podman_config
    busybox_rootfs "$WORK/image"
    tar -C "$WORK/image" -cf "$WORK/image.tar" .
    podman import --change CMD=/bin/sh --change ENV=PATH=/bin "$WORK/image.tar" localhost/bb:latest >/dev/null 2>"$WORK/import.log" ||
        { cat "$WORK/import.log" >&2; return 1; }
}

write_podman_config() {
    # The wrapper is what `--runtime` names: the staged minka with the configuration of these tests.
    printf '#!/bin/sh\nexec %s --config %s --root %s "$@"\n' "$MINKA" "$CONFIG" "$MINKA_ROOT" >"$WORK/minka"
    # What podman takes for `--init`.
    printf '#!/bin/sh\nshift\n"$@"\n' >"$WORK/init"
    chmod 755 "$WORK/minka" "$WORK/init"
    mkdir -p "$WORK/home" "$WORK/cni"
    # The podman of these tests; a program, since others start it too.
    cat >"$WORK/podman" <<P
#!/bin/sh
exec nsenter --target $NAMESPACES --mount --net env HOME=$WORK/home CONTAINERS_CONF=$WORK/containers.conf \\
    PODMAN_IGNORE_CGROUPSV1_WARNING=1 \\
    podman --root $WORK/storage --runroot $WORK/run --tmpdir $WORK/tmp --runtime $WORK/minka "\$@"
P
    chmod 755 "$WORK/podman"
    # The hard limits of this machine, which podman's defaults may exceed.
    local processes
    processes=$(ulimit -Hu)
    [[ $processes != unlimited && $processes -lt 32768 ]] || processes=32768
    cat >"$WORK/containers.conf" <<C
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=$processes:$processes"]
init_path = "$WORK/init"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime_supports_json = ["minka"]
[network]
network_config_dir = "$WORK/cni"
C
}

teardown_file() {
    [[ -n ${NAMESPACES:-} ]] || return 0
    podman rm -fa -t 0 >/dev/null 2>&1 || true
    kill "$NAMESPACES" 2>/dev/null || true
    find /sys/fs/cgroup -maxdepth 4 -depth -type d -path "*$CGROUP_PARENT*" -exec rmdir {} + 2>/dev/null || true
}
setup() { name=$ID_PREFIX-$BATS_TEST_NUMBER; }
teardown() { podman rm -fa -t 0 >/dev/null 2>&1 || true; }

podman() { "$WORK/podman" "$@" 3>&-; }
prun() { podman run --network none --cgroup-parent "$CGROUP_PARENT" "$@"; }
inspect() { podman inspect --format "{{.State.$1}}" "$name"; }
logs_have() { [[ $(podman logs "$name" 2>&1) == *"$1"* ]]; }
wait_for_log() { wait_for 30 logs_have "$1"; }

# Where podman, conmon and what they call leave files.
host_paths() {
    find /run/{libpod,containers,netns,crun,conmon} /var/lib/{containers,cni} /etc/{containers,cni} /root/.{config,local/share,cache}/containers \
        -maxdepth 3 2>/dev/null | sort
}
podman_cgroups() { find /sys/fs/cgroup -maxdepth 4 -type d \( -path "*$CGROUP_PARENT*" -o -name 'libpod*' \) 2>/dev/null | sort; }

# A terminal for a command: at_terminal STEP... -- COMMAND...; steps are expect:TEXT, send:TEXT, size:ROWSxCOLUMNS.
at_terminal() {
    python3 - "$@" 3>&- <<'P'
import fcntl, os, pty, select, signal, struct, sys, termios, time
separator = sys.argv.index("--")
steps, command = sys.argv[1:separator], sys.argv[separator + 1:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
deadline, seen, fresh = time.monotonic() + 100, b"", b""
def more():
    global seen, fresh
    ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
    if not ready:
        sys.stdout.buffer.write(seen)
        os.kill(pid, signal.SIGKILL)
        sys.exit("nothing more came in time")
    try:
        data = os.read(fd, 4096)
    except OSError: # hung up
        data = b""
    seen, fresh = seen + data, fresh + data
    return data
for step in steps:
    kind, _, text = step.partition(":")
    if kind == "size":
        rows, columns = map(int, text.split("x"))
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(pid, signal.SIGWINCH)
    elif kind == "send":
        os.write(fd, text.encode().decode("unicode_escape").encode())
    else:
        while text.encode() not in fresh:
            if not more():
                sys.stdout.buffer.write(seen)
                sys.exit("ended without " + text)
        fresh = fresh.split(text.encode(), 1)[1]
while more():
    pass
sys.stdout.buffer.write(seen)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
P
}

@test "podman: run --rm, in a virtual machine" {
    run prun --rm bb cat /proc/sys/kernel/random/boot_id /proc/cmdline
    [ "$status" -eq 0 ]
    [ "${lines[0]}" != "$(cat /proc/sys/kernel/random/boot_id)" ]
    [[ ${lines[1]} == *minka.modules=* ]]
}

@test "podman: exit codes 0, 42, 137, 127, 126" {
    run prun --rm bb true
    [ "$status" -eq 0 ]
    run prun --rm bb sh -c 'exit 42'
    [ "$status" -eq 42 ]
    run -127 prun --rm bb no-such-command
    [[ $output == *'executable file'*no-such-command*'not found'* ]]
    run prun --rm bb /etc
    [ "$status" -eq 126 ]
    run prun --rm --workdir /missing/by/far --read-only bb true
    [ "$status" -ne 0 ]
    prun -d --name "$name" bb sleep 1000
    podman kill "$name"
    run podman wait "$name"
    [ "$output" = 137 ]
    [ "$(inspect ExitCode)" = 137 ]
    podman rm "$name"
}

@test "podman: a runtime that cannot start a machine fails with its own sentence, not with a command's exit code" {
    printf '#!/bin/sh\nexec %s --config %s --root %s "$@"\n' "$MINKA" "$WORK/broken.toml" "$MINKA_ROOT" >"$WORK/broken"
    chmod 755 "$WORK/broken"
    sed 's,^image_dir.*,image_dir = "/nowhere",' "$CONFIG" >"$WORK/broken.toml"
    run podman --runtime "$WORK/broken" run --rm --network none --cgroup-parent "$CGROUP_PARENT" bb true
    echo "$output"
    [ "$status" -eq 126 ] # podman: 127 is for a command that is not there
    [[ $output == *"minka image build"* ]]
    rm "$WORK/broken" "$WORK/broken.toml"
}

@test "podman: run -d, logs, exec, inspect, stop, rm" {
    prun -d --name "$name" bb sh -c 'echo out; echo err >&2; trap "exit 5" TERM; while :; do sleep 0.1; done'
    wait_for_log err
    run podman logs "$name"
    [[ $output == *out* && $output == *err* ]]
    [ "$(podman logs "$name" 2>/dev/null)" = out ]
    run podman exec "$name" sh -c 'hostname; exit 3'
    [ "$status" -eq 3 ]
    [ "$output" = "$(podman inspect --format '{{slice .ID 0 12}}' "$name")" ]
    run -127 podman exec "$name" no-such-command
    run podman exec "$name" /etc
    [ "$status" -eq 126 ]
    run podman exec --user 1000 --env A=b --workdir /tmp "$name" sh -c 'id -u; echo $A; pwd'
    [ "$output" = $'1000\nb\n/tmp' ]
    echo from-stdin | podman exec -i "$name" cat >"$BATS_TEST_TMPDIR/out"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = from-stdin ]
    podman exec -d "$name" sh -c 'echo detached >/tmp/detached'
    wait_for 20 podman exec "$name" grep -q detached /tmp/detached
    [ "$(inspect Status)" = running ]
    kill -0 "$(inspect Pid)"
    [ "$(podman ps --format '{{.Names}}')" = "$name" ]
    podman stop -t 10 "$name"
    [ "$(inspect ExitCode)" = 5 ]
    [ "$(inspect Status)" = exited ]
    run podman exec "$name" true
    [ "$status" -ne 0 ]
    podman rm "$name"
    run podman ps -aq
    [ -z "$output" ]
}

@test "podman: stop kills what ignores the signal" {
    prun -d --name "$name" bb sh -c 'trap "" TERM; echo ready; while :; do sleep 0.1; done'
    wait_for_log ready
    podman stop -t 1 "$name"
    [ "$(inspect ExitCode)" = 137 ]
    podman rm "$name"
    # conmon kills it, and all of its process group.
    run timeout 60 "$WORK/podman" run --rm --network none --cgroup-parent "$CGROUP_PARENT" --timeout 2 bb sleep 1000
    [ "$status" -ne 0 ]
    [ "$status" -ne 124 ]
    # And removes what is to be removed, without a client.
    prun -d --rm --name "$name" bb sleep 1
    wait_for 30 is_gone
}
is_gone() { ! podman container exists "$name"; }

@test "podman: kill -s, and the signals that podman run forwards" {
    prun -d --name "$name" bb sh -c 'trap "echo usr1" USR1; trap "exit 9" HUP; echo ready; while :; do sleep 0.1; done'
    wait_for_log ready
    podman kill -s USR1 "$name"
    wait_for_log usr1
    podman kill --signal 1 "$name"
    [ "$(podman wait "$name")" = 9 ]
    run podman kill "$name"
    [ "$status" -ne 0 ]
    podman rm "$name"
    prun --name "$name" bb sh -c 'trap "exit 17" TERM; echo ready; while :; do sleep 0.1; done' >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
    local client=$!
    wait_for 60 grep -q ready "$BATS_TEST_TMPDIR/out"
    # The client itself: the shell function ran it as a child.
    kill -TERM "$(pgrep -f -- "podman --root $WORK/storage .*--name $name" | head -1)"
    local status=0
    wait "$client" || status=$?
    [ "$status" -eq 17 ]
    podman rm "$name"
}

@test "podman: run -i takes stdin" {
    echo hello | prun --rm -i bb cat >"$BATS_TEST_TMPDIR/out"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = hello ]
    head -c 5000000 /dev/urandom >"$BATS_TEST_TMPDIR/in"
    prun --rm -i bb cat <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out"
    cmp "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
}

@test "podman: run -it has a terminal, exec -it too" {
    run at_terminal 'size:31x77' 'expect:ready' 'send:\n' 'expect:31 77' 'size:40x100' 'expect:40 100' 'send:\x03' 'expect:interrupted' -- \
        "$WORK/podman" run --network none --cgroup-parent "$CGROUP_PARENT" --rm -it bb \
        sh -c 'trap "echo interrupted; exit 21" INT; trap "stty size" WINCH; test -t 0 && test -t 1 && test -t 2 && tty && echo ready; read line; stty size; while :; do sleep 0.1; done'
    echo "$output"
    [ "$status" -eq 21 ]
    [[ $output == */dev/pts/0* ]]
    prun -d --name "$name" bb sleep 1000
    run at_terminal 'size:33x99' 'expect:ready' 'send:word\n' 'expect:got word' 'expect:33 99' 'size:20x50' 'expect:20 50' -- \
        "$WORK/podman" exec -it "$name" sh -c 'tty; test -t 0 && echo ready; read line; echo "got $line"; stty size; until [ "$(stty size)" = "20 50" ]; do sleep 0.1; done; stty size; exit 22'
    echo "$output"
    [ "$status" -eq 22 ]
    # A shell as a user has it.
    run at_terminal 'expect:# ' 'send:echo $((6 * 7))\n' 'expect:42' 'expect:# ' 'send:exit 23\n' -- "$WORK/podman" exec -it "$name" sh
    echo "$output"
    [ "$status" -eq 23 ]
}

@test "podman: create, init, start -a, attach, restart" {
    podman create --network none --cgroup-parent "$CGROUP_PARENT" --name "$name" -i bb sh -c 'echo began; read line; echo "got $line"; exit 6'
    [ "$(inspect Status)" = created ]
    podman init "$name"
    [ "$(inspect Status)" = initialized ]
    run podman start -ai "$name" <<<word
    echo "$output"
    [ "$status" -eq 6 ]
    [[ $output == *began*"got word"* ]]
    podman rm "$name"

    prun -d --name "$name" bb sh -c 'echo began >>/log; trap "exit 0" TERM; i=0; while :; do sleep 0.1; done'
    wait_for 20 podman exec "$name" test -s /log
    podman restart -t 5 "$name"
    [ "$(inspect Status)" = running ]
    wait_for 20 podman exec "$name" sh -c 'test $(wc -l </log) = 2'
    podman stop -t 5 "$name"
    podman start "$name"
    wait_for 20 podman exec "$name" sh -c 'test $(wc -l </log) = 3'
    podman rm -f -t 0 "$name"

    prun -d -i --name "$name" bb sh -c 'while read line; do echo "got $line"; test "$line" = end && exit 4; done'
    run podman attach --sig-proxy=false "$name" <<<$'one\nend'
    echo "$output"
    [ "$(podman wait "$name")" = 4 ]
    [[ $output == *"got one"*"got end"* ]]
}

@test "podman: pause, unpause, top, stats, update" {
    prun -d --name "$name" --memory 100m bb sh -c 'i=0; while :; do i=$((i + 1)); echo $i >/count; sleep 0.05; done'
    wait_for 20 podman exec "$name" test -s /count
    podman pause "$name"
    [ "$(inspect Status)" = paused ]
    local file before
    file=$(podman mount "$name")/count
    before=$(nsenter --target "$NAMESPACES" --mount cat "$file")
    sleep 1
    [ "$(nsenter --target "$NAMESPACES" --mount cat "$file")" = "$before" ]
    podman unpause "$name"
    [ "$(inspect Status)" = running ]
    sleep 1
    [ "$(nsenter --target "$NAMESPACES" --mount cat "$file")" -gt "$before" ]
    podman umount "$name"
    # Podman 4 executes ps in the container, podman 5 its own beside the stand-in, where nothing is.
    local ps=(top "$name" -o "pid,args")
    [[ $(podman version --format '{{.Client.Version}}') == 4.* ]] || ps=(exec "$name" ps -o "pid,args")
    run podman "${ps[@]}"
    echo "$output"
    [[ $status -eq 0 && $output == *"sh -c i=0"* ]]
    run podman top "$name" # reads /proc in the stand-in's root, which must stay empty (man minka, LIMITS)
    [ "$status" -ne 0 ]
    run podman stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' "$name"
    echo "$output"
    [ "$status" -eq 0 ]
    podman update --memory 64m "$name"
    [ "$(podman exec "$name" cat /sys/fs/cgroup/memory.max)" = 67108864 ]
}

@test "podman: volumes, tmpfs, read-only, hostname, memory, user, env" {
    mkdir "$BATS_TEST_TMPDIR/v"
    run prun --rm -v "$BATS_TEST_TMPDIR/v:/v" --tmpfs /t --read-only --hostname named --memory 128m --user 1000:1000 -e X=y bb \
        sh -c 'hostname; echo $X; id -u; cat /sys/fs/cgroup/memory.max; touch /x 2>/dev/null || echo ro; grep -q " /t tmpfs " /proc/mounts && echo tmpfs'
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$output" = $'named\ny\n1000\n134217728\nro\ntmpfs' ]
    run prun --rm --tmpfs /t --read-only bb sh -c 'touch /t/f && echo tmpfs'
    [ "$output" = tmpfs ]
    run prun --rm -v "$BATS_TEST_TMPDIR/v:/v" bb sh -c 'echo data >/v/file; chown 12:34 /v/file'
    [ "$(cat "$BATS_TEST_TMPDIR/v/file")" = data ]
    [ "$(stat -c %u:%g "$BATS_TEST_TMPDIR/v/file")" = 12:34 ]
    run prun --rm -v "$BATS_TEST_TMPDIR/v:/v:ro" bb sh -c 'cat /v/file; echo more >/v/file'
    [ "$status" -ne 0 ]
    [[ $output == data* ]]
    [ "$(cat "$BATS_TEST_TMPDIR/v/file")" = data ]
    # A named volume outlives its containers.
    prun --rm -v "$name:/n" bb sh -c 'echo kept >/n/file'
    [ "$(prun --rm -v "$name:/n" bb cat /n/file)" = kept ]
    podman volume rm "$name"
    # A file as a volume.
    run prun --rm -v "$BATS_TEST_TMPDIR/v/file:/etc/one:ro" bb cat /etc/one
    [ "$output" = data ]
}

@test "podman: what it puts into every container" {
    run prun --rm --hostname named --add-host other:10.1.2.3 bb sh -c \
        'cat /etc/hostname; echo; grep -c 10.1.2.3 /etc/hosts; test -e /run/.containerenv && echo env; df -m /dev/shm | tail -1; ip -o link | wc -l; cat /proc/1/oom_score_adj'
    echo "$output"
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = named ]
    [ "${lines[1]}" = 1 ]
    [ "${lines[2]}" = env ]
    [[ ${lines[3]} == *' 62 '* || ${lines[3]} == *' 63 '* ]] # 65536000 bytes
    [ "${lines[4]}" = 1 ]
    run prun --rm --init bb sh -c 'cat /proc/1/cmdline | tr "\0" " "'
    echo "$output"
    [[ $output == *init\ --\ sh\ -c* ]]
    run prun --rm --cap-drop all --security-opt no-new-privileges bb grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
    [ "${lines[0]}" = $'CapBnd:\t0000000000000000' ]
    [ "${lines[1]}" = $'NoNewPrivs:\t1' ]
    [ "${lines[2]}" = $'Seccomp:\t2' ]
}

@test "podman: the copy of a container: cp, commit, diff, export" {
    prun --name "$name" bb sh -c 'echo made >/made; ln /made /linked; chown 7:8 /made'
    [[ $(podman diff "$name") == *"A /made"* ]]
    podman commit "$name" localhost/copy >/dev/null 2>&1
    [ "$(prun --rm localhost/copy stat -c '%u:%g %h' /made)" = '7:8 2' ]
    echo given >"$BATS_TEST_TMPDIR/file"
    podman cp "$BATS_TEST_TMPDIR/file" "$name:/given"
    podman cp "$name:/given" "$BATS_TEST_TMPDIR/back"
    [ "$(cat "$BATS_TEST_TMPDIR/back")" = given ]
    podman export "$name" | tar -t | grep -qx made
    podman rm "$name"
    podman rmi localhost/copy >/dev/null
}

@test "podman: a running container's files are out of reach for cp, which says so, and in reach for exec" {
    prun -d --name "$name" bb sleep 1000
    echo given >"$BATS_TEST_TMPDIR/file"
    run podman cp "$BATS_TEST_TMPDIR/file" "$name:/given"
    [ "$status" -ne 0 ]
    run podman cp "$name:/etc/passwd" "$BATS_TEST_TMPDIR/back"
    [ "$status" -ne 0 ]
    podman exec -i "$name" sh -c 'cat >/given' <"$BATS_TEST_TMPDIR/file"
    [ "$(podman exec "$name" cat /given)" = given ]
    podman stop -t 0 "$name" >/dev/null
    podman cp "$name:/given" "$BATS_TEST_TMPDIR/back"
    [ "$(cat "$BATS_TEST_TMPDIR/back")" = given ]
}

@test "podman: two containers at once, and one that is killed with its machine" {
    prun -d --name "$name" bb sleep 1000
    prun -d --name "$name-2" bb sleep 1000
    [ "$(podman ps -q | wc -l)" = 2 ]
    local monitor
    monitor=$(awk -v first="$RANGE" '/^Name/ {name = $2} /^Pid/ {pid = $2} /^Uid/ && name == "minka-monitor" && $2 >= first && $2 < first + 1000 {print pid}' /proc/[0-9]*/status 2>/dev/null | sort -n | head -1)
    kill -9 "$monitor"
    wait_for 20 bash -c "! kill -0 $monitor"
    local ended running
    wait_for 20 one_has_ended
    ended=$(podman ps -a --filter status=exited --format '{{.Names}}')
    running=$(podman ps --format '{{.Names}}')
    [ "$(podman inspect --format '{{.State.ExitCode}}' "$ended")" = 137 ]
    podman exec "$running" true
    podman rm "$ended"
    podman rm -f -t 0 "$running"
}
one_has_ended() { [[ $(podman ps -a --filter status=exited --format '{{.Names}}' | wc -l) == 1 ]]; }

@test "podman: --preserve-fds of run, run -d and exec" {
    run "$WORK/podman" run --network none --cgroup-parent "$CGROUP_PARENT" --rm --preserve-fds 2 bb \
        sh -c 'cat <&3; echo to-four >&4' 3< <(echo from-three) 4>"$BATS_TEST_TMPDIR/four"
    [ "$status" -eq 0 ]
    [ "$output" = from-three ]
    [ "$(cat "$BATS_TEST_TMPDIR/four")" = to-four ]
    mkfifo "$BATS_TEST_TMPDIR/three"
    exec 8<>"$BATS_TEST_TMPDIR/three"
    "$WORK/podman" run --network none --cgroup-parent "$CGROUP_PARENT" -d --name "$name" --preserve-fds 1 bb \
        sh -c 'read -r line <&3; echo "got $line"; sleep 1000' 3<"$BATS_TEST_TMPDIR/three" 8>&- >/dev/null
    echo later >&8
    exec 8>&-
    wait_for_log 'got later'
    run "$WORK/podman" exec --preserve-fds 1 "$name" cat /proc/self/fd/3 3< <(echo executed)
    [ "$output" = executed ]
    run "$WORK/podman" exec --preserve-fds 1 "$name" true 3</
    [ "$status" -ne 0 ]
    [[ $output == *'descriptor 3 is a directory, which cannot be passed into a virtual machine: mount it as a volume'* ]]
}

@test "podman: nothing stays when all are removed" {
    podman rm -fa -t 0
    wait_for 10 nothing_runs
    leftovers >"$BATS_TEST_TMPDIR/after"
    cat "$BATS_TEST_TMPDIR/after"
    [ ! -s "$BATS_TEST_TMPDIR/after" ]
    # conmon's own cgroup is podman's, and podman leaves it.
    podman_cgroups >"$BATS_TEST_TMPDIR/cgroups"
    cat "$BATS_TEST_TMPDIR/cgroups"
    [ -z "$(grep -v "$CGROUP_PARENT\(/conmon\)\?$" "$BATS_TEST_TMPDIR/cgroups" | grep -F "$CGROUP_PARENT")" ]
    [ -z "$(pgrep -f "conmon .*$WORK")" ]
    # Podman 5 keeps the lock of its networks there, whatever it is told.
    grep -qx /run/containers/networks "$WORK/host.before" || rm -df /run/containers/networks/netavark.lock /run/containers/networks
    grep -qx /run/containers "$WORK/host.before" || rmdir --ignore-fail-on-non-empty /run/containers 2>/dev/null || true
    host_paths >"$BATS_TEST_TMPDIR/host.after"
    diff "$WORK/host.before" "$BATS_TEST_TMPDIR/host.after"
    ! grep -F "$WORK" /proc/self/mountinfo
}
nothing_runs() { [[ -z $(leftovers) ]] && ! pgrep -f "conmon .*$WORK"; }
