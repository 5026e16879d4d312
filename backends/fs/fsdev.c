/* -fsdev and -virtfs: shared folders by id. */
#include "backends/fsdev.h"

#include "util/error.h"
#include "util/options.h"

#include <string.h>

static GPtrArray *devs;

FsDev *fsdev_find(const char *id)
{
    for (guint i = 0; devs && i < devs->len; i++) {
        FsDev *dev = devs->pdata[i];

        if (g_str_equal(dev->id, id)) {
            return dev;
        }
    }
    return NULL;
}

static bool pick(const Options *o, const char *key, const char *const *names, int *value, GError **error)
{
    const char *text = options_get(o, key);

    for (int i = 0; text && names[i]; i++) {
        if (g_str_equal(names[i], text)) {
            *value = i;
            return true;
        }
    }
    if (text) {
        g_autofree char *all = g_strjoinv(", ", (char **)names), *hint = options_hint(text, names);

        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s: there are %s%s", key, text, all, hint);
    }
    return !text;
}

static bool get_mode(const Options *o, const char *key, unsigned *mode, GError **error)
{
    const char *text = options_get(o, key);
    char *end;
    uint64_t value;

    if (!text) {
        return true;
    }
    value = g_ascii_strtoull(text, &end, 8);
    if (!*text || *end || value > 0777) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s is no mode as 0640", key, text);
        return false;
    }
    *mode = value;
    return true;
}

static bool add(const Options *o, const char *id, GError **error)
{
    static const char *const models[] = { "none", "passthrough", "mapped-xattr", "mapped-file", NULL };
    static const char *const multi[] = { "remap", "warn", "forbid", NULL };
    const char *kind = options_get(o, "fsdriver"), *path = options_get(o, "path");
    const char *model_text = options_get(o, "security_model"), *writeout = options_get(o, "writeout");
    FsDev dev = { .fmode = 0600, .dmode = 0700 };
    int model = -1, multidevs = FS_REMAP;

    if (g_strcmp0(kind, "local") != 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "no kind of shared folder '%s'; there is: local", kind ? kind : "");
        return false;
    }
    if (!id || !*id || !path) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s= is missing", path ? "id" : "path");
        return false;
    }
    if (fsdev_find(id)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "there is a shared folder '%s' already", id);
        return false;
    }
    if (g_strcmp0(model_text, "mapped") == 0) {
        model = FS_MAPPED_XATTR;
    } else if (!pick(o, "security_model", models, &model, error)) {
        return false;
    }
    if (model < 0) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "security_model= is missing: mapped-xattr keeps the guest's owners beside the files, none and "
                    "passthrough use the host's");
        return false;
    }
    if (writeout && !g_str_equal(writeout, "immediate")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "writeout=%s: there is: immediate", writeout);
        return false;
    }
    if (!pick(o, "multidevs", multi, &multidevs, error) || !get_mode(o, "fmode", &dev.fmode, error) ||
        !get_mode(o, "dmode", &dev.dmode, error) || !options_get_bool(o, "readonly", &dev.readonly, error)) {
        return false;
    }
    if (model < FS_MAPPED_XATTR && (options_has(o, "fmode") || options_has(o, "dmode"))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "fmode and dmode are of the mapped security models");
        return false;
    }
    dev.id = g_strdup(id);
    dev.path = g_strdup(path);
    dev.model = model;
    dev.multidevs = multidevs;
    dev.sync = writeout != NULL;
    if (!devs) {
        devs = g_ptr_array_new();
    }
    g_ptr_array_add(devs, g_memdup2(&dev, sizeof(dev)));
    return true;
}

bool fsdev_add(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "fsdriver", error);

    return o && add(o, options_get(o, "id"), error) && options_check_unknown(o, "-fsdev", error);
}

char *fsdev_add_virtfs(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "fsdriver", error);
    const char *tag = o ? options_get(o, "mount_tag") : NULL, *id = o ? options_get(o, "id") : NULL;
    g_auto(GStrv) parts = NULL;
    g_autofree char *escaped = NULL;

    if (!o) {
        return NULL;
    }
    if (!tag) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "mount_tag= is missing: the guest asks for the folder by it");
        return NULL;
    }
    if (!add(o, id ? id : tag, error) || !options_check_unknown(o, "-virtfs", error)) {
        return NULL;
    }
    parts = g_strsplit(tag, ",", -1);
    escaped = g_strjoinv(",,", parts);
    return id ? g_strdup_printf("virtio-9p-pci,fsdev=%s,mount_tag=%s", id, escaped)
              : g_strdup_printf("virtio-9p-pci,fsdev=%s,mount_tag=%s", escaped, escaped);
}
