/* The text that describes a VMDK image: its identity, its parent, and the files that it lies in. */
#include "backends/block/vmdk.h"

#include "util/error.h"
#include "util/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_EXTENTS 4096

static void clear_line(void *opaque)
{
    VmdkExtentLine *line = opaque;

    g_free(line->type_name);
    g_free(line->file);
}

void vmdk_descriptor_clear(VmdkDescriptor *d)
{
    g_free(d->create_type);
    g_free(d->parent);
    if (d->extents) {
        g_array_free(d->extents, TRUE);
    }
    *d = (VmdkDescriptor){ 0 };
}

/* The value behind `name=` or `name =`, without quotes; NULL: another line. Caller frees. */
static char *line_value(const char *line, const char *name)
{
    size_t length = strlen(name);
    g_autofree char *value = NULL;

    if (g_ascii_strncasecmp(line, name, length)) {
        return NULL;
    }
    line += length + strspn(line + length, " \t");
    if (*line != '=') {
        return NULL;
    }
    value = g_strstrip(g_strdup(line + 1));
    length = strlen(value);
    if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        return g_strndup(value + 1, length - 2);
    }
    return g_steal_pointer(&value);
}

static bool bad_line(GError **error, const char *name, const char *line)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s': the extent line '%s' is not understood", name, line);
    return false;
}

/* RW 4192256 SPARSE "name-s001.vmdk" [offset] */
static bool parse_extent(VmdkDescriptor *d, const char *line, const char *name, GError **error)
{
    char access[11], type[17];
    VmdkExtentLine extent = { 0 };
    const char *quote, *end;
    int used = 0;

    if (sscanf(line, "%10s %" G_GUINT64_FORMAT " %16s%n", access, &extent.sectors, type, &used) != 3 ||
        !extent.sectors || extent.sectors > INT64_MAX / VMDK_SECTOR || d->extents->len >= MAX_EXTENTS) {
        return bad_line(error, name, line);
    }
    if (!strcmp(access, "NOACCESS")) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s': an extent is marked NOACCESS", name);
        return false;
    }
    extent.readonly = strcmp(access, "RW");
    if (!strcmp(type, "FLAT") || !strcmp(type, "VMFS")) {
        extent.type = VMDK_FLAT;
    } else if (!strcmp(type, "SPARSE") || !strcmp(type, "VMFSSPARSE")) {
        extent.type = VMDK_SPARSE;
    } else if (!strcmp(type, "ZERO")) {
        extent.type = VMDK_ZERO;
    } else {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s': extents of type %s are not supported", name, type);
        return false;
    }
    quote = strchr(line + used, '"');
    end = quote ? strchr(quote + 1, '"') : NULL;
    if (extent.type != VMDK_ZERO && !end) {
        return bad_line(error, name, line);
    }
    if (extent.type == VMDK_FLAT && sscanf(end + 1, "%" G_GUINT64_FORMAT, &extent.offset) == 1 &&
        extent.offset > INT64_MAX / VMDK_SECTOR) {
        return bad_line(error, name, line);
    }
    extent.file = end ? g_strndup(quote + 1, end - quote - 1) : NULL;
    extent.type_name = g_strdup(type);
    g_array_append_val(d->extents, extent);
    return true;
}

static bool is_extent_line(const char *line)
{
    return g_str_has_prefix(line, "RW ") || g_str_has_prefix(line, "RDONLY ") || g_str_has_prefix(line, "NOACCESS ");
}

static bool parse_line(VmdkDescriptor *d, const char *text, const char *line, const char *name, GError **error)
{
    g_autofree char *cid = line_value(line, "CID");
    g_autofree char *parent_cid = line_value(line, "parentCID");
    g_autofree char *type = line_value(line, "createType");
    g_autofree char *parent = line_value(line, "parentFileNameHint");

    if (cid) {
        const char *equals = strchr(line, '=');

        d->cid = strtoul(cid, NULL, 16);
        /* Some programs write no leading zeros; it is changed in place, with as many digits as it has. */
        d->cid_digits = MIN(strspn(equals + 1, "0123456789abcdefABCDEF"), 8);
        d->cid_at = d->cid_digits ? equals + 1 - text : -1;
    } else if (parent_cid) {
        d->parent_cid = strtoul(parent_cid, NULL, 16);
    } else if (type) {
        g_free(d->create_type);
        d->create_type = g_steal_pointer(&type);
    } else if (parent) {
        g_free(d->parent);
        d->parent = g_steal_pointer(&parent);
    } else if (is_extent_line(line)) {
        return parse_extent(d, line, name, error);
    }
    return true;
}

bool vmdk_descriptor_parse(VmdkDescriptor *d, const char *text, const char *name, GError **error)
{
    g_autofree char *copy = g_strdup(text);
    char *line = copy;
    bool ok = true;

    *d = (VmdkDescriptor){ .parent_cid = (uint32_t)VMDK_NO_CID, .cid_at = -1 };
    d->extents = g_array_new(FALSE, FALSE, sizeof(VmdkExtentLine));
    g_array_set_clear_func(d->extents, clear_line);
    while (line && ok) {
        char *end = strchr(line, '\n');

        if (end) {
            *end = 0;
        }
        g_strchomp(line);
        ok = parse_line(d, copy, line, name, error);
        line = end ? end + 1 : NULL;
    }
    if (ok && !d->create_type) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s': the VMDK descriptor has no createType", name);
        ok = false;
    }
    if (!ok) {
        vmdk_descriptor_clear(d);
    }
    return ok;
}

char *vmdk_descriptor_write(const VmdkNew *what)
{
    unsigned heads = strcmp(what->adapter, "ide") ? 255 : 16;
    GString *text = g_string_new("# Disk DescriptorFile\nversion=1\n");

    g_string_append_printf(text, "CID=%08x\nparentCID=%08x\ncreateType=\"%s\"\n", g_random_int_range(1, INT32_MAX),
                           what->parent_cid, what->create_type);
    if (what->parent) {
        g_string_append_printf(text, "parentFileNameHint=\"%s\"\n", what->parent);
    }
    g_string_append_printf(text, "\n# Extent description\n%s\n# The Disk Data Base\n#DDB\n\n", what->extents->str);
    g_string_append_printf(text,
                           "ddb.virtualHWVersion = \"%s\"\nddb.geometry.cylinders = \"%" G_GUINT64_FORMAT "\"\n"
                           "ddb.geometry.heads = \"%u\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"%s\"\n"
                           "ddb.toolsVersion = \"%s\"\n",
                           what->hardware, what->sectors / (63 * heads), heads, what->adapter, what->tools);
    return g_string_free(text, FALSE);
}
