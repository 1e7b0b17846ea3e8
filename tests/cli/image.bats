#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `minka image`: reproducible guest images, rebuilt when the kernel changes.
bats_require_minimum_version 1.5.0
load ../lib/common

setup_file() { setup_minka; }

release() { basename "$(ls -d "$CACHE"/images/*/ | head -1)"; }

@test "image: build is reproducible byte for byte" {
    (umask 077; cd /; TZ=Asia/Tokyo LC_ALL=C minka image build --output "$BATS_TEST_TMPDIR/one")
    (umask 022; cd "$BATS_TEST_TMPDIR"; TZ=UTC LC_ALL=C.UTF-8 minka image build --output two)
    diff -r "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
    local image
    image=$BATS_TEST_TMPDIR/one/$(release)
    [ "$(cd "$image" && echo *)" = "initrd manifest vmlinux" ]
    [ "$(stat -c %a "$image"/* | sort -u)" = 644 ]
    [ "$(stat -c %a "$image")" = 755 ]
    [ "$(stat -c %a "$BATS_TEST_TMPDIR/one")" = 755 ]
}

@test "image: env without one shows all the rest, and how to build it" {
    local config=$BATS_TEST_TMPDIR/configuration.toml
    sed "s|^image_dir.*|image_dir = \"$BATS_TEST_TMPDIR/none\"|" "$CONFIG" >"$config"
    run --separate-stderr "$MINKA" --config "$config" --root "$MINKA_ROOT" env
    [ "$status" -eq 1 ]
    [[ $output == *"path           /"*qemu* && $output == *acceleration* && $output == *"server         /"* ]]
    [[ $output == *"problem        no guest image in $BATS_TEST_TMPDIR/none: run \`minka image build\`"* ]]
    # shellcheck disable=SC2154 # set by run --separate-stderr
    [ "$stderr" = "minka: no guest image in $BATS_TEST_TMPDIR/none: run \`minka image build\`" ]
    run --separate-stderr "$MINKA" --config "$config" --root "$MINKA_ROOT" env --json
    [[ $(jq -r .guest.problem <<<"$output") == "no guest image"* && $(jq -r .hypervisor.problem <<<"$output") == "" ]]
    [[ $(jq -r .hypervisor.path <<<"$output") == /*qemu* ]]
    run "$MINKA" --config "$CONFIG" --root "$MINKA_ROOT" env
    [[ $status -eq 0 && $output != *problem* ]]
}

@test "image: what has nothing to do with containers needs no state directory" {
    # By descriptor: nobody may not enter the directories above the program and the test.
    exec 8<"$MINKA"
    chmod 777 "$BATS_TEST_TMPDIR"
    as_nobody() { (cd "$BATS_TEST_TMPDIR" && setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR /proc/self/fd/8 "$@"); }
    run as_nobody env
    [[ $output == *"path           /"*qemu* && $output != *XDG_RUNTIME_DIR* ]]
    run as_nobody features
    [ "$status" -eq 0 ]
    run as_nobody spec
    [ "$status" -eq 0 ]
    [ -s "$BATS_TEST_TMPDIR/config.json" ]
    run as_nobody list
    [[ $status -eq 1 && $output == *"XDG_RUNTIME_DIR is not set"* ]]
    exec 8<&-
}

@test "image: directory and agent come from the configuration" {
    local config=$BATS_TEST_TMPDIR/configuration.toml
    sed "s|^image_dir.*|image_dir = \"$BATS_TEST_TMPDIR/images\"|" "$CONFIG" >"$config"
    run "$MINKA" --config "$config" image build
    [ "$status" -eq 0 ]
    [ "$output" = "$BATS_TEST_TMPDIR/images/$(release)" ]
    grep -q "^agent_sha256=$(sha256sum <"$STAGE/libexec/minka/minka-agent" | cut -d ' ' -f 1)" \
        "$BATS_TEST_TMPDIR/images/$(release)/manifest"
    run "$MINKA" --config "$config" image remove "$(release)"
    [ "$status" -eq 0 ]
    [ -z "$(ls "$BATS_TEST_TMPDIR/images")" ]
}

@test "image: list names what there is" {
    run minka image list
    [ "$status" -eq 0 ]
    [[ $output == *"$(release)"* ]]
    [ "$(minka image list --format json | jq -r '.[0].kernel')" = "$(release)" ]
}

@test "image: a kernel that is none is refused in one sentence" {
    head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/vmlinuz"
    run minka image build --kernel "$BATS_TEST_TMPDIR/vmlinuz" --output "$BATS_TEST_TMPDIR/x"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *"$BATS_TEST_TMPDIR/vmlinuz"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/x" ]
    run minka image build --kernel 9.9.9-none --output "$BATS_TEST_TMPDIR/x"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *9.9.9-none*"is not installed"* ]]
    [ ! -e "$BATS_TEST_TMPDIR/x" ]
}

@test "image: a failure in the middle leaves the old image as it is" {
    minka image build --output "$BATS_TEST_TMPDIR/images"
    cp -r "$BATS_TEST_TMPDIR/images" "$BATS_TEST_TMPDIR/before"
    # no agent, a full disk, a directory that cannot be written
    run minka image build --agent /no/such/agent --output "$BATS_TEST_TMPDIR/images"
    echo "$output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == */no/such/agent* ]]
    diff -r "$BATS_TEST_TMPDIR/images" "$BATS_TEST_TMPDIR/before"
    mkdir "$BATS_TEST_TMPDIR/small"
    mount -t tmpfs -o size=20M tmpfs "$BATS_TEST_TMPDIR/small"
    run minka image build --output "$BATS_TEST_TMPDIR/small/images"
    left=$(find "$BATS_TEST_TMPDIR/small" -type f -size +0)
    umount "$BATS_TEST_TMPDIR/small"
    echo "$output; $left"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == *small*"No space left on device"* ]]
    [ -z "$left" ]
}

@test "image: the kernel's post-install hook rebuilds, the post-removal hook removes" {
    local hooks=$BUILD/stage/etc/kernel release
    release=$(release)
    # the hooks call the installed program: give them the staged one and a directory of this test
    export MINKA MINKA_CONFIG=$BATS_TEST_TMPDIR/configuration.toml
    sed "s|^image_dir.*|image_dir = \"$BATS_TEST_TMPDIR/images\"|" "$CONFIG" >"$MINKA_CONFIG"
    run "$hooks/postinst.d/zz-minka" "$release" "/boot/vmlinuz-$release"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ -f "$BATS_TEST_TMPDIR/images/$release/vmlinux" ]
    # an upgrade leaves it, and so does a removal that has left the kernel's file
    DEB_MAINT_PARAMS="upgrade 1" "$hooks/postrm.d/zz-minka" "$release" "/no/such/vmlinuz-$release"
    "$hooks/postrm.d/zz-minka" "$release" "/boot/vmlinuz-$release"
    [ -f "$BATS_TEST_TMPDIR/images/$release/vmlinux" ]
    DEB_MAINT_PARAMS=remove run "$hooks/postrm.d/zz-minka" "$release" "/no/such/vmlinuz-$release"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    [ ! -e "$BATS_TEST_TMPDIR/images/$release" ]
    # nothing there any more: nothing to say
    DEB_MAINT_PARAMS=purge run "$hooks/postrm.d/zz-minka" "$release" "/no/such/vmlinuz-$release"
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    # a kernel that cannot be used does not stop its installation
    head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/vmlinuz"
    run "$hooks/postinst.d/zz-minka" "$release" "$BATS_TEST_TMPDIR/vmlinuz"
    echo "$output"
    [ "$status" -eq 0 ]
    [ -n "$output" ]
}
