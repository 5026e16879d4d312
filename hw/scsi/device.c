/* The units on a SCSI bus: disk and CD-ROM drive. */
#include "hw/scsi/internal.h"

#include "util/error.h"

static const StateField *ScsiDeviceState_fields(size_t *count)
{
    typedef ScsiDeviceState Owner;
    static const StateField rows[] = {
        SCSI_DEVICE_STATE(STATE_ROW, STATE_ROW_ARRAY)
        MMC_STATE(MMC_ROW, MMC_ROW_ARRAY)
    };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* ---- media ---- */

static void tell_adapter(ScsiDevice *dev, ScsiChange change)
{
    if (dev->bus->ops->changed) {
        dev->bus->ops->changed(dev->bus, dev, change);
    }
}

static void medium_changed(void *opaque, bool loaded)
{
    ScsiDevice *dev = opaque;

    scsi_bus_enter(dev->bus);
    mmc_medium_changed(&dev->s.mmc, loaded);
    tell_adapter(dev, SCSI_MEDIUM_CHANGED);
    scsi_bus_leave(dev->bus);
}

static void eject_request(void *opaque, bool force)
{
    mmc_eject_request(&((ScsiDevice *)opaque)->s.mmc);
}

static bool tray_open(void *opaque)
{
    return ((ScsiDevice *)opaque)->s.mmc.tray_open;
}

static bool medium_locked(void *opaque)
{
    return ((ScsiDevice *)opaque)->s.mmc.locked;
}

static const BlockMediaOps media_ops = { medium_changed, eject_request, tray_open, medium_locked };

uint32_t scsi_discard_granularity(const ScsiDevice *dev)
{
    BlockLimits limits;

    if (dev->is_cd) {
        return 0;
    }
    if (dev->discard_granularity >= 0) {
        return dev->discard_granularity;
    }
    block_limits(dev->blk, &limits);
    return limits.discard_granularity ? MAX(limits.discard_granularity, dev->logical_block) : 0;
}

void scsi_device_plug(ScsiDevice *dev, bool on)
{
    if (on) {
        block_plug(dev->blk);
    } else {
        block_unplug(dev->blk);
    }
}

void scsi_device_wait(ScsiDevice *dev)
{
    block_drain(dev->blk);
}

/* ---- life ---- */

static bool good_block_size(ScsiDevice *dev, const char *name, uint32_t size, GError **error)
{
    if (size >= 512 && size <= 32768 && (size & (size - 1)) == 0) {
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "property '%s.%s': %u is not a power of two from 512 to 32768",
                dev->dev.type->name, name, size);
    return false;
}

/* What was not given comes from the drive, or from the image's own limits. */
static bool choose_sizes(ScsiDevice *dev, GError **error)
{
    BlockLimits limits;

    block_limits(dev->blk, &limits);
    if (!dev->logical_block) {
        dev->logical_block = dev->is_cd ? MMC_SECTOR : limits.logical_block;
    }
    if (!dev->physical_block) {
        dev->physical_block = MAX(dev->is_cd ? MMC_SECTOR : limits.physical_block, dev->logical_block);
    }
    if (!dev->min_io) {
        dev->min_io = limits.min_io;
    }
    if (!dev->opt_io) {
        dev->opt_io = limits.opt_io;
    }
    dev->write_cache_at_reset = limits.write_cache;
    if (!good_block_size(dev, "logical_block_size", dev->logical_block, error) ||
        !good_block_size(dev, "physical_block_size", dev->physical_block, error)) {
        return false;
    }
    if (dev->physical_block < dev->logical_block) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: physical_block_size %u is smaller than logical_block_size %u",
                    dev->dev.type->name, dev->physical_block, dev->logical_block);
        return false;
    }
    if (dev->discard_granularity > 0 && dev->discard_granularity % dev->logical_block) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "property '%s.discard_granularity': %d is no multiple of the block size %u",
                    dev->dev.type->name, dev->discard_granularity, dev->logical_block);
        return false;
    }
    return true;
}

static void set_default(char **text, const char *value)
{
    if (!*text) {
        *text = g_strdup(value);
    }
}

static bool scsi_realize(Device *device, GError **error)
{
    ScsiDevice *dev = (ScsiDevice *)device;
    const char *given;

    dev->is_cd = g_str_equal(device->type->name, "scsi-cd");
    dev->removable |= dev->is_cd;
    if (!dev->blk) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: needs drive=", device->type->name);
        return false;
    }
    if (!dev->removable && !block_inserted(dev->blk)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "disk '%s' needs an image file", block_id(dev->blk));
        return false;
    }
    if (!choose_sizes(dev, error)) {
        return false;
    }
    given = block_options(dev->blk)->serial;
    set_default(&dev->serial, given ? given : "");
    set_default(&dev->device_id, *dev->serial ? dev->serial : block_id(dev->blk));
    set_default(&dev->vendor, "MYNA");
    set_default(&dev->product, dev->is_cd ? "MYNA CD-ROM" : "MYNA HARDDISK");
    set_default(&dev->version, "1.0");
    dev->requests = g_ptr_array_new();
    if (dev->removable) {
        block_set_media_ops(dev->blk, &media_ops, dev);
    }
    if (dev->bus->thread) {
        block_set_iothread(dev->blk, dev->bus->thread);
    }
    scsi_bus_enter(dev->bus);
    g_ptr_array_add(dev->bus->units, dev);
    tell_adapter(dev, SCSI_ATTACHED);
    scsi_bus_leave(dev->bus);
    return true;
}

static void cancel(ScsiRequest *r, void *opaque)
{
    scsi_request_cancel(r);
}

static void scsi_unrealize(Device *device)
{
    ScsiDevice *dev = (ScsiDevice *)device;

    scsi_bus_enter(dev->bus);
    scsi_request_for_each(dev->bus, dev, cancel, NULL);
    g_ptr_array_remove(dev->bus->units, dev);
    tell_adapter(dev, SCSI_DETACHED);
    scsi_bus_leave(dev->bus);
    block_drain(dev->blk);
    if (dev->bus->thread) {
        block_set_iothread(dev->blk, NULL);
    }
    if (dev->removable) {
        block_set_media_ops(dev->blk, NULL, NULL);
    }
    g_ptr_array_free(dev->requests, TRUE);
}

static void scsi_reset(Device *device)
{
    ScsiDevice *dev = (ScsiDevice *)device;

    scsi_bus_enter(dev->bus);
    scsi_request_for_each(dev->bus, dev, cancel, NULL);
    scsi_set_write_cache(dev, dev->write_cache_at_reset);
    scsi_bus_leave(dev->bus);
}

static bool scsi_loaded(Device *device, GError **error)
{
    ScsiDevice *dev = (ScsiDevice *)device;

    scsi_set_write_cache(dev, dev->s.write_cache);
    return true;
}

/* discard_granularity: -1 is not given. */
#define SCSI_PROPS                                                                                    \
    PROP(ScsiDevice, blk, "drive", PROP_DRIVE, NULL, "drive or block node with the image"),           \
        PROP(ScsiDevice, channel, "channel", PROP_U32, "0", "channel of the adapter"),                \
        PROP(ScsiDevice, target, "scsi-id", PROP_I32, "-1", "target, -1: a free one"),                \
        PROP(ScsiDevice, lun, "lun", PROP_I32, "-1", "logical unit, -1: the first free one"),         \
        PROP(ScsiDevice, serial, "serial", PROP_STRING, NULL, "serial number"),                       \
        PROP(ScsiDevice, vendor, "vendor", PROP_STRING, NULL, "vendor, up to 8 characters"),          \
        PROP(ScsiDevice, product, "product", PROP_STRING, NULL, "product, up to 16 characters"),      \
        PROP(ScsiDevice, version, "ver", PROP_STRING, NULL, "revision, up to 4 characters"),          \
        PROP(ScsiDevice, device_id, "device_id", PROP_STRING, NULL, "name in the identification page"), \
        PROP(ScsiDevice, wwn, "wwn", PROP_U64, "0", "world wide name, 0: none"),                      \
        PROP(ScsiDevice, logical_block, "logical_block_size", PROP_U32, "0", "bytes, 0: as the drive has"), \
        PROP(ScsiDevice, physical_block, "physical_block_size", PROP_U32, "0", "bytes, 0: as the drive has"), \
        PROP(ScsiDevice, min_io, "min_io_size", PROP_U32, "0", "bytes"),                              \
        PROP(ScsiDevice, opt_io, "opt_io_size", PROP_U32, "0", "bytes")

static const Prop disk_props[] = {
    SCSI_PROPS,
    PROP(ScsiDevice, removable, "removable", PROP_BOOL, "off", "the medium can be taken out"),
    PROP(ScsiDevice, discard_granularity, "discard_granularity", PROP_I32, "-1", "bytes, 0: no UNMAP, -1: as the image has"),
    PROP(ScsiDevice, rotation_rate, "rotation_rate", PROP_U16, "0", "turns per minute, 1: none, 0: not told"),
    { 0 },
};
static const Prop cd_props[] = { SCSI_PROPS, { 0 } };

#define SCSI_TYPE(spelling, text, its_props)  \
    {                                         \
        .name = spelling,                     \
        .about = text,                        \
        .bus = "scsi",                        \
        .user = true,                         \
        .hotplug = true,                      \
        .size = sizeof(ScsiDevice),           \
        .state_at = offsetof(ScsiDevice, s),  \
        .state = ScsiDeviceState_fields,      \
        .props = its_props,                   \
        .realize = scsi_realize,              \
        .unrealize = scsi_unrealize,          \
        .reset = scsi_reset,                  \
        .post_load = scsi_loaded,             \
    }

const DeviceType scsi_hd_type = SCSI_TYPE("scsi-hd", "SCSI disk", disk_props);
const DeviceType scsi_cd_type = SCSI_TYPE("scsi-cd", "SCSI CD-ROM", cd_props);
