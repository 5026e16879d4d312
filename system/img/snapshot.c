/* myna-img snapshot: internal snapshots of an image. */
#include "system/img/img.h"

#include <stdio.h>
#include <time.h>

void img_print_snapshots(BlockImage *image, const char *indent)
{
    g_autoptr(GPtrArray) list = image->driver->snapshot_list ? image->driver->snapshot_list(image) : NULL;

    if (!list || !list->len) {
        return;
    }
    printf("%sSnapshot list:\n", indent);
    printf("%s%-10s%-17s%8s%20s%13s%11s\n", indent, "ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
    for (unsigned i = 0; i < list->len; i++) {
        const BlockSnapshot *s = list->pdata[i];
        g_autofree char *size = img_human_size(s->vm_state_size);
        g_autofree char *icount = s->icount == UINT64_MAX ? g_strdup("") : g_strdup_printf("%" PRIu64, s->icount);
        g_autofree char *clock = NULL;
        int64_t seconds = s->vm_clock_ns / G_GINT64_CONSTANT(1000000000);
        time_t when = s->date_sec;
        struct tm tm;
        char date[64];

        localtime_r(&when, &tm);
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        clock = g_strdup_printf("%02d:%02d:%02d.%03d", (int)(seconds / 3600), (int)(seconds / 60 % 60),
                                (int)(seconds % 60), (int)(s->vm_clock_ns / 1000000 % 1000));
        printf("%s%-9s %-16s %8s%20s%13s%11s\n", indent, s->id, s->name, size, date, clock, icount);
    }
}

static bool create_snapshot(BlockImage *image, const char *name, GError **error)
{
    gint64 now = g_get_real_time();
    BlockSnapshot snapshot = {
        .name = g_strdup(name),
        .disk_size = block_image_size(image),
        .date_sec = now / G_USEC_PER_SEC,
        .date_nsec = now % G_USEC_PER_SEC * 1000,
    };
    bool ok = image->driver->snapshot_create(image, &snapshot, error);

    g_free(snapshot.id);
    g_free(snapshot.name);
    return ok;
}

static int change_snapshot(BlockImage *image, int action, const char *name)
{
    const BlockDriver *driver = image->driver;
    GError *error = NULL;
    bool ok;

    if (!driver->snapshot_create) {
        img_error("Image format '%s' does not support snapshots; use qcow2", driver->name);
        return 1;
    }
    ok = action == 'c'   ? create_snapshot(image, name, &error)
         : action == 'a' ? driver->snapshot_apply(image, name, &error)
                         : driver->snapshot_delete(image, name, &error);
    if (!ok) {
        img_error("Could not %s snapshot '%s': %s",
                  action == 'c'   ? "create"
                  : action == 'a' ? "apply"
                                  : "delete",
                  name, error->message);
        g_error_free(error);
    }
    return ok ? 0 : 1;
}

int img_snapshot(ImgArgs *args)
{
    int given = 0, action = 'l', status = 0;
    BlockImage *image;

    for (const char *letter = "lacd"; *letter; letter++) {
        if (img_has(args, *letter)) {
            action = *letter;
            given++;
        }
    }
    if (given > 1) {
        img_error("Cannot mix '-l', '-a', '-c', '-d'");
        return 1;
    }
    if (action != 'l' && img_has(args, 'U')) {
        img_error("-U is for -l only: nothing else may use an image whose snapshots change");
        return 1;
    }
    image = img_open_args(args, args->files[0], BLOCK_OPEN_NO_BACKING | (action == 'l' ? BLOCK_OPEN_READONLY : 0));
    if (!image) {
        return 1;
    }
    if (action == 'l') {
        img_print_snapshots(image, "");
    } else {
        status = change_snapshot(image, action, args->value[action]);
    }
    block_image_close(image);
    return status;
}
