#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `minka image`: reproducible guest images, rebuilt when the kernel changes.
load ../lib/common

setup_file() { setup_minka; }

agent() { echo "$STAGE/libexec/minka/minka-agent"; }
release() { basename "$(ls -d "$CACHE"/images/*/ | head -1)"; }

@test "image: build is reproducible byte for byte" {
    (umask 077; cd /; TZ=Asia/Tokyo LC_ALL=C minka image build --agent "$(agent)" --output "$BATS_TEST_TMPDIR/one")
    (umask 022; cd "$BATS_TEST_TMPDIR"; TZ=UTC LC_ALL=C.UTF-8 minka image build --agent "$(agent)" --output "$BATS_TEST_TMPDIR/two")
    diff -r "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
    [ "$(stat -c %a "$BATS_TEST_TMPDIR/one/initrd")" = 644 ]
    [ "$(stat -c %a "$BATS_TEST_TMPDIR/one")" = 755 ]
}

@test "image: list names what there is" {
    run minka image list
    [ "$status" -eq 0 ]
    [[ $output == *"$(release)"* ]]
}

@test "image: a kernel that is none is refused in one sentence" {
    head -c 100000 /dev/urandom >"$BATS_TEST_TMPDIR/vmlinuz"
    run minka image build --kernel "$BATS_TEST_TMPDIR/vmlinuz" --agent "$(agent)" --output "$BATS_TEST_TMPDIR/x"
    [ "$status" -ne 0 ]
    [ "${#lines[@]}" -eq 1 ]
    [ ! -e "$BATS_TEST_TMPDIR/x" ]
    run minka image build --kernel 9.9.9-none --agent "$(agent)" --output "$BATS_TEST_TMPDIR/x"
    [ "$status" -ne 0 ]
    [[ $output == *9.9.9-none* ]]
}

@test "image: the kernel's post-install hook rebuilds, the post-removal hook removes" {
    hook=$BUILD/stage/etc/kernel/postinst.d/zz-minka
    [ -x "$hook" ]
    # the hooks call the installed programs: give them the staged ones and a directory of this test
    export MINKA_CONFIG=$BATS_TEST_TMPDIR/configuration.toml
    sed "s|^image_dir.*|image_dir = \"$BATS_TEST_TMPDIR/images\"|" "$CONFIG" >"$MINKA_CONFIG"
    PATH=$STAGE/bin:$PATH "$hook" "$(release)" "/boot/vmlinuz-$(release)"
    [ -f "$BATS_TEST_TMPDIR/images/$(release)/vmlinux" ]
    PATH=$STAGE/bin:$PATH "$BUILD/stage/etc/kernel/postrm.d/zz-minka" "$(release)" "/boot/vmlinuz-$(release)"
    [ ! -e "$BATS_TEST_TMPDIR/images/$(release)" ]
}
