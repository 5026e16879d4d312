/* The drives on an IDE bus: disk and CD-ROM. */
#include "core/machine.h"
#include "hw/ide/internal.h"
#include "util/error.h"

static const StateField *IdeDriveState_fields(size_t *count)
{
    typedef IdeDriveState Owner;
    static const StateField rows[] = {
        IDE_DRIVE_STATE(STATE_ROW, STATE_ROW_ARRAY)
        MMC_STATE(MMC_ROW, MMC_ROW_ARRAY)
    };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

static void medium_changed(void *opaque, bool loaded)
{
    mmc_medium_changed(&((IdeDrive *)opaque)->s.mmc, loaded);
}

static void eject_request(void *opaque, bool force)
{
    mmc_eject_request(&((IdeDrive *)opaque)->s.mmc);
}

static bool tray_open(void *opaque)
{
    return ((IdeDrive *)opaque)->s.mmc.tray_open;
}

static bool medium_locked(void *opaque)
{
    return ((IdeDrive *)opaque)->s.mmc.locked;
}

static const BlockMediaOps media_ops = { medium_changed, eject_request, tray_open, medium_locked };

static bool drive_realize(Device *dev, GError **error)
{
    static int serial_number = 1;
    IdeDrive *d = (IdeDrive *)dev;
    const char *given;

    d->is_cd = g_str_equal(dev->type->name, "ide-cd");
    if (!d->blk) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: needs drive=", dev->type->name);
        return false;
    }
    if (!d->is_cd && !block_inserted(d->blk)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "disk '%s' needs an image file", block_id(d->blk));
        return false;
    }
    given = block_options(d->blk)->serial;
    if (!d->serial) {
        d->serial = given ? g_strdup(given) : g_strdup_printf("MY%05d", serial_number);
    }
    serial_number++;
    if (!d->model) {
        d->model = g_strdup(d->is_cd ? "MYNA CD-ROM" : "MYNA HARDDISK");
    }
    if (!d->version) {
        d->version = g_strdup("1.0");
    }
    d->cylinders = MIN(block_size(d->blk) / BLOCK_SECTOR / (16 * 63), 16383);
    if (d->is_cd) {
        block_set_media_ops(d->blk, &media_ops, d);
    }
    return true;
}

/* The registers of the channel go with the drive that is in a snapshot; the bus resets them. */
static void drive_reset(Device *dev)
{
    IdeDrive *d = (IdeDrive *)dev;

    d->s.multiple = d->is_cd ? 0 : 16;
    d->s.status = d->is_cd ? 0 : ATA_DRDY | ATA_DSC;
}

static bool drive_loaded(Device *dev, GError **error)
{
    IdeDriveState *s = &((IdeDrive *)dev)->s;

    if (!s->heads || !s->sectors || s->multiple > 16) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad geometry of '%s'", dev->id);
        return false;
    }
    s->status &= ~(ATA_BSY | ATA_DRQ);
    return true;
}

#define DRIVE_PROPS                                                                             \
    PROP(IdeDrive, blk, "drive", PROP_DRIVE, NULL, "drive or block node with the image"),       \
        PROP(IdeDrive, unit, "unit", PROP_I32, "-1", "0 master, 1 slave"),                      \
        PROP(IdeDrive, serial, "serial", PROP_STRING, NULL, "serial number"),                   \
        PROP(IdeDrive, model, "model", PROP_STRING, NULL, "model name"),                        \
        PROP(IdeDrive, version, "ver", PROP_STRING, NULL, "firmware version"),                  \
    {                                                                                           \
        0                                                                                       \
    }

static const Prop drive_props[] = { DRIVE_PROPS };

#define DRIVE_TYPE(spelling, text)           \
    {                                        \
        .name = spelling,                    \
        .about = text,                       \
        .bus = "ide",                        \
        .user = true,                        \
        .size = sizeof(IdeDrive),            \
        .state_at = offsetof(IdeDrive, s),   \
        .state = IdeDriveState_fields,       \
        .props = drive_props,                \
        .realize = drive_realize,            \
        .reset = drive_reset,                \
        .post_load = drive_loaded,           \
    }

const DeviceType ide_hd_type = DRIVE_TYPE("ide-hd", "IDE disk");
const DeviceType ide_cd_type = DRIVE_TYPE("ide-cd", "IDE CD-ROM");
