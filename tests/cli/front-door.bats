#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a person does first: `make demo`, `make install`, the manual pages.
load ../lib/common

setup_file() { setup_minka; }
top() { cd "$BATS_TEST_DIRNAME/../.." && pwd; }

@test "front door: the demo shows the guest's kernel and what serves it, read from /proc" {
    run "$(top)/scripts/demo" "$BUILD"
    echo "$output"
    [ "$status" -eq 0 ]
    inside=$(sed -n '/^In the container/,/^On the host/p' <<<"$output")
    host=$(sed -n '/^On the host/,$p' <<<"$output")
    [[ $inside == *"kernel: Linux "* && $inside != *"$(uname -r)"* && $inside == *"uid=0"* ]]
    [[ $host == *"$(uname -r)"* ]]
    # four processes, none of them root, none with a capability in effect but the file server in its own namespace
    [ "$(grep -c '^    Uid:' <<<"$host")" -eq 4 ]
    [ "$(grep -c $'^    Uid:\t0' <<<"$host")" -eq 0 ]
    [ "$(grep -cE '^    CapBnd:.0000000000000000' <<<"$host")" -eq 4 ]
    [ "$(grep -cE '^    CapEff:.0000000000000000' <<<"$host")" -eq 3 ]
    [ "$(grep -c 'namespaces of its own: mnt net pid ipc uts cgroup' <<<"$host")" -eq 4 ]
}

@test "front door: make install honours PREFIX and DESTDIR and installs all there is" {
    local prefix=$BATS_TEST_TMPDIR/prefix file
    (cd "$(top)" && make --no-print-directory install BUILD="$BATS_TEST_TMPDIR/build" PREFIX=/opt/minka DESTDIR="$prefix") >"$BATS_TEST_TMPDIR/log" 2>&1 ||
        { cat "$BATS_TEST_TMPDIR/log"; false; }
    for file in opt/minka/bin/minka opt/minka/libexec/minka/minka-{monitor,standin,agent,image} \
        opt/minka/share/man/man1/minka.1 opt/minka/share/man/man8/minka-image.8 opt/minka/share/man/man5/minka.toml.5 \
        opt/minka/share/minka/configuration.toml opt/minka/share/bash-completion/completions/minka \
        opt/minka/share/zsh/vendor-completions/_minka opt/minka/share/fish/vendor_completions.d/minka.fish \
        etc/kernel/postinst.d/zz-minka etc/kernel/postrm.d/zz-minka; do
        [ -f "$prefix/$file" ] || { echo "$file is missing"; false; }
    done
    # the sample configuration is valid, and changes nothing
    "$prefix/opt/minka/bin/minka" --config "$prefix/opt/minka/share/minka/configuration.toml" --root "$BATS_TEST_TMPDIR/root" list
    # and is the one that is read: where it was installed to, with nothing of the administrator's before it
    run unshare --mount --propagation private sh -c 'for d in /opt /etc/minka; do [ ! -d $d ] || mount -t tmpfs tmpfs $d || exit; done
        mkdir /opt/minka && cp -r "$0"/opt/minka /opt && echo no_such_key = 1 >>/opt/minka/share/minka/configuration.toml && /opt/minka/bin/minka env' "$prefix"
    [[ $output == *"/opt/minka/share/minka/configuration.toml:"*no_such_key* ]]
    grep -q 'and /opt/minka/share/minka/configuration.toml' "$prefix/opt/minka/share/minka/configuration.toml"
    # programs know where they were installed to
    run "$prefix/opt/minka/bin/minka" --root "$BATS_TEST_TMPDIR/root" image list
    [[ $output == */opt/minka/libexec/minka* ]]
    # make uninstall takes away what it has put there, and nothing else
    touch "$prefix/opt/minka/share/man/man1/other.1"
    (cd "$(top)" && make --no-print-directory uninstall BUILD="$BATS_TEST_TMPDIR/build" DESTDIR="$prefix")
    [ "$(find "$prefix" -type f)" = "$prefix/opt/minka/share/man/man1/other.1" ]
    [ ! -e "$prefix/opt/minka/libexec/minka" ]
}

@test "front door: the manual pages can be read" {
    local page
    for page in "$STAGE"/share/man/man*/*; do
        [ "$(man --warnings -l "$page" 2>/dev/null | wc -l)" -gt 20 ] || { command -v man >/dev/null || skip "man is not installed"; false; }
    done
}
