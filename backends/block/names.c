/* File names of images: protocols in front of them, and names relative to an image. */
#include "backends/block/names.h"

#include <linux/major.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

size_t block_name_prefix(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

    return n && name[n] == ':' ? n : 0;
}

static const BlockDriver *protocol_called(const char *name, size_t n)
{
    for (int i = 0; block_drivers[i]; i++) {
        const char *const *p = block_drivers[i]->protocols;

        for (; p && *p; p++) {
            if (strlen(*p) == n && strncmp(*p, name, n) == 0) {
                return block_drivers[i];
            }
        }
    }
    return NULL;
}

const BlockDriver *block_name_protocol(const char *name, GError **error)
{
    size_t n = block_name_prefix(name);
    const BlockDriver *driver = n ? protocol_called(name, n) : NULL;
    struct stat st;

    if (driver && driver != &block_file) {
        return driver;
    }
    if (n && !driver && stat(name, &st) < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s': no protocol '%.*s'", name, (int)n, name);
        return NULL;
    }
    if (stat(block_name_path(name), &st) == 0 && S_ISBLK(st.st_mode)) {
        return block_driver_find(major(st.st_rdev) == SCSI_CDROM_MAJOR ? "host_cdrom" : "host_device");
    }
    return block_driver_find("file");
}

const char *block_name_path(const char *name)
{
    return g_str_has_prefix(name, "file:") ? name + 5 : name;
}

char *block_name_relative_to(const char *image_name, const char *name)
{
    g_autofree char *folder = NULL;
    struct stat st;

    if (*name == '/' || !image_name || !strchr(image_name, '/') ||
        (block_name_prefix(name) && stat(name, &st) < 0)) {
        return g_strdup(name);
    }
    folder = g_path_get_dirname(block_name_path(image_name));
    return g_build_filename(folder, name, NULL);
}
