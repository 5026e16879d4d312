/* myna-img info: what an image is, and what it sits on. */
#include "system/img/img.h"

#include "util/error.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Bytes that the image takes on the host; false if that cannot be seen. */
static bool actual_size(BlockImage *image, uint64_t *size)
{
    struct stat st;
    uint64_t offset;
    bool ok;
    int fd;

    if (image->driver->actual_size) {
        *size = image->driver->actual_size(image);
        return true;
    }
    while (image->file) {
        image = image->file;
    }
    if (!block_image_size(image) || !block_image_resolve(image, 0, 1, false, &fd, &offset)) {
        *size = 0;
        return !block_image_size(image);
    }
    ok = !fstat(fd, &st);
    block_image_resolved(image, 0, 1, false);
    *size = ok ? (uint64_t)st.st_blocks * 512 : 0;
    return ok;
}

static Json *snapshots_json(BlockImage *image)
{
    g_autoptr(GPtrArray) list = image->driver->snapshot_list ? image->driver->snapshot_list(image) : NULL;
    Json *array;

    if (!list || !list->len) {
        return NULL;
    }
    array = json_array();
    for (unsigned i = 0; i < list->len; i++) {
        const BlockSnapshot *s = list->pdata[i];
        Json *one = json_object();

        if (s->icount != UINT64_MAX) {
            json_set(one, "icount", json_uint(s->icount));
        }
        json_set_int(one, "vm-clock-nsec", s->vm_clock_ns % G_GINT64_CONSTANT(1000000000));
        json_set_string(one, "name", s->name);
        json_set_int(one, "date-sec", s->date_sec);
        json_set_int(one, "date-nsec", s->date_nsec);
        json_set_int(one, "vm-clock-sec", s->vm_clock_ns / G_GINT64_CONSTANT(1000000000));
        json_set_string(one, "id", s->id);
        json_set(one, "vm-state-size", json_uint(s->vm_state_size));
        json_append(array, one);
    }
    return array;
}

/* The members of "format-specific".data; "dirty-flag" among them belongs to the image's own. */
static Json *specific_json(BlockImage *image, bool *dirty)
{
    g_autoptr(Json) data = json_object();
    Json *specific;

    if (image->driver->info) {
        image->driver->info(image, data);
    }
    *dirty = json_member_bool(data, "dirty-flag", false);
    json_free(json_remove(data, "dirty-flag"));
    if (!json_count(data)) {
        return NULL;
    }
    specific = json_object();
    json_set_string(specific, "type", image->driver->name);
    json_set(specific, "data", g_steal_pointer(&data));
    return specific;
}

static Json *image_json(BlockImage *image, const char *file)
{
    Json *json = json_object();
    bool dirty;
    Json *snapshots = snapshots_json(image), *specific = specific_json(image, &dirty);
    uint64_t size;

    if (image->backing_name && image->backing_format) {
        json_set_string(json, "backing-filename-format", image->backing_format);
    }
    if (snapshots) {
        json_set(json, "snapshots", snapshots);
    }
    json_set(json, "virtual-size", json_uint(block_image_size(image)));
    json_set_string(json, "filename", file);
    if (image->cluster_size) {
        json_set_int(json, "cluster-size", image->cluster_size);
    }
    if (image->encrypted) {
        json_set_bool(json, "encrypted", true);
    }
    json_set_string(json, "format", image->driver->name);
    if (actual_size(image, &size)) {
        json_set(json, "actual-size", json_uint(size));
    }
    if (specific) {
        json_set(json, "format-specific", specific);
    }
    if (image->backing_name) {
        g_autofree char *full = block_name_relative_to(file, image->backing_name);

        json_set_string(json, "full-backing-filename", full);
        json_set_string(json, "backing-filename", image->backing_name);
    }
    json_set_bool(json, "dirty-flag", dirty);
    return json;
}

/* "compression-type" reads "compression type". */
static void print_value(const char *name, const Json *value, int indent)
{
    g_autofree char *label = g_strdup(name);

    g_strdelimit(label, "-_", ' ');
    printf("%*s%s:", indent, "", label);
    switch (json_kind(value)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        printf("\n");
        for (unsigned i = 0; i < json_count(value); i++) {
            g_autofree char *index = g_strdup_printf("[%u]", i);
            const char *member = json_kind(value) == JSON_OBJECT ? json_name_at(value, i) : index;

            print_value(member, json_at(value, i), indent + 4);
        }
        break;
    case JSON_STRING:
        printf(" %s\n", json_get_string(value));
        break;
    default: {
        g_autofree char *text = json_write(value, false);

        printf(" %s\n", text);
    }
    }
}

static void print_human(BlockImage *image, const Json *json)
{
    const Json *specific = json_get(json_get(json, "format-specific"), "data");
    const char *backing = json_member_string(json, "backing-filename");
    g_autofree char *virtual = img_human_size(block_image_size(image));

    printf("image: %s\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\n", json_member_string(json, "filename"),
           image->driver->name, virtual, block_image_size(image));
    if (json_get(json, "actual-size")) {
        g_autofree char *actual = img_human_size(json_get_uint(json_get(json, "actual-size"), 0));

        printf("disk size: %s\n", actual);
    } else {
        printf("disk size: unavailable\n");
    }
    if (image->encrypted) {
        printf("encrypted: yes\n");
    }
    if (image->cluster_size) {
        printf("cluster_size: %u\n", image->cluster_size);
    }
    if (json_member_bool(json, "dirty-flag", false)) {
        printf("cleanly shut down: no\n");
    }
    if (backing) {
        const char *full = json_member_string(json, "full-backing-filename");

        printf("backing file: %s", backing);
        if (strcmp(full, backing)) {
            printf(" (actual path: %s)", full);
        }
        printf("\n");
        if (image->backing_format) {
            printf("backing file format: %s\n", image->backing_format);
        }
    }
    img_print_snapshots(image, "");
    if (specific) {
        printf("Format specific information:\n");
        for (unsigned i = 0; i < json_count(specific); i++) {
            print_value(json_name_at(specific, i), json_at(specific, i), 4);
        }
    }
}

static BlockImage *open_layer(const ImgArgs *args, const char *file, const char *format, bool top)
{
    unsigned flags = BLOCK_OPEN_READONLY | BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_NO_IO;

    return top ? img_open_args(args, file, flags)
               : img_open(file, format, false, flags | (img_has(args, 'U') ? BLOCK_OPEN_NO_LOCK : 0));
}

/* Describes the image and, with --backing-chain, what is below it. */
static int describe(const ImgArgs *args, bool as_json, Json *array)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *file = g_strdup(args->files[0]), *format = NULL;
    bool whole = img_has(args, IMG_OPT_BACKING_CHAIN);

    for (bool top = true; file; top = false) {
        BlockImage *image;
        Json *json;
        char *next;

        if (!g_hash_table_add(seen, g_strdup(file))) {
            img_error("Backing file '%s' creates an infinite loop.", file);
            return 1;
        }
        image = open_layer(args, file, format, top);
        if (!image) {
            return 1;
        }
        json = image_json(image, top && img_has(args, IMG_OPT_IMAGE_OPTS) && image->name ? image->name : file);
        if (!as_json) {
            if (!top) {
                printf("\n");
            }
            print_human(image, json);
        }
        json_append(array, json);
        next = whole && image->backing_name ? block_name_relative_to(file, image->backing_name) : NULL;
        g_free(format);
        format = g_strdup(image->backing_format);
        g_free(file);
        file = next;
        block_image_close(image);
    }
    return 0;
}

int img_info(ImgArgs *args)
{
    g_autoptr(Json) array = json_array();
    bool as_json;

    if (!img_parse_output(args, &as_json) || describe(args, as_json, array)) {
        return 1;
    }
    if (as_json) {
        bool whole = img_has(args, IMG_OPT_BACKING_CHAIN);
        g_autofree char *text = json_write(whole ? array : json_at(array, 0), true);

        printf("%s\n", text);
    }
    return 0;
}
