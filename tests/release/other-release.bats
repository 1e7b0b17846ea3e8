#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The same programs in a system root of the other Debian release: its QEMU, its file server, its kernel, its libraries.
# On Debian 12 that is 13 (QEMU 10.0, the Rust virtiofsd, kernel 6.12 with compressed modules), on 13 it is 12.
load ../lib/common

setup_file() {
    [[ $EUID -eq 0 ]] || skip "needs root"
    local here
    here=$(. /etc/os-release && echo "${VERSION_ID:-}")
    case $here in
    12) OTHER=trixie PACKAGES=qemu-system-x86,virtiofsd,seabios,libjson-c5,libseccomp2,libcap-ng0,libprotobuf-c1,liblz4-1,libzstd1,liblzma5,zlib1g,linux-image-cloud-amd64,binutils,jq,busybox-static ;;
    13) OTHER=bookworm PACKAGES=qemu-system-x86,seabios,libjson-c5,libseccomp2,libcap-ng0,libprotobuf-c1,liblz4-1,libzstd1,liblzma5,zlib1g,linux-image-cloud-amd64,binutils,jq,busybox-static ;;
    *) skip "this is neither Debian 12 nor 13" ;;
    esac
    # Programs built on 13 need its C library: they cannot be tried on 12 this way.
    [[ $here == 12 ]] || skip "programs built on Debian 13 do not run with Debian 12's C library"
    mkdir -p "$CACHE"
    export OTHER SYSTEM=$CACHE/$OTHER
    if [[ ! -f $SYSTEM.done ]]; then
        rm -rf "$SYSTEM"
        debootstrap --variant=minbase --include="$PACKAGES" "$OTHER" "$SYSTEM" >"$CACHE/$OTHER.log" 2>&1 ||
            skip "no $OTHER root could be made: $(tail -1 "$CACHE/$OTHER.log")"
        touch "$SYSTEM.done"
    fi
    rm -rf "${SYSTEM:?}/usr/local" "${SYSTEM:?}/bundle"
    cp -a "$STAGE" "$SYSTEM/usr/local"
    mkdir -p "$SYSTEM/bundle"
    busybox_rootfs "$SYSTEM/bundle/rootfs"
    # The configuration of an installed minka: nothing set.
    in_system minka image build >"$BATS_FILE_TMPDIR/image.log" 2>&1 || { cat "$BATS_FILE_TMPDIR/image.log" >&2; return 1; }
    in_system sh -c 'cd /bundle && rm -f config.json && minka spec'
}

# In a mount namespace of its own; everything mounted goes with it.
in_system() {
    unshare --mount --propagation private bash -c '
        mount --rbind /dev "$0/dev" && mount --rbind /sys "$0/sys" && mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/run" &&
        exec chroot "$0" /usr/bin/env PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${@}"' "$SYSTEM" "$@"
}
run_in_system() { # SCRIPT-IN-THE-CONTAINER [ARGUMENTS OF RUN...]
    jq --arg s "$1" '.process.terminal = false | .root.readonly = false | .process.args = ["sh", "-c", $s]' "$SYSTEM/bundle/config.json" >"$SYSTEM/bundle/new"
    mv "$SYSTEM/bundle/new" "$SYSTEM/bundle/config.json"
    shift
    run in_system minka run --bundle /bundle "$@" "$(new_id)"
    echo "$output"
}
setup() { remember; }

@test "other release: a container runs with its QEMU, file server and kernel" {
    in_system qemu-system-x86_64 --version | head -1
    run_in_system 'uname -r; id -u; echo data >/tmp/file; chown 1234:4321 /tmp/file; exit 42'
    [ "$status" -eq 42 ]
    [ "${lines[0]}" = "$(ls "$SYSTEM/lib/modules" | tail -1)" ]
    [ "$(stat -c '%u:%g' "$SYSTEM/bundle/rootfs/tmp/file")" = 1234:4321 ]
    nothing_left
}

@test "other release: ownership, links, special files, many files" {
    run_in_system 'mkdir /d; chmod 2775 /d; chown 0:5 /d; touch /d/f; stat -c %g /d/f; ln /d/f /d/g; stat -c %h /d/g; mkfifo /d/p; i=0; while [ $i -lt 1000 ]; do echo $i >/d/$i; i=$((i+1)); done; ls /d | wc -l'
    [ "$status" -eq 0 ]
    [[ $output == 5$'\n'2$'\n'1003* ]]
    [ -p "$SYSTEM/bundle/rootfs/d/p" ]
    rm -rf "$SYSTEM/bundle/rootfs/d"
    nothing_left
}

@test "other release: q35" {
    mkdir -p "$SYSTEM/etc/minka"
    printf '[hypervisor.qemu]\nmachine_type = "q35"\n' >"$SYSTEM/etc/minka/configuration.toml"
    run_in_system 'echo on-q35'
    rm "$SYSTEM/etc/minka/configuration.toml"
    [ "$status" -eq 0 ]
    [[ $output == *on-q35* ]]
    nothing_left
}

@test "other release: an image file as the root" {
    mkfs.erofs "$SYSTEM/bundle/image" "$SYSTEM/bundle/rootfs" >/dev/null 2>&1
    run_in_system 'touch /new && echo image-works' --image /bundle/image
    [ "$status" -eq 0 ]
    [[ $output == *image-works* ]]
    nothing_left
}
