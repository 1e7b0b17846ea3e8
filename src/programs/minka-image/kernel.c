/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/kernel.h"

#include "programs/minka-image/decompress.h"
#include "shared/base/cleanup.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

/* Offsets in the first sectors of a bzImage: boot.rst, "The Real-Mode Kernel Header". */
enum {
    SECTOR = 512,
    HEADER_SETUP_SECTORS = 0x1f1,
    HEADER_BOOT_FLAG = 0x1fe,
    HEADER_MAGIC = 0x202,
    HEADER_PROTOCOL = 0x206,
    HEADER_KERNEL_VERSION = 0x20e,
    HEADER_PAYLOAD_OFFSET = 0x248,
    HEADER_END = 0x250,
    PROTOCOL_WITH_PAYLOAD = 0x208,
    XEN_ELFNOTE_PHYS32_ENTRY = 18, /* xen/include/public/elfnote.h */
};

void kernel_done(struct kernel *kernel) {
    buf_done(&kernel->vmlinux);
}

static struct reader at(const uint8_t *data, size_t length, uint64_t offset) {
    return offset <= length ? reader_of(data + offset, length - (size_t)offset) : reader_of(data, 0);
}

/* The release is the first word of a text like "6.1.0-56-cloud-amd64 (debian-kernel@…) #1 SMP …". */
static int take_release(struct reader text, char *ret) {
    size_t n = 0;
    while (n < text.length && n < IMAGE_NAME_MAX && text.data[n] > ' ' && text.data[n] < 0x7f)
        n++;
    if (n == 0 || n == IMAGE_NAME_MAX || n == text.length)
        return -EBADMSG;
    memcpy(ret, text.data, n);
    ret[n] = '\0';
    return image_release_is_valid(ret) ? 0 : -EBADMSG;
}

int bzimage_parse(const uint8_t *data, size_t length, const char *name, struct bzimage *ret, struct err *err) {
    struct bzimage image = {0};
    struct reader r = at(data, length, HEADER_BOOT_FLAG);
    uint16_t boot_flag = 0, protocol = 0, version_offset = 0;
    uint32_t magic = 0, payload_offset = 0, payload_length = 0;

    if (length < HEADER_END)
        return err_set(err, EBADMSG, "%s is no Linux kernel, it is too short", name);
    (void)reader_le16(&r, &boot_flag);
    r = at(data, length, HEADER_MAGIC);
    (void)reader_le32(&r, &magic);
    (void)reader_le16(&r, &protocol);
    if (boot_flag != 0xaa55 || magic != 0x53726448) /* "HdrS" */
        return err_set(err, EBADMSG, "%s is neither a bzImage nor an ELF file", name);
    if (protocol < PROTOCOL_WITH_PAYLOAD)
        return err_set(err, EBADMSG, "%s is a Linux kernel older than 2.6.26", name);
    r = at(data, length, HEADER_KERNEL_VERSION);
    (void)reader_le16(&r, &version_offset);
    if (version_offset == 0 || take_release(at(data, length, 0x200 + (uint64_t)version_offset), image.release) < 0)
        return err_set(err, EBADMSG, "%s does not say its version", name);

    r = at(data, length, HEADER_PAYLOAD_OFFSET);
    (void)reader_le32(&r, &payload_offset);
    (void)reader_le32(&r, &payload_length);
    unsigned setup_sectors = data[HEADER_SETUP_SECTORS] ? data[HEADER_SETUP_SECTORS] : 4; /* 0 means 4 */
    r = at(data, length, ((uint64_t)setup_sectors + 1) * SECTOR + payload_offset);
    if (payload_length < 8 || reader_bytes(&r, payload_length, &image.payload) < 0)
        return err_set(err, EBADMSG, "%s is cut short", name);

    /* The unpacked size is after the data; gzip, whose own last field it is, keeps it. scripts/Makefile.lib. */
    struct reader size = reader_of(image.payload + payload_length - 4, 4);
    (void)reader_le32(&size, &image.unpacked_length);
    image.payload_length = payload_length;
    if (packing_of(image.payload, payload_length) != PACKING_GZIP)
        image.payload_length -= 4;
    *ret = image;
    return 0;
}

static uint32_t padded(uint32_t n) {
    return (n + 3) & ~(uint32_t)3;
}

static bool has_pvh_note(struct reader notes) {
    uint32_t name_size, size, type;
    const uint8_t *name, *content;
    while (reader_le32(&notes, &name_size) == 0 && reader_le32(&notes, &size) == 0 && reader_le32(&notes, &type) == 0) {
        if (name_size > UINT32_MAX - 3 || size > UINT32_MAX - 3)
            return false;
        if (reader_bytes(&notes, padded(name_size), &name) < 0 || reader_bytes(&notes, padded(size), &content) < 0)
            return false;
        if (type == XEN_ELFNOTE_PHYS32_ENTRY && name_size == 4 && memcmp(name, "Xen", 4) == 0)
            return size == 4 || size == 8;
    }
    return false;
}

int vmlinux_check(const uint8_t *data, size_t length, const char *name, struct err *err) {
    Elf64_Ehdr header;
    if (length < sizeof header || memcmp(data, ELFMAG, SELFMAG) != 0)
        return err_set(err, EBADMSG, "the kernel in %s is no ELF file", name);
    memcpy(&header, data, sizeof header);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_machine != EM_X86_64 || header.e_phentsize != sizeof(Elf64_Phdr))
        return err_set(err, EBADMSG, "the kernel in %s is not one for x86-64", name);
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        struct reader r = at(data, length, header.e_phoff);
        const uint8_t *bytes;
        if (reader_skip(&r, i * sizeof segment) < 0 || reader_bytes(&r, sizeof segment, &bytes) < 0)
            break;
        memcpy(&segment, bytes, sizeof segment);
        if (segment.p_type != PT_NOTE)
            continue;
        r = at(data, length, segment.p_offset);
        if (segment.p_filesz <= r.length && has_pvh_note(reader_of(r.data, (size_t)segment.p_filesz)))
            return 0;
    }
    return err_set(err, ENOTSUP,
                   "the kernel in %s has no PVH entry (CONFIG_PVH), by which a virtual machine starts it: "
                   "take a kernel with it, such as Debian's linux-image-cloud-amd64",
                   name);
}

/* Of an uncompressed kernel: from its banner, "Linux version 6.1.0-56-cloud-amd64 (…". */
static int release_from_banner(const struct buf *vmlinux, char *ret) {
    static const char banner[] = "Linux version ";
    const uint8_t *from = vmlinux->data, *end = vmlinux->data + vmlinux->length;
    for (; from < end; from++) {
        from = memmem(from, (size_t)(end - from), banner, sizeof banner - 1);
        if (!from)
            break;
        size_t rest = (size_t)(end - from) - (sizeof banner - 1);
        if (take_release(reader_of(from + sizeof banner - 1, rest), ret) == 0)
            return 0;
    }
    return -EBADMSG;
}

int kernel_extract(const uint8_t *data, size_t length, const char *name, struct kernel *ret, struct err *err) {
    _cleanup_kernel_ struct kernel kernel = {0};
    struct bzimage image;
    int r;

    if (length >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0) {
        if (length > VMLINUX_MAX)
            return err_set(err, EFBIG, "%s is larger than %d bytes", name, VMLINUX_MAX);
        if (buf_append(&kernel.vmlinux, data, length) < 0)
            return err_set(err, ENOMEM, "out of memory reading %s", name);
        if (release_from_banner(&kernel.vmlinux, kernel.release) < 0)
            return err_set(err, EBADMSG, "%s does not say its version", name);
    } else {
        r = bzimage_parse(data, length, name, &image, err);
        if (r < 0)
            return r;
        if (image.unpacked_length > VMLINUX_MAX)
            return err_set(err, EFBIG, "the kernel in %s is larger than %d bytes", name, VMLINUX_MAX);
        r = decompress(image.payload, image.payload_length, (size_t)image.unpacked_length + 1, name, &kernel.vmlinux,
                       err);
        if (r < 0)
            return r;
        if (kernel.vmlinux.length != image.unpacked_length)
            return err_set(err, EBADMSG, "%s is damaged: its kernel has another size than it says", name);
        memcpy(kernel.release, image.release, sizeof kernel.release);
    }
    r = vmlinux_check(kernel.vmlinux.data, kernel.vmlinux.length, name, err);
    if (r < 0)
        return r;
    *ret = kernel;
    kernel = (struct kernel){0};
    return 0;
}
