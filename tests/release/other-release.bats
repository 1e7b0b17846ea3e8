#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The same programs in a system root of the other Debian release: its QEMU, its file server, its kernel, its libraries.
# On Debian 12 that is 13 (QEMU 10.0, the Rust virtiofsd, kernel 6.12 with compressed modules), on 13 it is 12.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() {
    [[ $EUID -eq 0 ]] || skip "needs root"
    local here
    here=$(. /etc/os-release && echo "${VERSION_ID:-}")
    case $here in
    12) OTHER=trixie PACKAGES=qemu-system-x86,virtiofsd,seabios,libjson-c5,libseccomp2,libcap-ng0,libprotobuf-c1,liblz4-1,libzstd1,liblzma5,zlib1g,linux-image-cloud-amd64,binutils,busybox-static,podman,crun,conmon,catatonit ;;
    13) OTHER=bookworm PACKAGES=qemu-system-x86,seabios,libjson-c5,libseccomp2,libcap-ng0,libprotobuf-c1,liblz4-1,libzstd1,liblzma5,zlib1g,linux-image-cloud-amd64,binutils,busybox-static,podman,crun,conmon ;;
    *) skip "this is neither Debian 12 nor 13" ;;
    esac
    # Programs built on 13 need its C library: they cannot be tried on 12 this way.
    [[ $here == 12 ]] || skip "programs built on Debian 13 do not run with Debian 12's C library"
    mkdir -p "$CACHE"
    export OTHER SYSTEM=$CACHE/$OTHER
    if [[ ! -f $SYSTEM.done || $(cat "$SYSTEM.done") != "$PACKAGES" ]]; then
        rm -rf "$SYSTEM"
        debootstrap --variant=minbase --include="$PACKAGES" "$OTHER" "$SYSTEM" >"$CACHE/$OTHER.log" 2>&1 ||
            skip "no $OTHER root could be made: $(tail -1 "$CACHE/$OTHER.log")"
        echo "$PACKAGES" >"$SYSTEM.done"
    fi
    export ID_PREFIX=r$$ RANGE=$((1880000000 + ($$ % 100000) * 1000)) MINKA_ROOT=/run/minka
    rm -rf "${SYSTEM:?}"/{usr/local,bundle,image.tar,etc/minka,var/lib/minka,mnt/*,etc/containers/containers.conf*}
    cp -a "$STAGE" "$SYSTEM/usr/local"
    cp -a "$BUILD/stage/etc/." "$SYSTEM/etc/"
    mkdir -p "$SYSTEM/bundle"
    busybox_rootfs "$SYSTEM/bundle/rootfs"
    boot_system
    configure
    in_system minka image build >"$BATS_FILE_TMPDIR/image.log" 2>&1 || { cat "$BATS_FILE_TMPDIR/image.log" >&2; return 1; }
    in_system sh -c 'cd /bundle && minka spec'
}
teardown_file() {
    [[ -z ${NAMESPACE:-} ]] || kill "$NAMESPACE"
    [[ -z ${ID_PREFIX:-} ]] || find /sys/fs/cgroup -maxdepth 4 -depth -type d -path "*/$ID_PREFIX-podman*" -exec rmdir {} + 2>/dev/null || true
}

# The other system, as far as file systems go: a mount namespace whose root it is, shared as systemd has it. Everything
# that is mounted goes with this process.
boot_system() {
    unshare --mount --net --propagation private sh -c '
        ip link set lo up && mount --bind "$0" "$0" && mount --rbind /dev "$0/dev" && mount --rbind /sys "$0/sys" &&
        mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/run" &&
        cd "$0" && pivot_root . mnt && umount -l /mnt && mount --make-rshared / && touch /run/booted && exec sleep 3600' \
        "$SYSTEM" >"$BATS_FILE_TMPDIR/system.log" 2>&1 3>&- &
    export NAMESPACE=$!
    wait_for 10 in_system test -e /run/booted
}
in_system() {
    nsenter --target "$NAMESPACE" --mount --net /usr/bin/env -i HOME=/root PODMAN_IGNORE_CGROUPSV1_WARNING=1 PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" 3>&-
}
configure() { # LINES of [hypervisor.qemu]; of an installed minka nothing else is set but where leases begin
    mkdir -p "$SYSTEM/etc/minka"
    printf '%s\n' '[runtime]' "id_range_start = $RANGE" 'id_range_size = 1000' '[hypervisor.qemu]' "$@" >"$SYSTEM/etc/minka/configuration.toml"
}
# The capabilities that engines give by default, above the three of `minka spec`.
CAPABILITIES='["CAP_CHOWN","CAP_DAC_OVERRIDE","CAP_FOWNER","CAP_FSETID","CAP_KILL","CAP_MKNOD","CAP_SETGID","CAP_SETUID","CAP_SETFCAP"]'
set_script_there() { # SCRIPT-IN-THE-CONTAINER
    jq --arg s "$1" --argjson caps "$CAPABILITIES" '.process.terminal = false | .root.readonly = false | .process.args = ["sh", "-c", $s] |
        .process.capabilities = {bounding: $caps, effective: $caps, permitted: $caps}' "$SYSTEM/bundle/config.json" >"$BATS_TEST_TMPDIR/config.json"
    cp "$BATS_TEST_TMPDIR/config.json" "$SYSTEM/bundle/config.json"
}
run_in_system() { # SCRIPT-IN-THE-CONTAINER [ARGUMENTS OF RUN...]
    set_script_there "$1"
    shift
    run in_system minka run --bundle /bundle "$@" "$(new_id)"
    echo "$output"
}
minka_there() { in_system minka "$@"; }
status_there() { minka_there state "$1" | jq -r .status; }
pid_of() { # NAME of one of our processes
    awk -v first="$RANGE" -v wanted="$1" '/^Name/ {name = $2} /^Pid/ {pid = $2}
        /^Uid/ && name == wanted && $2 >= first && $2 < first + 1000 {print pid}' /proc/[0-9]*/status 2>/dev/null || true
}
has_status_there() { [[ $(status_there "$1") == "$2" ]]; }
setup() { remember; }
teardown() { in_system sh -c 'for id in $(minka list -q); do minka delete --force "$id"; done' || true; }

# Also what only the other system sees.
leftovers_there() {
    in_system sh -c 'find /run/minka -mindepth 1 ! -path "/run/minka/probe*" ! -name "leases*"; grep -v "^next" /run/minka/leases; cat /proc/self/mountinfo' 2>/dev/null | sort
}
remember() {
    leftovers >"$BATS_TEST_TMPDIR/before"
    leftovers_there >"$BATS_TEST_TMPDIR/before.there"
}
nothing_left_there() {
    nothing_left
    leftovers_there >"$BATS_TEST_TMPDIR/after.there"
    diff "$BATS_TEST_TMPDIR/before.there" "$BATS_TEST_TMPDIR/after.there"
}

@test "other release: a container runs with its QEMU, file server and kernel" {
    in_system qemu-system-x86_64 --version | head -1
    # not ASCII only: the JSON library is another one, too
    run_in_system 'uname -r; id -u; echo "größe €"; echo data >/tmp/file; chown 1234:4321 /tmp/file; exit 42'
    [ "$status" -eq 42 ]
    [ "${lines[2]}" = 'größe €' ]
    [ "${lines[0]}" = "$(ls "$SYSTEM/lib/modules" | tail -1)" ]
    [ "$(stat -c '%u:%g' "$SYSTEM/bundle/rootfs/tmp/file")" = 1234:4321 ]
    nothing_left_there
}

@test "other release: the file server is the Rust one, and no process has privilege" {
    [[ $OTHER == trixie ]] || skip "Debian 12 has the C one"
    local id
    id=$(new_id)
    set_script_there 'sleep 1000'
    minka_there run --detach --bundle /bundle "$id"
    awk -v first="$RANGE" '/^Name/ {name = $2} /^Uid/ {uid = $2; mine = uid >= first && uid < first + 1000 && uid == $3 && uid == $4 && uid == $5}
        mine && /^Groups/ {groups = $2} mine && /^CapBnd/ {print name "[" groups "]", $2}' /proc/[0-9]*/status 2>/dev/null | sort >"$BATS_TEST_TMPDIR/processes"
    cat "$BATS_TEST_TMPDIR/processes"
    [ "$(awk '{print $1}' "$BATS_TEST_TMPDIR/processes" | paste -sd ' ')" = 'minka-monitor[] minka-standin[] qemu-system-x86[] virtiofsd[]' ]
    [ "$(awk '{print $2}' "$BATS_TEST_TMPDIR/processes" | sort -u)" = 0000000000000000 ]
    minka_there audit "$id" # what they hold is of another QEMU and another server
    minka_there kill "$id" KILL
    wait_for 10 has_status_there "$id" stopped
    minka_there delete "$id"
    nothing_left_there
}

@test "other release: kill -9 of the file server ends the container with an exit code" {
    local id status=0
    id=$(new_id)
    set_script_there 'echo began; while :; do echo x >/tmp/again; sleep 0.1; done'
    minka_there run --bundle /bundle "$id" >"$BATS_TEST_TMPDIR/out" 2>&1 &
    local client=$!
    wait_for 60 grep -q began "$BATS_TEST_TMPDIR/out"
    kill -9 "$(pid_of virtiofsd)"
    wait "$client" || status=$?
    cat "$BATS_TEST_TMPDIR/out"
    [ "$status" -eq 137 ]
    nothing_left_there
    # And of a container that nobody waits for.
    minka_there run --detach --bundle /bundle "$id"
    kill -9 "$(pid_of virtiofsd)"
    wait_for 10 has_status_there "$id" stopped
    minka_there delete "$id"
    nothing_left_there
}

@test "other release: ownership, links, special files, many files" {
    run_in_system 'mkdir /d; chmod 2775 /d; chown 0:5 /d; touch /d/f; stat -c %g /d/f; ln /d/f /d/g; stat -c %h /d/g; mkfifo /d/p; mknod /d/null c 1 3 2>/dev/null && echo a device on the host
        ln -s nowhere /d/s; chown -h 7:8 /d/s; stat -c %u:%g /d/s; touch /d/q; chown 65534:65535 /d/q; chmod 4711 /d/q; stat -c %u:%g:%a /d/q
        mkdir /d/closed /d/user; chmod 555 /d/closed; chown 1000:1000 /d/user; mkdir /d/closed/dir && echo x >/d/user/by-root && mv /d/user/by-root /d/closed/ && rm /d/closed/by-root
        mkdir /d/many; i=0; while [ $i -lt 10000 ]; do echo $i >/d/many/$i; i=$((i+1)); done; ls /d/many | wc -l; cat /d/many/* | sort -n | tail -1'
    [ "$status" -eq 0 ]
    [ "$output" = $'5\n2\n7:8\n65534:65535:4711\n10000\n9999' ]
    local d=$SYSTEM/bundle/rootfs/d
    [ -p "$d/p" ]
    [ "$(stat -c %u:%g:%a "$d")" = 0:5:2775 ]
    [ "$(stat -c %u:%g "$d/closed/dir")" = 0:0 ]
    [ "$(stat -c %u:%g:%a "$d/q")" = 65534:65535:4711 ]
    [ "$(stat -c %u:%g "$d/s")" = 7:8 ]
    [ "$(stat -c %u:%g:%h "$d/f")" = 0:5:2 ]
    [ "$(stat -c %u:%g "$d/many/77")" = 0:5 ]
    # What the host's root alone may read is the container's root's to read.
    echo secret >"$d/secret" && chmod 600 "$d/secret"
    run_in_system 'cat /d/secret; rm -r /d'
    [ "$output" = secret ]
    [ ! -e "$d" ]
    nothing_left_there
}

@test "other release: a terminal" {
    local id
    id=$(new_id)
    set_script_there 'sleep 1000'
    minka_there run --detach --bundle /bundle "$id"
    run timeout 60 script -qec "nsenter --target $NAMESPACE --mount /usr/bin/env PATH=/usr/local/bin:/usr/bin:/bin minka exec -t $id sh -c 'tty; exit 21'" /dev/null </dev/null
    echo "$output"
    [ "$status" -eq 21 ]
    [[ $output == */dev/pts/0* ]]
    minka_there delete --force "$id"
    nothing_left_there
}

@test "other release: q35" {
    configure 'machine_type = "q35"'
    run_in_system 'echo on-q35; cat /sys/bus/pci/devices/0000:00:00.0/device'
    configure
    [ "$status" -eq 0 ]
    [[ $output == *on-q35*0x29c0* ]]
    nothing_left_there
}

@test "other release: an image file as the root" {
    mkfs.erofs "$SYSTEM/bundle/image" "$SYSTEM/bundle/rootfs" >/dev/null 2>&1
    run_in_system 'touch /new && echo image-works' --image /bundle/image
    [ "$status" -eq 0 ]
    [[ $output == *image-works* ]]
    nothing_left_there
}

# Podman 5, by the name that `make install` makes known to it.
podman_there() { in_system podman --cgroup-manager cgroupfs --events-backend file --storage-driver overlay "$@"; }
prun_there() { podman_there run --runtime minka --network none --cgroup-parent "/$ID_PREFIX-podman" --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 "$@"; }

@test "other release: its podman" {
    tar -C "$SYSTEM/bundle/rootfs" -cf "$SYSTEM/image.tar" .
    podman_there --version
    podman_there import --change CMD=/bin/sh --change ENV=PATH=/bin /image.tar localhost/bb:latest >/dev/null 2>&1
    remember # what podman makes for itself
    run prun_there --rm bb sh -c 'uname -r; exit 42'
    echo "$output"
    [ "$status" -eq 42 ]
    [ "$output" = "$(ls "$SYSTEM/lib/modules" | tail -1)" ]
    run -127 prun_there --rm bb no-such-command
    echo "$output"
    run prun_there --rm bb /etc
    [ "$status" -eq 126 ]
    # The root directory of its image is 0555; root may write there all the same.
    run prun_there --rm --init --tmpfs /t --hostname named --memory 128m bb sh -c 'hostname; cat /sys/fs/cgroup/memory.max; touch /made /t/made && echo made'
    echo "$output"
    [ "$output" = $'named\n134217728\nmade' ]
    run prun_there --rm --uidmap 0:100000:5000 bb sh -c 'touch /x; chown 5:6 /x; stat -c %u:%g /x; cat /proc/self/uid_map'
    echo "$output"
    [ "${lines[0]}" = 5:6 ]
    [[ ${lines[1]} =~ ^\ *0\ +100000\ +5000$ ]]
    prun_there -d --name one bb sh -c 'trap "exit 5" TERM; echo ready; while :; do sleep 0.1; done'
    echo word >"$BATS_TEST_TMPDIR/in"
    run podman_there exec -i one cat <"$BATS_TEST_TMPDIR/in"
    [ "$output" = word ]
    run podman_there exec one sh -c 'exit 3'
    [ "$status" -eq 3 ]
    podman_there stop -t 10 one
    [ "$(podman_there inspect --format '{{.State.ExitCode}}' one)" = 5 ]
    podman_there logs one | grep -q ready
    podman_there rm one
    nothing_left_there
}
