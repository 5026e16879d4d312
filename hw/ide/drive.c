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

/* What was not given comes from the image. */
static bool choose_sizes(IdeDrive *d, GError **error)
{
    BlockLimits limits;

    block_limits(d->blk, &limits);
    d->write_cache_at_reset = limits.write_cache;
    if (!d->physical_block) {
        d->physical_block = limits.physical_block;
    }
    if (d->discard_granularity < 0) {
        d->discard_granularity = limits.discard_granularity;
    }
    if (d->physical_block < 512 || d->physical_block > 32768 || (d->physical_block & (d->physical_block - 1))) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property '%s.physical_block_size': %u is not a power of two from 512 to 32768",
                    d->dev.type->name, d->physical_block);
        return false;
    }
    return true;
}

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
    if (!choose_sizes(d, error)) {
        return false;
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
    d->ncq_error = 0;
    d->s.write_cache = d->write_cache_at_reset;
    if (!d->is_cd) {
        block_set_write_cache(d->blk, d->s.write_cache);
    }
}

static bool drive_loaded(Device *dev, GError **error)
{
    IdeDriveState *s = &((IdeDrive *)dev)->s;

    if (!s->heads || !s->sectors || s->multiple > 16) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad geometry of '%s'", dev->id);
        return false;
    }
    s->status &= ~(ATA_BSY | ATA_DRQ);
    if (!((IdeDrive *)dev)->is_cd) {
        block_set_write_cache(((IdeDrive *)dev)->blk, s->write_cache);
    }
    return true;
}

#define DRIVE_PROPS                                                                             \
    PROP(IdeDrive, blk, "drive", PROP_DRIVE, NULL, "drive or block node with the image"),       \
        PROP(IdeDrive, unit, "unit", PROP_I32, "-1", "0 master, 1 slave"),                      \
        PROP(IdeDrive, serial, "serial", PROP_STRING, NULL, "serial number"),                   \
        PROP(IdeDrive, model, "model", PROP_STRING, NULL, "model name"),                        \
        PROP(IdeDrive, version, "ver", PROP_STRING, NULL, "firmware version"),                  \
        PROP(IdeDrive, wwn, "wwn", PROP_U64, "0", "world wide name, 0: none"),                  \
        PROP(IdeDrive, physical_block, "physical_block_size", PROP_U32, "0", "bytes, 0: as the image has")

static const Prop cd_props[] = { DRIVE_PROPS, { 0 } };
static const Prop disk_props[] = {
    DRIVE_PROPS,
    PROP(IdeDrive, discard_granularity, "discard_granularity", PROP_I32, "-1", "bytes, 0: no TRIM, -1: as the image has"),
    PROP(IdeDrive, rotation_rate, "rotation_rate", PROP_U16, "0", "turns per minute, 1: none, 0: not told"),
    { 0 },
};

#define DRIVE_TYPE(spelling, text, its_props) \
    {                                        \
        .name = spelling,                    \
        .about = text,                       \
        .bus = "ide",                        \
        .user = true,                        \
        .size = sizeof(IdeDrive),            \
        .state_at = offsetof(IdeDrive, s),   \
        .state = IdeDriveState_fields,       \
        .props = its_props,                  \
        .realize = drive_realize,            \
        .reset = drive_reset,                \
        .post_load = drive_loaded,           \
    }

const DeviceType ide_hd_type = DRIVE_TYPE("ide-hd", "IDE disk", disk_props);
const DeviceType ide_cd_type = DRIVE_TYPE("ide-cd", "IDE CD-ROM", cd_props);
