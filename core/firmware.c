/* Where firmware files are. */
#include "core/machine.h"

#include "config.h"

static char *in_folder(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    return g_file_test(path, G_FILE_TEST_IS_REGULAR) ? g_steal_pointer(&path) : NULL;
}

char *firmware_find(const char *name)
{
    static const char *const folders[] = {
        MYNA_BUILD_DATADIR,  MYNA_DATADIR,         "/usr/share/seabios",
        "/usr/share/qemu",   "/usr/share/vgabios", "/usr/lib/ipxe/qemu",
        "/usr/share/OVMF",   "/usr/share/ovmf",
    };
    const char *env = g_getenv("MYNA_FIRMWARE_PATH");
    g_auto(GStrv) extra = g_strsplit(env ? env : "", ":", -1);
    char *path = NULL;

    if (g_file_test(name, G_FILE_TEST_IS_REGULAR)) {
        return g_strdup(name);
    }
    if (machine_config.firmware_path) {
        path = in_folder(machine_config.firmware_path, name);
    }
    for (char **folder = extra; *folder && !path; folder++) {
        path = **folder ? in_folder(*folder, name) : NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(folders) && !path; i++) {
        path = in_folder(folders[i], name);
    }
    return path;
}
