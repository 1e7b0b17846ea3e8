# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What every bats file shares: the staged programs, a configuration of its own, bundles, and the look for leftovers.
#
# bats_load_library is not in Debian 12's bats; load with: load ../lib/common

BUILD=${MINKA_TEST_BUILD:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build}
STAGE=$BUILD/stage/usr/local
MINKA=$STAGE/bin/minka
CACHE=$BUILD/test-cache

# One configuration for a whole file: programs of the stage, images of the build, a lease range of its own.
setup_minka() {
    [[ $EUID -eq 0 ]] || skip "needs root"
    export MINKA_ROOT=$BATS_FILE_TMPDIR/root
    export CONFIG=$BATS_FILE_TMPDIR/configuration.toml
    export RANGE=$((1880000000 + ($$ % 100000) * 1000)) ID_PREFIX=t$$
    mkdir -p "$CACHE"
    guest_image || return 1
    write_config
}

# shellcheck disable=SC2120 # called with and without
write_config() { # EXTRA-LINES... : appended to the [hypervisor.qemu] section
    {
        echo '[runtime]'
        echo "libexec_dir = \"$STAGE/libexec/minka\""
        echo "image_dir = \"$CACHE/images\""
        echo "id_range_start = $RANGE"
        echo "id_range_size = 1000"
        echo '[agent]'
        echo 'dial_timeout = 60'
        echo '[hypervisor.qemu]'
        printf '%s\n' "$@"
    } >"$CONFIG"
}

guest_image() { # built once per agent; every file of the run shares it
    local agent=$STAGE/libexec/minka/minka-agent
    if [[ ! -f $CACHE/images.of || $(sha256sum <"$agent") != "$(cat "$CACHE/images.of")" ]]; then
        rm -rf "$CACHE/images"
        mkdir -p "$CACHE/images"
        "$STAGE/libexec/minka/minka-image" build --agent "$agent" --image-dir "$CACHE/images" >"$CACHE/image.log" 2>&1 ||
            { cat "$CACHE/image.log" >&2; return 1; }
        sha256sum <"$agent" >"$CACHE/images.of"
    fi
}

minka() { "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" "$@"; }

# An id that no other test of this run uses.
new_id() { echo "$ID_PREFIX-$BATS_TEST_NUMBER-$RANDOM"; }

busybox_rootfs() { # DIR: a small root file system
    mkdir -p "$1"/{bin,dev,proc,sys,tmp,etc,root,run,var}
    chmod 1777 "$1/tmp"
    cp /bin/busybox "$1/bin/busybox"
    local applet
    for applet in sh cat echo true false id ls sleep stat mount umount grep sed awk hostname env ps kill touch mkdir rm ln mv cp \
        dd head tail wc sort tr cut date df free nproc mknod mkfifo chmod chown sync tty stty test printf seq ulimit \
        find md5sum sha256sum readlink rmdir id uname ip ifconfig nc yes od hexdump chroot setsid trap vi reset; do
        ln -sf busybox "$1/bin/$applet"
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n' >"$1/etc/passwd"
    printf 'root:x:0:\nuser:x:1000:\n' >"$1/etc/group"
}

# new_bundle [JQ-FILTER [ARG...]]: a bundle with a busybox rootfs in $BUNDLE, `minka spec`'s config.json filtered by jq.
# --arg style arguments may follow the filter.
new_bundle() {
    BUNDLE=$(mktemp -d "$BATS_TEST_TMPDIR/bundle.XXXXXX")
    busybox_rootfs "$BUNDLE/rootfs"
    (cd "$BUNDLE" && minka spec)
    edit_config '.process.terminal = false | .root.readonly = false | .process.args = ["true"]'
    [[ $# -eq 0 ]] || edit_config "$@"
}
edit_config() {
    jq "$@" "$BUNDLE/config.json" >"$BUNDLE/config.json.new" && mv "$BUNDLE/config.json.new" "$BUNDLE/config.json"
}
set_args() { # ARG... : the container's process
    edit_config --argjson args "$(python3 -c 'import json, sys; print(json.dumps(sys.argv[1:]))' "$@")" '.process.args = $args'
}
set_script() { set_args sh -c "$1"; }

run_script() { # SCRIPT: run it in a container of $BUNDLE; bats' $output and $status
    set_script "$1"
    run minka run --bundle "$BUNDLE" "$(new_id)"
}

wait_for() { # SECONDS COMMAND... : until it succeeds
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || { echo "waited in vain for: $*" >&2; return 1; }
        sleep 0.1
    done
}

status_of() { minka state "$1" | jq -r .status; }
is_status() { [[ $(status_of "$1") == "$2" ]]; }

# ---- leftovers: what exists before a test must be what exists after it ----
# Every file of tests has a lease range of its own, so that what belongs to it can be told from other sandboxes.
leftovers() {
    {
        awk -v first="$RANGE" '/^Name/ {name = $2} /^State/ {state = $2}
            /^Uid/ && state != "Z" && $2 >= first && $2 < first + 1000 {print "process " name}' /proc/[0-9]*/status 2>/dev/null | sort || true
        awk -v first="$RANGE" '$1 >= first && $1 < first + 1000 {print "lease " $0}' /run/minka/leases 2>/dev/null || true
        grep -F "$BATS_FILE_TMPDIR" /proc/self/mountinfo | sed 's/^/mount /' || true
        find /sys/fs/cgroup -maxdepth 4 -type d -path "*minka/$ID_PREFIX*" 2>/dev/null | sort | sed 's/^/cgroup /' || true
        find "$MINKA_ROOT" -mindepth 1 2>/dev/null | sed 's/^/file /' || true
        find /run/netns -mindepth 1 2>/dev/null | sed 's/^/netns /' || true
    }
}
remember() { leftovers >"$BATS_TEST_TMPDIR/before"; }
nothing_left() { # more than there was before; what the test before left to the kernel may have gone meanwhile
    for _ in 1 2 3 4 5 6 7 8 9 10; do # the kernel ends a killed namespace asynchronously
        leftovers >"$BATS_TEST_TMPDIR/after"
        [[ -n $(diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after" | grep '^>') ]] || return 0
        sleep 0.2
    done
    diff "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
    return 1
}

# End what a failed test left behind, so that the next one starts clean.
delete_all() {
    local id
    for id in $(minka list -q 2>/dev/null); do
        minka delete --force "$id" || true
    done
}

# A Debian root file system made by debootstrap, kept for all runs in $CACHE/debian.
debian_rootfs() {
    [[ -f $CACHE/debian.done ]] && return 0
    rm -rf "$CACHE/debian"
    local release
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debootstrap --variant=minbase --include=gcc,libc6-dev "$release" "$CACHE/debian" >"$CACHE/debian.log" 2>&1 || return 1
    touch "$CACHE/debian.done"
}
