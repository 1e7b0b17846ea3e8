/* SPDX-License-Identifier: Apache-2.0 */
/* Guest images: the manifest, finding one, and the parts of the builder. */
#include "facts/image/image.h"
#include "minka-build.h"
#include "programs/minka-image/build.h"
#include "programs/minka-image/decompress.h"
#include "programs/minka-image/digest.h"
#include "programs/minka-image/modules.h"
#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"
#include "shared/rpc/version.h"

#include <elf.h>
#include <fcntl.h>
#include <ftw.h>
#include <lz4.h>
#include <lzma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <zlib.h>
#include <zstd.h>
/* after the above */
#include <cmocka.h>

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define REST                                                                                                           \
    "groups=blk,console,mmio\nagent_sha256=" DIGEST "\nvmlinux_sha256=" DIGEST "\ninitrd_sha256=" DIGEST               \
    "\ninputs_sha256=" DIGEST "\n"
#define MANIFEST "version=0.1.0\nprotocol=1\nkernel=6.1.0-56-cloud-amd64\n" REST

/* ---- a directory for each test ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_directory(void **state) {
    char *path = strdup("/tmp/minka-image-test-XXXXXX");
    *state = mkdtemp(path);
    return *state ? 0 : -1;
}

static int remove_directory(void **state) {
    int r = nftw(*state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return r;
}

static void put_file(const char *dir, const char *name, const void *data, size_t length) {
    _cleanup_free_ char *path = text_format("%s/%s", dir, name);
    _cleanup_free_ char *parent = strdup(path);
    *strrchr(parent, '/') = '\0';
    assert_int_equal(mkdir_parents(AT_FDCWD, parent, 0755), 0);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, data, length), 0);
}

static void put_image(const char *dir, const char *release, const char *protocol) {
    _cleanup_free_ char *manifest = text_format("version=0.0.9\nprotocol=%s\nkernel=%s\n" REST, protocol, release);
    static const char *const files[] = {"manifest", "vmlinux", "initrd"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *name = text_format("%s/%s", release, files[i]);
        put_file(dir, name, manifest, strlen(manifest));
    }
}

/* ---- manifest ---- */

static void manifest_is_read(void **state) {
    (void)state;
    struct image_manifest m;
    struct err err = {0};
    assert_int_equal(image_manifest_parse(MANIFEST, strlen(MANIFEST), "m", &m, &err), 0);
    assert_string_equal(m.version, "0.1.0");
    assert_int_equal(m.protocol, 1);
    assert_string_equal(m.kernel, "6.1.0-56-cloud-amd64");
    assert_string_equal(m.agent_sha256, DIGEST);
    assert_true(image_has_group(&m, "blk"));
    assert_true(image_has_group(&m, "mmio"));
    assert_false(image_has_group(&m, "mmi"));
    assert_false(image_has_group(&m, ""));
    static const char later[] = "# a comment\nsome_later_key=x\n" MANIFEST;
    assert_int_equal(image_manifest_parse(later, strlen(later), "m", &m, &err), 0);
}

static void manifest_is_strict(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "version=0.1.0\n",
        "version=0.1.0\nnonsense\n",
        "kernel=x\n" MANIFEST,
        "version=0.1.0\nprotocol=0\nkernel=a\n" REST,
        "version=0.1.0\nprotocol=4294967296\nkernel=a\n" REST,
        "version=0.1.0\nprotocol=-1\nkernel=a\n" REST,
        "version=0.1.0\nprotocol=1\nkernel=../../etc\n" REST,
        "version=0.1.0\nprotocol=1\nkernel=\n" REST,
        "version=\nprotocol=1\nkernel=a\n" REST,
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct image_manifest m;
        struct err err = {0};
        assert_int_equal(image_manifest_parse(bad[i], strlen(bad[i]), "m", &m, &err), -EBADMSG);
        assert_true(text_has_prefix(err.text, "m:"));
    }
    struct image_manifest m;
    assert_int_equal(image_manifest_parse("a=b\0c\n", 6, "m", &m, NULL), -EBADMSG);
}

/* ---- finding ---- */

static void releases_are_ordered(void **state) {
    (void)state;
    assert_true(image_compare_releases("6.1.0-10-amd64", "6.1.0-9-amd64") > 0);
    assert_true(image_compare_releases("6.1.0-9-cloud-amd64", "6.12.1-amd64") > 0);
    assert_true(image_compare_releases("6.12.1+deb13-cloud-amd64", "6.1.0-56-cloud-amd64") > 0);
    assert_int_equal(image_compare_releases("6.1.0", "6.1.0"), 0);
    assert_true(image_release_is_valid("6.12.117+deb13-cloud-amd64"));
    assert_false(image_release_is_valid("."));
    assert_false(image_release_is_valid(".."));
    assert_false(image_release_is_valid(""));
    assert_false(image_release_is_valid("a/b"));
}

static void images_are_found(void **state) {
    const char *dir = *state;
    _cleanup_image_ struct image image = {0}, other = {0};
    struct err err = {0};
    assert_int_equal(image_find(dir, NULL, &image, &err), -ENOENT);
    _cleanup_free_ char *none = text_format("no guest image in %s: run `minka image build`", dir);
    assert_string_equal(err.text, none);
    assert_int_equal(image_find("/nowhere/at/all", NULL, &image, &err), -ENOENT);
    assert_string_equal(err.text, "no guest image in /nowhere/at/all: run `minka image build`");

    put_image(dir, "6.12.1-amd64", "1");
    put_image(dir, "6.1.0-9-cloud-amd64", "1");
    put_image(dir, "6.1.0-10-cloud-amd64", "1");
    put_file(dir, ".build-1/manifest", "", 0);
    put_file(dir, "lost+found/x", "", 0);
    assert_int_equal(image_find(dir, NULL, &image, &err), 0);
    assert_string_equal(image.manifest.kernel, "6.1.0-10-cloud-amd64");
    _cleanup_free_ char *initrd = text_format("%s/6.1.0-10-cloud-amd64/initrd", dir);
    assert_string_equal(image.initrd, initrd);
    assert_int_equal(image_find(dir, "6.12.1-amd64", &other, &err), 0);
    assert_string_equal(other.manifest.kernel, "6.12.1-amd64");
    assert_int_equal(image_find(dir, "5.0", &other, &err), -ENOENT);
    assert_non_null(strstr(err.text, "minka image build --kernel 5.0"));
    assert_int_equal(image_find(dir, "../x", &other, &err), -ENOENT);

    struct image *images;
    size_t count;
    assert_int_equal(image_list(dir, &images, &count, &err), 0);
    assert_int_equal(count, 3);
    assert_string_equal(images[2].manifest.kernel, "6.12.1-amd64");
    image_list_free(images, count);
}

static void broken_images_are_errors(void **state) {
    const char *dir = *state;
    _cleanup_image_ struct image image = {0};
    struct err err = {0};
    put_image(dir, "6.1.0-9-cloud-amd64", "1");
    put_file(dir, "6.1.0-10-cloud-amd64/manifest", MANIFEST, strlen(MANIFEST)); /* of another kernel */
    assert_int_equal(image_find(dir, NULL, &image, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "minka image build"));
    put_file(dir, "6.1.0-10-cloud-amd64/manifest", "junk", 4);
    assert_int_equal(image_find(dir, NULL, &image, &err), -EBADMSG);
    _cleanup_free_ char *vmlinux = text_format("%s/6.1.0-9-cloud-amd64/vmlinux", dir);
    assert_int_equal(unlink(vmlinux), 0);
    assert_int_equal(image_find(dir, "6.1.0-9-cloud-amd64", &image, &err), -EBADMSG);
}

static void protocol_is_checked(void **state) {
    const char *dir = *state;
    _cleanup_image_ struct image image = {0};
    struct err err = {0};
    put_image(dir, "6.1.0", "4000000000");
    assert_int_equal(image_find(dir, NULL, &image, &err), 0);
    assert_int_equal(image_check(&image, &err), -EPROTO);
    assert_non_null(strstr(err.text, "was built by minka 0.0.9 (protocol 4000000000)"));
    assert_non_null(strstr(err.text, "run `minka image build`"));
    image.manifest.protocol = AGENT_PROTOCOL;
    assert_int_equal(image_check(&image, &err), 0);
}

/* ---- the archive ---- */

static void cpio_is_canonical(void **state) {
    (void)state;
    struct err err = {0};
    _cleanup_buf_ struct buf one = {0}, two = {0};
    for (int turn = 0; turn < 2; turn++) {
        _cleanup_cpio_ struct cpio cpio = {0};
        _cleanup_buf_ struct buf data = {0};
        assert_int_equal(buf_append_string(&data, "hello"), 0);
        if (turn == 1)
            assert_int_equal(cpio_add(&cpio, "init", S_IFREG | 0755, 0, &data, &err), 0);
        assert_int_equal(cpio_add(&cpio, "dev/console", S_IFCHR | 0600, makedev(5, 1), NULL, &err), 0);
        if (turn == 0)
            assert_int_equal(cpio_add(&cpio, "init", S_IFREG | 0755, 0, &data, &err), 0);
        assert_int_equal(cpio_add(&cpio, "init", S_IFREG | 0755, 0, NULL, &err), -EEXIST);
        assert_int_equal(cpio_write(&cpio, 77, turn ? &two : &one, &err), 0);
    }
    assert_int_equal(one.length, 512);
    assert_int_equal(two.length, one.length);
    assert_memory_equal(one.data, two.data, one.length);
    static const char first[] = "070701"
                                "00000001"
                                "000041ED"
                                "00000000"
                                "00000000"
                                "00000002"
                                "0000004D"
                                "00000000"
                                "00000000"
                                "00000000"
                                "00000000"
                                "00000000"
                                "00000004"
                                "00000000"
                                "dev\0\0\0"
                                "070701"
                                "00000002"
                                "00002180"
                                "00000000"
                                "00000000"
                                "00000001"
                                "0000004D"
                                "00000000"
                                "00000000"
                                "00000000"
                                "00000005"
                                "00000001"
                                "0000000C"
                                "00000000"
                                "dev/console";
    assert_memory_equal(one.data, first, sizeof first);
}

/* ---- modules ---- */

static const char dep[] = "kernel/drivers/virtio/virtio_ring.ko.xz:\n"
                          "kernel/drivers/virtio/virtio.ko.xz: kernel/drivers/virtio/virtio_ring.ko.xz\n"
                          "kernel/drivers/virtio/virtio_mmio.ko.xz: kernel/drivers/virtio/virtio.ko.xz "
                          "kernel/drivers/virtio/virtio_ring.ko.xz\n"
                          "kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio.ko.xz "
                          "kernel/drivers/virtio/virtio_ring.ko.xz\n"
                          "kernel/x/virtio_mmio_other.ko:\n";
static const char builtin[] = "kernel/fs/fuse/fuse.ko\nkernel/fs/fuse/virtiofs.ko\n";

static void modules_are_ordered(void **state) {
    (void)state;
    static const struct module_group groups[] = {{"ext4", false, {"ext4"}},
                                                 {"half", false, {"virtio_mmio_other", "absent"}},
                                                 {"mmio", true, {"?crc", "virtio_mmio"}},
                                                 {"rng", false, {"virtio_rng"}},
                                                 {"virtiofs", true, {"virtiofs"}}};
    _cleanup_module_set_ struct module_set set = {0};
    struct err err = {0};
    assert_int_equal(modules_resolve(dep, builtin, "6.1", groups, ARRAY_SIZE(groups), &set, &err), 0);
    assert_string_equal(buf_string(&set.list), "mmio virtio_ring.ko virtio.ko virtio_mmio.ko\n"
                                               "rng virtio_ring.ko virtio.ko virtio-rng.ko\n"
                                               "virtiofs\n");
    assert_string_equal(buf_string(&set.groups), "mmio,rng,virtiofs");
    assert_string_equal(buf_string(&set.notes), "kernel 6.1 has no module ext4: guests will be without ext4\n"
                                                "kernel 6.1 has no module absent: guests will be without half\n");
    assert_int_equal(set.count, 4);
    assert_string_equal(set.paths[0], "kernel/drivers/virtio/virtio_ring.ko.xz");
}

static void missing_modules_are_named(void **state) {
    (void)state;
    static const struct module_group groups[] = {{"console", true, {"virtio_console"}}};
    _cleanup_module_set_ struct module_set set = {0};
    struct err err = {0};
    assert_int_equal(modules_resolve(dep, builtin, "6.1", groups, 1, &set, &err), -ENOENT);
    assert_non_null(strstr(err.text, "virtio_console"));
    static const struct module_group mmio[] = {{"mmio", true, {"m"}}};
    assert_int_equal(modules_resolve("kernel/m.ko: ../../../etc/shadow.ko\n", "", "6.1", mmio, 1, &set, &err),
                     -EBADMSG);
    assert_int_equal(modules_resolve("kernel/m.ko: /etc/shadow.ko\n", "", "6.1", mmio, 1, &set, &err), -EBADMSG);
    assert_int_equal(modules_resolve("kernel/m.ko: shadow\n", "", "6.1", mmio, 1, &set, &err), -EBADMSG);
}

/* ---- unpacking ---- */

static const char words[] = "It was the best of times, it was the worst of times, it was the age of wisdom";

static size_t pack(enum packing packing, uint8_t *out, size_t room) {
    size_t length = 0;
    const uint8_t *in = (const uint8_t *)words;
    lzma_options_lzma options;
    lzma_stream stream = LZMA_STREAM_INIT;
    z_stream z = {
        .next_in = (Bytef *)(uintptr_t)in, .avail_in = sizeof words, .next_out = out, .avail_out = (uInt)room};
    switch (packing) {
    case PACKING_GZIP:
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        (void)deflateEnd(&z);
        return room - z.avail_out;
    case PACKING_XZ:
        assert_int_equal(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, in, sizeof words, out, &length, room),
                         LZMA_OK);
        return length;
    case PACKING_LZMA:
        assert_false(lzma_lzma_preset(&options, 1));
        assert_int_equal(lzma_alone_encoder(&stream, &options), LZMA_OK);
        stream.next_in = in;
        stream.avail_in = sizeof words;
        stream.next_out = out;
        stream.avail_out = room;
        assert_int_equal(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
        lzma_end(&stream);
        return room - stream.avail_out;
    case PACKING_ZSTD:
        return ZSTD_compress(out, room, words, sizeof words, 3);
    case PACKING_LZ4: {
        static const uint8_t magic[4] = {0x02, 0x21, 0x4c, 0x18};
        int n = LZ4_compress_default(words, (char *)out + 8, sizeof words, (int)room - 8);
        memcpy(out, magic, 4);
        out[4] = (uint8_t)n;
        out[5] = out[6] = out[7] = 0;
        return 8 + (size_t)n;
    }
    case PACKING_NONE:
        break;
    }
    memcpy(out, words, sizeof words);
    return sizeof words;
}

static void every_packing_is_unpacked(void **state) {
    (void)state;
    for (enum packing packing = PACKING_NONE; packing <= PACKING_LZ4; packing++) {
        uint8_t packed[512];
        struct err err = {0};
        size_t length = pack(packing, packed, sizeof packed);
        _cleanup_buf_ struct buf out = {0}, small = {0};
        assert_int_equal(packing_of(packed, length), packing);
        assert_int_equal(decompress(packed, length, 4096, "x", &out, &err), 0);
        assert_int_equal(out.length, sizeof words);
        assert_memory_equal(out.data, words, sizeof words);
        assert_true(decompress(packed, length, 8, "x", &small, &err) < 0);
        /* Cut short anywhere it is an error, or (nothing has an end mark there) less text; never a crash. */
        for (size_t cut = 0; cut < length; cut++) {
            _cleanup_buf_ struct buf some = {0};
            int r = decompress(packed, cut, 4096, "x", &some, &err);
            assert_true(r < 0 || some.length < sizeof words || packing == PACKING_NONE);
        }
    }
}

/* ---- the kernel ---- */

/* A small ELF with a PVH note, as an uncompressed kernel. */
static size_t make_vmlinux(uint8_t *out, uint32_t note_type) {
    Elf64_Ehdr header = {.e_type = ET_EXEC,
                         .e_machine = EM_X86_64,
                         .e_phoff = sizeof header,
                         .e_phnum = 1,
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_version = EV_CURRENT,
                         .e_ehsize = sizeof header,
                         .e_shentsize = sizeof(Elf64_Shdr)};
    Elf64_Phdr segment = {.p_type = PT_NOTE, .p_offset = sizeof header + sizeof segment, .p_filesz = 20};
    const uint32_t note[] = {4, 4, note_type, 0x006e6558 /* "Xen" */, 0x1000000};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    memcpy(out, &header, sizeof header);
    memcpy(out + sizeof header, &segment, sizeof segment);
    memcpy(out + segment.p_offset, note, sizeof note);
    static const char banner[] = "Linux version %s\nLinux version 6.9-test (me@here) #1";
    memcpy(out + segment.p_offset + sizeof note, banner, sizeof banner);
    /* objcopy takes nothing without a section. */
    static const char names[] = "\0.shstrtab\0.data";
    const size_t at = 512, table = 544;
    const Elf64_Shdr sections[3] = {
        [1] = {.sh_name = 1, .sh_type = SHT_STRTAB, .sh_offset = at, .sh_size = sizeof names, .sh_addralign = 1},
        [2] = {.sh_name = 11, .sh_type = SHT_PROGBITS, .sh_offset = at, .sh_size = sizeof names, .sh_addralign = 1}};
    memset(out + segment.p_offset + sizeof note + sizeof banner, 0,
           table - (segment.p_offset + sizeof note + sizeof banner));
    memcpy(out + at, names, sizeof names);
    memcpy(out + table, sections, sizeof sections);
    header.e_shoff = table;
    header.e_shnum = 3;
    header.e_shstrndx = 1;
    memcpy(out, &header, sizeof header);
    return table + sizeof sections;
}

static size_t make_bzimage(uint8_t *out, size_t room, const uint8_t *payload, size_t length, uint32_t unpacked) {
    memset(out, 0, room);
    out[0x1f1] = 1;
    memcpy(out + 0x1fe, "\x55\xaaxxHdrS\x0f\x02", 10);
    memcpy(out + 0x20e, "\x00\x01", 2); /* the version is at 0x200 + 0x100 */
    memcpy(out + 0x300, "6.1.0-56-cloud-amd64 (x) #1", 28);
    const uint32_t offset = 16, total = (uint32_t)length + 4;
    memcpy(out + 0x248, &offset, 4);
    memcpy(out + 0x24c, &total, 4);
    memcpy(out + 1024 + 16, payload, length);
    memcpy(out + 1024 + 16 + length, &unpacked, 4);
    return 1024 + 16 + total;
}

static void kernels_are_extracted(void **state) {
    (void)state;
    uint8_t elf[1024], packed[2048], image[4096];
    struct err err = {0};
    size_t elf_length = make_vmlinux(elf, 18);
    size_t packed_length = ZSTD_compress(packed, sizeof packed, elf, elf_length, 3);
    size_t length = make_bzimage(image, sizeof image, packed, packed_length, (uint32_t)elf_length);
    _cleanup_kernel_ struct kernel kernel = {0}, plain = {0}, none = {0};
    assert_int_equal(kernel_extract(image, length, "k", &kernel, &err), 0);
    assert_string_equal(kernel.release, "6.1.0-56-cloud-amd64");
    assert_int_equal(kernel.vmlinux.length, elf_length);
    assert_memory_equal(kernel.vmlinux.data, elf, elf_length);
    assert_int_equal(kernel_extract(elf, elf_length, "k", &plain, &err), 0);
    assert_string_equal(plain.release, "6.9-test");

    for (size_t cut = 0; cut < length; cut++)
        assert_true(kernel_extract(image, cut, "k", &none, &err) < 0);
    length = make_bzimage(image, sizeof image, packed, packed_length, (uint32_t)elf_length + 1);
    assert_int_equal(kernel_extract(image, length, "k", &none, &err), -EBADMSG);
    length = make_bzimage(image, sizeof image, packed, packed_length, UINT32_MAX);
    assert_int_equal(kernel_extract(image, length, "k", &none, &err), -EFBIG);
    memset(image + 0x248, 0xff, 8); /* payload far outside */
    assert_int_equal(kernel_extract(image, length, "k", &none, &err), -EBADMSG);

    elf_length = make_vmlinux(elf, 17);
    assert_int_equal(kernel_extract(elf, elf_length, "k", &none, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "PVH"));
    elf[EI_CLASS] = ELFCLASS32;
    assert_int_equal(kernel_extract(elf, elf_length, "k", &none, &err), -EBADMSG);
}

static void digests_are_sha256(void **state) {
    (void)state;
    char digest[IMAGE_DIGEST_SIZE];
    digest_of("abc", 3, digest); /* FIPS 180-2, appendix B.1 */
    assert_string_equal(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* ---- the whole ---- */

static char *content(const char *dir, const char *name, size_t *ret_length) {
    _cleanup_free_ char *path = text_format("%s/%s", dir, name);
    char *data = NULL;
    struct err err = {0};
    assert_int_equal(read_file(AT_FDCWD, path, 1 << 20, &data, ret_length, &err), 0);
    return data;
}

static void put_inputs(const char *dir) {
    uint8_t elf[1024], packed[2048], image[4096];
    size_t elf_length = make_vmlinux(elf, 18);
    size_t packed_length = ZSTD_compress(packed, sizeof packed, elf, elf_length, 3);
    put_file(dir, "in/vmlinuz", image, make_bzimage(image, sizeof image, packed, packed_length, (uint32_t)elf_length));
    put_file(dir, "in/agent", elf, elf_length);
    static const char all[] = "kernel/virtio_mmio.ko\nkernel/virtio_console.ko\nkernel/virtiofs.ko\n"
                              "kernel/virtio_net.ko\n";
    put_file(dir, "in/modules/modules.builtin", all, sizeof all - 1);
    put_file(dir, "in/modules/modules.dep", "", 0);
}

static void images_are_reproducible(void **state) {
    const char *dir = *state;
    static const char *const files[] = {"vmlinux", "initrd", "manifest"};
    static const char *const outs[] = {"one", "two"};
    struct err err = {0};
    put_inputs(dir);
    _cleanup_free_ char *kernel = text_format("%s/in/vmlinuz", dir), *modules = text_format("%s/in/modules", dir),
                        *agent = text_format("%s/in/agent", dir);
    for (size_t i = 0; i < 2; i++) {
        _cleanup_free_ char *out = text_format("%s/%s/images", dir, outs[i]);
        struct build_request request = {.kernel = kernel, .modules = modules, .agent = agent, .image_dir = out};
        char release[IMAGE_NAME_MAX];
        mode_t before = umask(i == 0 ? 0 : 077);
        for (int again = 0; again < 2; again++) { /* the second one takes the place of the first */
            if (build_image(&request, release, &err) < 0)
                fail_msg("%s", err.text);
        }
        (void)umask(before);
        assert_string_equal(release, "6.1.0-56-cloud-amd64");
        _cleanup_image_ struct image image = {0};
        assert_int_equal(image_find(out, NULL, &image, &err), 0);
        assert_int_equal(image_check(&image, &err), 0);
        struct stat st;
        assert_int_equal(stat(image.directory, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_int_equal(stat(image.initrd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        _cleanup_closedir_ DIR *left = opendir(out);
        for (struct dirent *e; (e = readdir(left));)
            assert_false(text_has_prefix(e->d_name, ".build"));
    }
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *a = text_format("one/images/6.1.0-56-cloud-amd64/%s", files[i]);
        _cleanup_free_ char *b = text_format("two/images/6.1.0-56-cloud-amd64/%s", files[i]);
        size_t a_length, b_length;
        _cleanup_free_ char *a_data = content(dir, a, &a_length), *b_data = content(dir, b, &b_length);
        assert_int_equal(a_length, b_length);
        assert_memory_equal(a_data, b_data, a_length);
    }
    _cleanup_free_ char *out = text_format("%s/one/images", dir);
    assert_int_equal(build_remove(out, "6.1.0-56-cloud-amd64", &err), 0);
    assert_int_equal(build_remove(out, "6.1.0-56-cloud-amd64", &err), -ENOENT);
    assert_int_equal(build_remove(out, "../two", &err), -EINVAL);
}

static void failed_builds_leave_the_old_image(void **state) {
    const char *dir = *state;
    struct err err = {0};
    char release[IMAGE_NAME_MAX];
    put_inputs(dir);
    _cleanup_free_ char *kernel = text_format("%s/in/vmlinuz", dir), *modules = text_format("%s/in/modules", dir),
                        *agent = text_format("%s/in/agent", dir), *out = text_format("%s/images", dir);
    struct build_request request = {.kernel = kernel, .modules = modules, .agent = agent, .image_dir = out};
    assert_int_equal(build_image(&request, release, &err), 0);
    put_file(dir, "in/modules/modules.builtin", "", 0);
    assert_int_equal(build_image(&request, release, &err), -ENOENT);
    assert_non_null(strstr(err.text, "virtio_console"));
    request.agent = "/bin/sh";
    assert_int_equal(build_image(&request, release, &err), -EINVAL);
    assert_non_null(strstr(err.text, "not linked statically"));
    struct image *images;
    size_t count;
    assert_int_equal(image_list(out, &images, &count, &err), 0);
    assert_int_equal(count, 1);
    image_list_free(images, count);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifest_is_read),
        cmocka_unit_test(manifest_is_strict),
        cmocka_unit_test(releases_are_ordered),
        cmocka_unit_test_setup_teardown(images_are_found, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(broken_images_are_errors, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(protocol_is_checked, make_directory, remove_directory),
        cmocka_unit_test(cpio_is_canonical),
        cmocka_unit_test(modules_are_ordered),
        cmocka_unit_test(missing_modules_are_named),
        cmocka_unit_test(every_packing_is_unpacked),
        cmocka_unit_test(kernels_are_extracted),
        cmocka_unit_test(digests_are_sha256),
        cmocka_unit_test_setup_teardown(images_are_reproducible, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(failed_builds_leave_the_old_image, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
