/* SPDX-License-Identifier: Apache-2.0 */
/* Which files make up the configuration. The messages use words of their own: podman reads errno's as the container's.
 */
#include "facts/config/config.h"
#include "minka-build.h"

#include "shared/base/cleanup.h"
#include "shared/base/fd.h"
#include "shared/base/text.h"

#include <fcntl.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20, DROP_INS_MAX = 1000 };

static int file_problem(const char *path, int code, struct err *err) {
    switch (code) {
    case ENOENT:
    case ENOTDIR:
        return err_set(err, code, "the configuration file %s does not exist", path);
    case EACCES:
    case EPERM:
        return err_set(err, code, "the configuration file %s may not be read by this user", path);
    case EFBIG:
        return err_set(err, code, "the configuration file %s is larger than 1 MiB", path);
    case EINVAL:
        return err_set(err, code, "the configuration file %s is not a regular file", path);
    case ENOMEM:
        return err_set(err, code, "not enough memory");
    default:
        return err_set(err, code, "the configuration file %s cannot be read: %s", path, strerror(code));
    }
}

static int apply_file(struct config *config, const char *path, struct err *err) {
    _cleanup_free_ char *text = NULL;
    size_t length;
    int r = read_file(AT_FDCWD, path, FILE_BYTES_MAX, &text, &length, NULL);
    return r < 0 ? file_problem(path, -r, err) : config_apply(config, text, length, path, err);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_drop_in(const char *name) {
    size_t length = strlen(name);
    return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".toml") == 0;
}

/* Names in byte order, whatever the locale. Returns the count. */
static int list_drop_ins(DIR *dir, char ***ret, struct err *err) {
    _cleanup_strv_ char **names = calloc(DROP_INS_MAX + 1, sizeof *names);
    if (!names)
        return err_set(err, ENOMEM, "not enough memory");
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!is_drop_in(entry->d_name))
            continue;
        if (count == DROP_INS_MAX)
            return err_set(err, E2BIG, "there are more than %d configuration files", DROP_INS_MAX);
        names[count] = strdup(entry->d_name);
        if (!names[count++])
            return err_set(err, ENOMEM, "not enough memory");
    }
    qsort(names, count, sizeof *names, compare_names);
    *ret = take_ptr(names);
    return (int)count;
}

static int apply_drop_ins(struct config *config, const char *file, struct err *err) {
    _cleanup_free_ char *path = text_format("%s.d", file);
    if (!path)
        return err_set(err, ENOMEM, "not enough memory");
    _cleanup_closedir_ DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT || errno == ENOTDIR ? 0 : file_problem(path, errno, err);
    _cleanup_strv_ char **names = NULL;
    int r = list_drop_ins(dir, &names, err);
    if (r < 0)
        return err_wrap(err, "%s", path);
    for (char **name = names; r >= 0 && *name; name++) {
        _cleanup_free_ char *drop_in = text_format("%s/%s", path, *name);
        r = drop_in ? apply_file(config, drop_in, err) : err_set(err, ENOMEM, "not enough memory");
    }
    return r < 0 ? r : 0;
}

static bool is_there(const char *path) {
    return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* The file, its drop-in directory, or both. */
static int apply_place(struct config *config, const char *file, struct err *err) {
    int r = is_there(file) ? apply_file(config, file, err) : 0;
    return r < 0 ? r : apply_drop_ins(config, file, err);
}

static int is_place(const char *file) {
    if (is_there(file))
        return 1;
    _cleanup_free_ char *drop_ins = text_format("%s.d", file);
    return drop_ins ? is_there(drop_ins) : -ENOMEM;
}

static int apply_first_place(struct config *config, const char *config_home, struct err *err) {
    _cleanup_free_ char *of_user = NULL;
    if (config_home && config_home[0] == '/') { /* the XDG specification: relative ones are to be ignored */
        of_user = text_format("%s/minka/configuration.toml", config_home);
        if (!of_user)
            return err_set(err, ENOMEM, "not enough memory");
    }
    const char *const places[] = {of_user, MINKA_SYSCONF_DIR "/minka/configuration.toml",
                                  MINKA_DATA_DIR "/configuration.toml"};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        int r = places[i] ? is_place(places[i]) : 0;
        if (r < 0)
            return err_set(err, ENOMEM, "not enough memory");
        if (r > 0)
            return apply_place(config, places[i], err);
    }
    return 0;
}

int config_load(const char *path, const char *config_home, struct config **ret, struct err *err) {
    _cleanup_config_ struct config *config = NULL;
    int r = config_default(&config, err);
    if (r < 0)
        return r;
    if (path) {
        r = apply_file(config, path, err);
        if (r >= 0)
            r = apply_drop_ins(config, path, err);
    } else
        r = apply_first_place(config, config_home, err);
    if (r < 0)
        return r;
    *ret = take_ptr(config);
    return 0;
}
