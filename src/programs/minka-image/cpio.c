/* SPDX-License-Identifier: Apache-2.0 */
#include "programs/minka-image/cpio.h"

#include "shared/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { ARCHIVE_PADDING = 512 };

void cpio_done(struct cpio *cpio) {
    for (size_t i = 0; i < cpio->count; i++) {
        free(cpio->entries[i].name);
        buf_done(&cpio->entries[i].data);
    }
    free(cpio->entries);
    *cpio = (struct cpio){0};
}

static const struct cpio_entry *find(const struct cpio *cpio, const char *name, size_t length) {
    for (size_t i = 0; i < cpio->count; i++)
        if (strncmp(cpio->entries[i].name, name, length) == 0 && cpio->entries[i].name[length] == '\0')
            return &cpio->entries[i];
    return NULL;
}

static int append(struct cpio *cpio, const char *name, size_t length, mode_t mode, dev_t device, struct buf *data,
                  struct err *err) {
    if (find(cpio, name, length))
        return err_set(err, EEXIST, "%.*s would be in the initrd twice", (int)length, name);
    struct cpio_entry *grown = reallocarray(cpio->entries, cpio->count + 1, sizeof *grown);
    if (!grown)
        return err_set(err, ENOMEM, "out of memory");
    cpio->entries = grown;
    struct cpio_entry *entry = &grown[cpio->count];
    *entry = (struct cpio_entry){.name = strndup(name, length), .mode = mode, .device = device};
    if (!entry->name)
        return err_set(err, ENOMEM, "out of memory");
    if (data) {
        entry->data = *data;
        *data = (struct buf){0};
    }
    cpio->count++;
    return 0;
}

int cpio_add(struct cpio *cpio, const char *name, mode_t mode, dev_t device, struct buf *data, struct err *err) {
    for (const char *slash = name; (slash = strchr(slash, '/')); slash++) {
        size_t length = (size_t)(slash - name);
        int r = find(cpio, name, length) ? 0 : append(cpio, name, length, S_IFDIR | 0755, 0, NULL, err);
        if (r < 0)
            return r;
    }
    return append(cpio, name, strlen(name), mode, device, data, err);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct cpio_entry *)a)->name, ((const struct cpio_entry *)b)->name);
}

static int pad(struct buf *out, size_t start, size_t to) {
    static const char zeros[ARCHIVE_PADDING];
    size_t over = (out->length - start) % to;
    return over ? buf_append(out, zeros, to - over) : 0;
}

static int write_entry(struct buf *out, size_t start, const struct cpio_entry *entry, size_t inode, uint32_t mtime) {
    unsigned links = S_ISDIR(entry->mode) ? 2 : 1;
    /* magic ino mode uid gid nlink mtime filesize major minor rmajor rminor namesize check, 8 hexadecimal digits each
     */
    int r = buf_append_format(out, "070701%08zX%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", inode,
                              (unsigned)entry->mode, 0u, 0u, links, mtime, entry->data.length, 0u, 0u,
                              major(entry->device), minor(entry->device), strlen(entry->name) + 1, 0u);
    if (r == 0)
        r = buf_append(out, entry->name, strlen(entry->name) + 1);
    if (r == 0)
        r = pad(out, start, 4);
    if (r == 0 && entry->data.length > 0)
        r = buf_append(out, entry->data.data, entry->data.length);
    return r < 0 ? r : pad(out, start, 4);
}

int cpio_write(struct cpio *cpio, uint32_t mtime, struct buf *ret, struct err *err) {
    char trailer[] = "TRAILER!!!";
    struct cpio_entry end = {.name = trailer};
    size_t start = ret->length;
    int r = 0;

    if (cpio->count > 0)
        qsort(cpio->entries, cpio->count, sizeof *cpio->entries, by_name);
    for (size_t i = 0; i < cpio->count && r == 0; i++) {
        if (cpio->entries[i].data.length > UINT32_MAX)
            return err_set(err, EFBIG, "%s is too large for an initrd", cpio->entries[i].name);
        r = write_entry(ret, start, &cpio->entries[i], i + 1, mtime);
    }
    if (r == 0)
        r = write_entry(ret, start, &end, 0, 0);
    if (r == 0)
        r = pad(ret, start, ARCHIVE_PADDING);
    return r < 0 ? err_set(err, ENOMEM, "out of memory writing the initrd") : 0;
}
