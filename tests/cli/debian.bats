#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Real input: a Debian system made by debootstrap.
load ../lib/common

setup_file() {
    setup_minka
    debian_rootfs || skip "no Debian root file system could be made: $(tail -1 "$CACHE/debian.log")"
}
setup() {
    remember
    new_bundle
    edit_config --arg root "$CACHE/debian" '.root.path = $root | .linux.resources.memory.limit = 536870912'
}
teardown() { delete_all; }

@test "debian: apt-get, dpkg and perl" {
    set_script 'apt-get --version | head -1; dpkg -l | wc -l; perl -e "print join(q{,}, map { \$_ * \$_ } 1..5), qq{\n}"'
    run minka run --bundle "$BUNDLE" "$(new_id)"
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == apt\ [0-9]* ]]
    [ "${lines[1]}" -eq "$(chroot "$CACHE/debian" dpkg -l | wc -l)" ]
    [ "${lines[2]}" = 1,4,9,16,25 ]
    nothing_left
}

@test "debian: gcc compiles a C program, and it runs" {
    set_script "$(
        cat <<'S'
cd /tmp
cat >hello.c <<'C'
#include <stdio.h>
#include <sys/utsname.h>
int main(void) {
    struct utsname u;
    uname(&u);
    printf("hello from %s\n", u.nodename);
    return 3;
}
C
gcc -O2 -o hello hello.c && ./hello
S
    )"
    run minka run --bundle "$BUNDLE" "$(new_id)"
    [ "$output" = 'hello from minka' ]
    [ "$status" -eq 3 ]
    nothing_left
}
