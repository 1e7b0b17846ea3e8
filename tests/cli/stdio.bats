#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Streams: whole, bounded in memory, independent of one another.
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    new_bundle
    id=$(new_id)
}
teardown() { delete_all; }

monitor_rss() { # KiB of the monitor of container $1
    local pid
    pid=$(jq -r .monitor.pid "$MINKA_ROOT/$1/state.json")
    awk '/^VmRSS/ {print $2}' "/proc/$pid/status"
}

@test "stdio: 1 GiB through cat arrives unharmed and the monitor's memory stays flat" {
    set_args cat
    # the same stream twice: once hashed as it goes in, once as it comes out
    mkfifo "$BATS_TEST_TMPDIR/in"
    (openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 </dev/zero 2>/dev/null | head -c 1073741824 |
        tee "$BATS_TEST_TMPDIR/in" | sha256sum >"$BATS_TEST_TMPDIR/sum.in") &
    minka run --bundle "$BUNDLE" "$id" <"$BATS_TEST_TMPDIR/in" | sha256sum >"$BATS_TEST_TMPDIR/sum.out" &
    wait_for 60 is_status "$id" running
    local peak=0 rss
    while [[ ! -s $BATS_TEST_TMPDIR/sum.out ]]; do
        rss=$(monitor_rss "$id" 2>/dev/null) || break
        ((rss > peak)) && peak=$rss
        sleep 0.2
    done
    wait
    cmp "$BATS_TEST_TMPDIR/sum.in" "$BATS_TEST_TMPDIR/sum.out"
    echo "peak of the monitor: $peak KiB"
    ((peak > 0 && peak < 32768))
    nothing_left
}

@test "stdio: a slow reader blocks only its own stream" {
    # stdout is never read, and its writer must block; stderr goes on
    set_script 'yes 2>/dev/null | head -c 50000000 & i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo err-$i >&2; done; wait'
    mkfifo "$BATS_TEST_TMPDIR/slow"
    exec 8<>"$BATS_TEST_TMPDIR/slow" # keep it open, read nothing
    minka run --bundle "$BUNDLE" "$id" >"$BATS_TEST_TMPDIR/slow" 2>"$BATS_TEST_TMPDIR/err" &
    run_pid=$!
    wait_for 60 grep -qx err-50 "$BATS_TEST_TMPDIR/err"
    is_status "$id" running
    # an exec in the same sandbox is not held up either
    run minka exec "$id" echo alive
    [ "$output" = alive ]
    # and when the reader comes back, everything arrives
    head -c 50000000 <&8 | wc -c >"$BATS_TEST_TMPDIR/count"
    [ "$(cat "$BATS_TEST_TMPDIR/count")" -eq 50000000 ]
    exec 8>&-
    wait "$run_pid"
    nothing_left
}

@test "stdio: all output is delivered before the exit code, ten times over" {
    local i
    set_script 'head -c 300000 /dev/zero | tr "\0" x; echo end'
    for i in 1 2 3 4 5; do
        minka run --bundle "$BUNDLE" "$id-$i" | tail -c 4 >"$BATS_TEST_TMPDIR/tail"
        [ "$(cat "$BATS_TEST_TMPDIR/tail")" = end ]
    done
    nothing_left
}

@test "stdio: a reader that goes away does not hang the container" {
    set_script 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); echo line $i; done; exit 5'
    timeout 60 bash -c "'$MINKA' --config '$CONFIG' --root '$MINKA_ROOT' run --bundle '$BUNDLE' '$id' | head -1" >"$BATS_TEST_TMPDIR/out"
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = 'line 1' ]
    nothing_left
}

@test "stdio: a process whose reader goes away gets SIGPIPE, as with runc" {
    # The first process of a pid namespace cannot be ended by it (pid_namespaces(7)): its write fails.
    set_args yes
    run bash -c "timeout 60 '$MINKA' --config '$CONFIG' --root '$MINKA_ROOT' run --bundle '$BUNDLE' '$id' | head -1; echo \"\${PIPESTATUS[0]}\""
    [[ $output == y*"Broken pipe"*1 ]]
    set_script 'yes; exit $?'
    run bash -c "timeout 60 '$MINKA' --config '$CONFIG' --root '$MINKA_ROOT' run --bundle '$BUNDLE' '$id' | head -1; echo \"\${PIPESTATUS[0]}\""
    [[ $output == y*141 ]]
    set_args sleep 1000
    minka run --detach --bundle "$BUNDLE" "$id" </dev/null >/dev/null 2>&1
    local tty
    for tty in false true; do
        run bash -c "timeout 60 '$MINKA' --config '$CONFIG' --root '$MINKA_ROOT' exec --tty=$tty '$id' yes </dev/null | head -1; echo \"\${PIPESTATUS[0]}\""
        [ "$(tr -d '\r' <<<"$output")" = $'y\n141' ]
    done
    # Before anything is written, and on standard error alone.
    run bash -c "timeout 60 '$MINKA' --config '$CONFIG' --root '$MINKA_ROOT' exec '$id' sh -c 'sleep 1; echo out; echo error >&2; exit 3' 2>&1 >/dev/null | true; echo \"\${PIPESTATUS[0]}\""
    [ "$output" = 141 ]
    minka delete --force "$id"
    nothing_left
}

@test "stdio: files as stdin and stdout, closed stdin" {
    seq 100000 >"$BATS_TEST_TMPDIR/in"
    set_args cat
    minka run --bundle "$BUNDLE" "$id" <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out"
    cmp "$BATS_TEST_TMPDIR/in" "$BATS_TEST_TMPDIR/out"
    minka run --bundle "$BUNDLE" "$id" </dev/null >"$BATS_TEST_TMPDIR/out"
    [ ! -s "$BATS_TEST_TMPDIR/out" ]
    set_script 'echo x; echo y >&2'
    minka run --bundle "$BUNDLE" "$id" <&- >"$BATS_TEST_TMPDIR/out" 2>&1
    [ "$(sort "$BATS_TEST_TMPDIR/out" | tr -d '\n')" = xy ]
    nothing_left
}
