/* SPDX-License-Identifier: Apache-2.0 */
/* The container's file systems: mounts, links that lead astray, read-only and masked paths, devices, user namespaces.
 */
#include "launch-fixture.h"

#include "shared/base/cleanup.h"

#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>

/* <sys/mount.h> and <linux/mount.h> exclude one another in Debian 12's glibc. */
enum { BIND = MS_BIND, RBIND = MS_BIND | MS_REC, RO = MS_RDONLY };

static struct fixture_plan plan;
static struct fixture_result result;

static char *text(const char *constant) {
    return (char *)(uintptr_t)constant;
}

static void test_flags(void **state) {
    (void)state;
    fixture_plan(&plan, "grep -E ' /(ro|rw|file|tree|plain|ns)' /proc/mounts | cut -d' ' -f2,3,4 | sort; cat /file;"
                        "touch /ro/x /tree/x /tree/below/x /rw/x; touch /plain/x; cat /dev/fd/0 </plain/x");
    fixture_shell(
        &plan,
        "mkdir -p /run/source/below && echo content >/run/source/file && mount -t tmpfs below /run/source/below");
    fixture_mount(&plan, "tmpfs", "tmpfs", "/ro", MS_NOSUID | MS_NOEXEC | RO, "size=64k,mode=1777");
    fixture_mount(&plan, "tmpfs", "tmpfs", "/ro/inside", MS_NODEV, "size=64k");
    fixture_mount(&plan, "", "/run/source", "/rw", BIND | MS_NODEV | MS_NOSUID, "");
    fixture_mount(&plan, "", "/run/source/file", "/file", BIND | RO, "")->source_is_file = true;
    Minka__Plan__V1__Mount *tree = fixture_mount(&plan, "", "/run/source", "/tree", RBIND, "");
    tree->recursive_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME;
    fixture_mount(&plan, "", "/run/source", "/plain", BIND, "");
    fixture_mount(&plan, "", "/run/no such", "/optional", BIND, "")->optional = true;
    fixture_run(&plan, &result);
    if (result.failed)
        fail_msg("%s", result.text);
    assert_string_equal(result.out, "/file tmpfs ro,relatime,mode=755\n"
                                    "/plain tmpfs rw,relatime,mode=755\n"
                                    "/ro tmpfs ro,nosuid,noexec,relatime,size=64k\n"
                                    "/ro/inside tmpfs rw,nodev,relatime,size=64k,mode=755\n"
                                    "/rw tmpfs rw,nosuid,nodev,relatime,mode=755\n"
                                    "/tree tmpfs ro,noatime,mode=755\n"
                                    "/tree/below tmpfs ro,noatime\n"
                                    "content\n");
    assert_string_equal(result.error, "touch: /ro/x: Read-only file system\ntouch: /tree/x: Read-only file system\n"
                                      "touch: /tree/below/x: Read-only file system\n");
    fixture_mount(&plan, "", "/run/no such", "/needed", BIND, "");
    fixture_expect_failure(
        &plan, "the source of the mount on /needed, /run/no such, cannot be reached in the guest (error 2)");
    plan.container.n_mounts--;
    fixture_mount(&plan, "nonsense", "x", "/needed", 0, "");
    fixture_expect_failure(&plan, "mount `x` to `/needed`: No such device");
    fixture_shell(&plan, "umount /run/source/below; rm -r /run/source");
}

static void test_copy_up(void **state) {
    (void)state;
    fixture_plan(
        &plan, "cd /data && find . | sort | xargs stat -c '%n %F %a %u:%g %s'; readlink link; cat dir/file; touch new");
    fixture_shell(
        &plan, "mkdir -p data/dir/empty; echo hello >data/dir/file; chown 5:6 data/dir/file; chmod 4755 data/dir/file;"
               "ln -s /etc/passwd data/link; mkfifo data/fifo; chmod 2750 data/dir; chmod 711 data");
    fixture_mount(&plan, "tmpfs", "tmpfs", "/data", 0, "size=1m")->copy_up = true;
    fixture_expect(&plan, ". directory 711 0:0 100\n./dir directory 2750 0:0 80\n./dir/empty directory 755 0:0 40\n"
                          "./dir/file regular file 4755 5:6 6\n./fifo fifo 644 0:0 0\n./link symbolic link 777 0:0 11\n"
                          "/etc/passwd\nhello\n");
    assert_string_equal(fixture_file(&plan, "data/new"), "");
    fixture_shell(&plan, "test ! -e data/new");
}

/* Every name in the image may lead anywhere; nothing may be made or mounted outside of the root. */
static void test_links(void **state) {
    (void)state;
    fixture_plan(
        &plan, "grep ' /.*mark' /proc/mounts | cut -d' ' -f2; ls -d /target/*; ls /made; cat /made/device && echo ok");
    fixture_shell(&plan, "mkdir target; ln -s / root; ln -s ../../../../../../../../run up; ln -s /target absolute;"
                         "ln -s target/../target relative; ln -s dangling/../made dangling_link; ln -s loop loop; ln "
                         "-s /proc/self/root magic");
    fixture_mount(&plan, "tmpfs", "m", "/root/mark1", 0, "");
    fixture_mount(&plan, "tmpfs", "m", "/up/mark2", 0, "");
    fixture_mount(&plan, "tmpfs", "m", "/absolute/mark3", 0, "");
    fixture_mount(&plan, "tmpfs", "m", "/relative/../../../../mark4", 0, "");
    fixture_mount(&plan, "tmpfs", "m", "/dangling_link/mark5", 0, "");
    fixture_device(&plan, "/dangling_link/device", S_IFCHR | 0600, 1, 3);
    fixture_expect(&plan, "/mark1\n/run/mark2\n/target/mark3\n/mark4\n/made/mark5\n/target/mark3\ndevice\nmark5\nok\n");
    fixture_shell(&plan, "test -d run/mark2 && ! test -e /run/mark2 && ! test -e /mark1");
    fixture_mount(&plan, "tmpfs", "m", "/loop/mark6", 0, "");
    fixture_expect_failure(&plan, "the mount on /loop/mark6: cannot open /loop/mark6 in the container's root file "
                                  "system: Too many levels of symbolic links");
    plan.container.n_mounts--;
    fixture_mount(&plan, "tmpfs", "m", "/magic/mark7", 0, "");
    fixture_run(&plan, &result);
    assert_true(result.failed); /* links of /proc are followed by nobody */
    plan.container.n_mounts = 0;
    fixture_shell(&plan, "rmdir proc; ln -s /target proc");
    fixture_mount(&plan, "proc", "proc", "/proc", 0, "");
    fixture_expect_failure(
        &plan,
        "the mount on /proc: proc must be mounted on an ordinary directory, but /proc leads through a symbolic link");
}

static void test_restricted(void **state) {
    (void)state;
    fixture_plan(&plan,
                 "cat /secret/file /proc/cpuinfo /hidden; ls -A /secret; touch /secret/x; touch /open/x /shut/x /tmp/x;"
                 "grep -E ' (/|/shut) ' /proc/mounts | cut -d' ' -f4 | cut -c1-2");
    fixture_shell(&plan, "mkdir secret open shut; echo s >secret/file; echo h >hidden");
    char *masked[] = {text("/secret"), text("/proc/cpuinfo"), text("/hidden"), text("/not/there")};
    char *readonly[] = {text("/shut"), text("/nor/this")};
    plan.container.masked_paths = masked;
    plan.container.n_masked_paths = 4;
    plan.container.readonly_paths = readonly;
    plan.container.n_readonly_paths = 2;
    fixture_run(&plan, &result);
    assert_string_equal(result.out, "rw\nro\n");
    assert_string_equal(
        result.error,
        "cat: can't open '/secret/file': No such file or directory\ntouch: /secret/x: Read-only file system\n"
        "touch: /shut/x: Read-only file system\n");
    plan.root.readonly = true;
    fixture_run(&plan, &result);
    assert_string_equal(result.out, "ro\nro\n");
    assert_non_null(strstr(result.error, "touch: /open/x: Read-only file system\n"));
}

static void test_devices(void **state) {
    (void)state;
    fixture_plan(&plan, "stat -c '%n %t:%T %a %u:%g %F' /dev/null /dev/zero /deep/er/fifo /dev/own; echo x >/dev/null; "
                        "head -c 3 /dev/zero | wc -c;"
                        "readlink /dev/ptmx; mknod /dev/new c 1 3 2>/dev/null || echo no mknod");
    plan.capabilities.bounding = plan.capabilities.effective = plan.capabilities.permitted = 0;
    fixture_device(&plan, "/deep/er/fifo", S_IFIFO | 0640, 0, 0);
    fixture_device(&plan, "/dev/own", S_IFCHR | 0123, 10, 200);
    plan.device[4].uid = 11;
    plan.device[4].gid = 12;
    static const char expected[] =
        "/dev/null 1:3 666 0:0 character special file\n/dev/zero 1:5 666 0:0 character special file\n"
        "/deep/er/fifo 0:0 640 0:0 fifo\n/dev/own a:c8 123 11:12 character special file\n3\npts/ptmx\nno mknod\n";
    fixture_expect(&plan, expected);
    /* In a user namespace they are bound, and look the same. */
    fixture_shell(&plan, "rm -r deep");
    fixture_user_namespace(&plan);
    fixture_expect(&plan, expected);
}

static void test_user_namespace(void **state) {
    (void)state;
    fixture_plan(&plan, "id -u; tr -s ' ' </proc/self/uid_map; cat /proc/self/setgroups; touch /file; id -G;"
                        "for f in ipc uts net cgroup mnt pid; do test -e /proc/self/ns/$f; done; mount -o remount,rw "
                        "/masked 2>&1 | head -c 5;"
                        "touch /ro/x 2>/dev/null || echo ro; ls -d /sys/class/net/lo; test -d /sys/fs/cgroup/ && echo "
                        "x >/dev/null; stat -c %u /dev/pts/ptmx");
    fixture_user_namespace(&plan);
    uint32_t groups[] = {44};
    plan.process.additional_gids = groups;
    plan.process.n_additional_gids = 1;
    fixture_shell(&plan, "mkdir -p masked /run/source; mount -t tmpfs -o ro,nosuid,mode=755 x /run/source");
    fixture_mount(&plan, "", "/run/source", "/ro", RBIND | MS_NODEV, "");
    plan.mount[2].data = text("newinstance,ptmxmode=0666,mode=0620,gid=99999"); /* not mapped */
    fixture_expect(&plan, "0\n 0 100000 65536\nallow\n0 44\nmountro\n/sys/class/net/lo\n0\n");
    struct stat st;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/file", plan.root_path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 100000);
    fixture_terminal(&plan, true);
    plan.process.uid = 7;
    fixture_script(&plan, "tty; stat -c %u $(tty)");
    fixture_run(&plan, &result);
    assert_string_equal(result.out, "/dev/pts/0\r\n7\r\n");
    fixture_terminal(&plan, false);
    fixture_script(&plan, "echo to >/proc/self/fd/1; id -u");
    fixture_expect(&plan, "to\n7\n");
    plan.process.uid = 70000;
    fixture_expect_failure(&plan, "cannot give the standard streams to user 70000");
    fixture_shell(&plan, "umount /run/source");
}

static void test_overlay(void **state) {
    (void)state;
    fixture_plan(&plan, "touch /new && ls / | tr '\\n' ' '; stat -c %a:%u /; grep ' / ' /proc/mounts | cut -d' ' -f3");
    fixture_shell(&plan, "chown 3 . && chmod 751 .");
    plan.root.overlay_tmpfs = true;
    fixture_expect(&plan, "bin dev etc home new proc sys tmp 751:3\noverlay\n");
    fixture_shell(&plan, "test ! -e new");
    plan.root.overlay_tmpfs = false;
    plan.root.path = text("/run/no/such/root");
    fixture_expect_failure(
        &plan, "the container's root file system /run/no/such/root cannot be reached in the guest (error 2)");
}

static void test_propagation(void **state) {
    (void)state;
    fixture_plan(&plan, "grep -E ' / / | /shared ' /proc/self/mountinfo | sed -E 's/.* (\\/[a-z]*) rw.*relatime "
                        "?([a-z]*).* - .*/\\1 \\2/'");
    plan.root.propagation = MS_SHARED | MS_REC;
    fixture_mount(&plan, "tmpfs", "x", "/shared", 0, "")->propagation = MS_SHARED;
    fixture_run(&plan, &result);
    assert_non_null(strstr(result.out, "/shared shared"));
}

static int tests(void) {
    const struct CMUnitTest list[] = {
        cmocka_unit_test(test_flags),      cmocka_unit_test(test_copy_up),     cmocka_unit_test(test_links),
        cmocka_unit_test(test_restricted), cmocka_unit_test(test_devices),     cmocka_unit_test(test_user_namespace),
        cmocka_unit_test(test_overlay),    cmocka_unit_test(test_propagation),
    };
    return cmocka_run_group_tests_name("launch-mounts", list, NULL, NULL);
}

int main(void) {
    return fixture_main(tests);
}
