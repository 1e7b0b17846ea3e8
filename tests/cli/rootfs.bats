#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The root file system: a directory through the file server, and image files.
load ../lib/common

setup_file() { setup_minka; }
setup() {
    remember
    new_bundle '["CAP_CHOWN", "CAP_FOWNER", "CAP_FSETID", "CAP_DAC_OVERRIDE"] as $c
        | .process.capabilities |= (.bounding += $c | .effective += $c | .permitted += $c)' # as engines give
    id=$(new_id)
}
teardown() { delete_all; }

@test "rootfs: ownership and modes are kept, both ways" {
    echo secret >"$BUNDLE/rootfs/secret"
    chmod 600 "$BUNDLE/rootfs/secret"
    mkdir "$BUNDLE/rootfs/theirs"
    chown 1234:4321 "$BUNDLE/rootfs/theirs"
    chmod 2775 "$BUNDLE/rootfs/theirs"
    run_script '
        cat /secret
        stat -c "%u:%g %a" /secret /theirs
        touch /new; mkdir /dir; chmod 4755 /new; chmod 1777 /dir
        touch /owned; chown 1234:4321 /owned; chown 0:0 /theirs
        touch /theirs/inherits'
    [ "$status" -eq 0 ]
    [ "$output" = $'secret\n0:0 600\n1234:4321 2775' ]
    cd "$BUNDLE/rootfs"
    [ "$(stat -c '%u:%g %a' new)" = '0:0 4755' ]
    [ "$(stat -c '%u:%g %a' dir)" = '0:0 1777' ]
    [ "$(stat -c '%u:%g' owned)" = '1234:4321' ]
    [ "$(stat -c '%u:%g' theirs)" = '0:0' ]
    nothing_left
}

@test "rootfs: files of other users in the container belong to them on the host" {
    edit_config '.process.user = {uid: 1000, gid: 1000}'
    run_script 'touch /tmp/mine; cat /etc/passwd >/dev/null; touch /root/no 2>/dev/null || echo refused'
    [ "$output" = refused ]
    [ "$(stat -c '%u:%g' "$BUNDLE/rootfs/tmp/mine")" = 1000:1000 ]
    nothing_left
}

@test "rootfs: a process with ids far above those of accounts owns what it makes" {
    edit_config '.process.user = {uid: 2147483648, gid: 1000650000}'
    run_script 'touch /tmp/mine; stat -c %u:%g /tmp/mine'
    [ "$output" = 2147483648:1000650000 ]
    [ "$(stat -c '%u:%g' "$BUNDLE/rootfs/tmp/mine")" = 2147483648:1000650000 ]
    nothing_left
}

@test "rootfs: hard links, symbolic links, rename, sparse files, xattrs" {
    setfattr -n user.from.host -v hello "$BUNDLE/rootfs/etc/passwd"
    cp "$(command -v getfattr)" "$BUNDLE/rootfs/bin/getfattr.host" # dynamic: only to see that a host file is not needed
    run_script '
        echo x >/tmp/a; ln /tmp/a /tmp/b; stat -c %h /tmp/a
        ln -s ../tmp/a /etc/link; cat /etc/link
        mv /tmp/b /tmp/c; cat /tmp/c
        dd if=/dev/zero of=/tmp/sparse bs=1 count=1 seek=104857600 2>/dev/null; stat -c %s /tmp/sparse; test $(stat -c %b /tmp/sparse) -lt 100 && echo sparse'
    [ "$status" -eq 0 ]
    [ "$output" = $'2\nx\nx\n104857601\nsparse' ]
    [ "$(stat -c %h "$BUNDLE/rootfs/tmp/a")" = 2 ]
    [ "$(readlink "$BUNDLE/rootfs/etc/link")" = ../tmp/a ]
    nothing_left
}

@test "rootfs: extended attributes travel both ways" {
    debian_rootfs || skip "no Debian root file system could be made: $(tail -1 "$CACHE/debian.log")"
    mkdir "$BUNDLE/rootfs/x"
    echo text >"$BUNDLE/rootfs/x/file"
    setfattr -n user.from.host -v hello "$BUNDLE/rootfs/x/file"
    cat >"$BUNDLE/rootfs/x/xattr.pl" <<'P'
my ($path, $from, $to, $value) = ("/x/file", "user.from.host", "user.from.guest", "world");
my $buffer = "\0" x 100;
my $n = syscall(191, $path, $from, $buffer, 100);  # getxattr, x86-64
print substr($buffer, 0, $n), "\n";
syscall(188, $path, $to, $value, 5, 0) == 0 or die "setxattr: $!";  # setxattr
P
    mkdir "$BATS_TEST_TMPDIR/debian"
    mount --bind "$CACHE/debian" "$BATS_TEST_TMPDIR/debian" # the test's own, taken away below
    mkdir -p "$CACHE/debian/x"
    cp -a "$BUNDLE/rootfs/x/." "$CACHE/debian/x/"
    umount "$BATS_TEST_TMPDIR/debian"
    edit_config --arg root "$CACHE/debian" '.root.path = $root'
    set_args perl /x/xattr.pl
    run minka run --bundle "$BUNDLE" "$id"
    [ "$output" = hello ]
    [ "$(getfattr --only-values -n user.from.guest "$CACHE/debian/x/file")" = world ]
    rm -r "$CACHE/debian/x"
    nothing_left
}

@test "rootfs: special files inside the guest" {
    run_script '
        mkfifo /tmp/fifo; (echo through >/tmp/fifo &); cat /tmp/fifo
        stat -c %F /tmp/fifo /dev/null /dev/zero
        echo data >/dev/null; head -c 4 /dev/zero | od -An -tx1; head -c 4 /dev/urandom | wc -c
        test -L /dev/stdin && test -L /dev/fd && test -e /dev/ptmx && echo links'
    [ "$status" -eq 0 ]
    [[ $output == *through* && $output == *fifo* && $output == *"character special"* && $output == *"00 00 00 00"* && $output == *links* ]]
    [ -p "$BUNDLE/rootfs/tmp/fifo" ]
    nothing_left
}

@test "rootfs: 10,000 small files" {
    run_script 'mkdir /many; cd /many; i=0; while [ $i -lt 10000 ]; do echo $i >f$i; i=$((i+1)); done; ls | wc -l; cat f9999; find . -type f | wc -l'
    [ "$status" -eq 0 ]
    [ "$output" = $'10000\n9999\n10000' ]
    [ "$(find "$BUNDLE/rootfs/many" -type f | wc -l)" -eq 10000 ]
    [ "$(cat "$BUNDLE/rootfs/many/f1234")" = 1234 ]
    nothing_left
}

@test "rootfs: what a process wrote is on the host when the container has ended, mapped pages included" {
    run_script 'dd if=/dev/urandom of=/tmp/big bs=1M count=64 2>/dev/null; sha256sum </tmp/big'
    [ "$status" -eq 0 ]
    [ "$(sha256sum <"$BUNDLE/rootfs/tmp/big")" = "$output" ]
    nothing_left
}

@test "rootfs: read-only root" {
    edit_config '.root.readonly = true'
    run_script 'touch /x 2>&1 || echo refused; touch /dev/x && echo dev-writable'
    [[ $output == *refused*dev-writable* ]]
    [ ! -e "$BUNDLE/rootfs/x" ]
    nothing_left
}

@test "rootfs: the container cannot see beyond its root file system through the share" {
    echo outside >"$BUNDLE/outside"
    ln -s ../outside "$BUNDLE/rootfs/up"
    ln -s /etc/hostname "$BUNDLE/rootfs/abs"
    run_script 'cat /up 2>/dev/null || echo no-up; cat /abs 2>/dev/null || echo no-abs; cat /../outside 2>/dev/null || echo no-dotdot; ls /'
    [[ $output == *no-up*no-abs*no-dotdot* ]]
    [[ $output != *outside* ]]
    nothing_left
}

make_image() { # TYPE FILE
    case $1 in
    ext4) truncate -s 64M "$2" && mkfs.ext4 -q -d "$BUNDLE/rootfs" "$2" ;;
    squashfs) mksquashfs "$BUNDLE/rootfs" "$2" -quiet -no-progress >/dev/null ;;
    erofs) mkfs.erofs "$2" "$BUNDLE/rootfs" >/dev/null 2>&1 ;;
    esac
}

@test "rootfs: --image with ext4, squashfs and erofs; a tmpfs takes what is written" {
    echo from-the-image >"$BUNDLE/rootfs/etc/marker"
    local type sum
    for type in ext4 squashfs erofs; do
        make_image $type "$BATS_TEST_TMPDIR/image.$type"
        sum=$(sha256sum <"$BATS_TEST_TMPDIR/image.$type")
        set_script 'cat /etc/marker; echo written >/etc/marker; cat /etc/marker; stat -c "%u %a" /bin/busybox; touch /bin/new && ls /bin/new'
        mv "$BUNDLE/rootfs" "$BUNDLE/rootfs.away" # it is not needed
        run minka run --bundle "$BUNDLE" --image "$BATS_TEST_TMPDIR/image.$type" "$id-$type"
        mv "$BUNDLE/rootfs.away" "$BUNDLE/rootfs"
        echo "$type: $output"
        [ "$status" -eq 0 ]
        [ "$output" = $'from-the-image\nwritten\n0 755\n/bin/new' ]
        [ "$(sha256sum <"$BATS_TEST_TMPDIR/image.$type")" = "$sum" ]
    done
    nothing_left
}

@test "rootfs: an image that is none is refused in one sentence" {
    head -c 1000000 /dev/urandom >"$BATS_TEST_TMPDIR/noise"
    run minka run --bundle "$BUNDLE" --image "$BATS_TEST_TMPDIR/noise" "$id"
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *noise* ]]
    run minka run --bundle "$BUNDLE" --image /no/such/image "$id"
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
    nothing_left
}

@test "rootfs: bind mounts: directories, files, read-only, changes seen at once" {
    mkdir "$BATS_TEST_TMPDIR/volume"
    echo v1 >"$BATS_TEST_TMPDIR/volume/file"
    echo config >"$BATS_TEST_TMPDIR/single"
    edit_config --arg v "$BATS_TEST_TMPDIR/volume" --arg f "$BATS_TEST_TMPDIR/single" '.mounts += [
        {destination: "/vol", type: "bind", source: $v, options: ["rbind", "rw"]},
        {destination: "/ro", type: "bind", source: $v, options: ["bind", "ro"]},
        {destination: "/etc/single", type: "bind", source: $f, options: ["bind", "ro"]}]'
    set_script 'cat /vol/file /ro/file /etc/single; echo w >/vol/written; touch /ro/x 2>/dev/null || echo ro-refused; while [ ! -e /vol/go ]; do sleep 0.1; done; cat /vol/file'
    minka run --bundle "$BUNDLE" "$id" >"$BATS_TEST_TMPDIR/out" &
    wait_for 60 grep -q ro-refused "$BATS_TEST_TMPDIR/out"
    echo v2 >"$BATS_TEST_TMPDIR/volume/file"
    touch "$BATS_TEST_TMPDIR/volume/go"
    wait $!
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = $'v1\nv1\nconfig\nro-refused\nv2' ]
    [ "$(cat "$BATS_TEST_TMPDIR/volume/written")" = w ]
    nothing_left
}

@test "rootfs: what is written into a mounted file between create and start is there at the start" {
    : >"$BATS_TEST_TMPDIR/hosts"
    edit_config --arg f "$BATS_TEST_TMPDIR/hosts" '.mounts += [{destination: "/etc/hosts", type: "bind", source: $f, options: ["bind"]}]'
    set_args cat /etc/hosts
    minka create --bundle "$BUNDLE" "$id" </dev/null >"$BATS_TEST_TMPDIR/out" 2>&1
    echo "10.1.2.3 other" >"$BATS_TEST_TMPDIR/hosts" # podman 5 does so
    minka start "$id"
    wait_for 10 is_status "$id" stopped
    [ "$(cat "$BATS_TEST_TMPDIR/out")" = "10.1.2.3 other" ]
    minka delete "$id"
}
