/* The SCSI bus: places of units, what a host adapter asks of them as a whole. */
#include "hw/scsi/internal.h"

#include "util/error.h"

#include <string.h>

static ScsiDevice *unit_at(ScsiBus *bus, guint i)
{
    return bus->units->pdata[i];
}

ScsiDevice *scsi_device_find(ScsiBus *bus, int channel, int target, int lun)
{
    for (guint i = 0; i < bus->units->len; i++) {
        ScsiDevice *dev = unit_at(bus, i);

        if ((int)dev->channel == channel && dev->target == target && dev->lun == lun) {
            return dev;
        }
    }
    return NULL;
}

bool scsi_target_exists(ScsiBus *bus, int channel, int target)
{
    for (guint i = 0; i < bus->units->len; i++) {
        if ((int)unit_at(bus, i)->channel == channel && unit_at(bus, i)->target == target) {
            return true;
        }
    }
    return false;
}

int scsi_device_target(const ScsiDevice *dev)
{
    return dev->target;
}

int scsi_device_lun(const ScsiDevice *dev)
{
    return dev->lun;
}

/* ---- placement ---- */

static bool in_range(const Device *dev, const char *what, int64_t value, int count, GError **error)
{
    if (value < count) {
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "device '%s': %s %" G_GINT64_FORMAT " is not on this bus; 0 to %d are",
                dev->id, what, value, count - 1);
    return false;
}

static bool bus_attach(Bus *b, Device *device, GError **error)
{
    ScsiBus *bus = (ScsiBus *)b;
    ScsiDevice *dev = (ScsiDevice *)device;
    const ScsiHbaOps *ops = bus->ops;

    if (!in_range(device, "channel", dev->channel, ops->channels, error) ||
        !in_range(device, "scsi-id", dev->target, ops->targets, error) ||
        !in_range(device, "lun", dev->lun, ops->luns, error)) {
        return false;
    }
    if (dev->target < 0) { /* a target of its own, unless a unit number was asked for */
        int target = 0, lun = MAX(dev->lun, 0);

        while (target < ops->targets && (dev->lun < 0 ? scsi_target_exists(bus, dev->channel, target)
                                                      : scsi_device_find(bus, dev->channel, target, lun) != NULL)) {
            target++;
        }
        if (target == ops->targets) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "no free place for '%s' on bus '%s'", device->id, b->name);
            return false;
        }
        dev->target = target;
    }
    if (dev->lun < 0) {
        dev->lun = 0;
        while (dev->lun < ops->luns && scsi_device_find(bus, dev->channel, dev->target, dev->lun)) {
            dev->lun++;
        }
    }
    if (dev->lun >= ops->luns || scsi_device_find(bus, dev->channel, dev->target, dev->lun)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "channel %u, scsi-id %d, lun %d of bus '%s' is taken",
                    dev->channel, dev->target, dev->lun, b->name);
        return false;
    }
    dev->bus = bus;
    return true;
}

void scsi_bus_enter(ScsiBus *bus)
{
    if (bus->ops->enter) {
        bus->ops->enter(bus);
    }
}

void scsi_bus_leave(ScsiBus *bus)
{
    if (bus->ops->leave) {
        bus->ops->leave(bus);
    }
}

static char *bus_address(Device *device)
{
    const ScsiDevice *dev = (const ScsiDevice *)device;

    return g_strdup_printf("channel %u, scsi-id %d, lun %d", dev->channel, dev->target, dev->lun);
}

/* ---- life ---- */

/* Ids that device_new made up are the type's name and a number. */
static bool has_made_up_id(const Device *dev)
{
    return g_str_has_prefix(dev->id, dev->type->name) && dev->id[strlen(dev->type->name)] == '.';
}

ScsiBus *scsi_bus_new(Device *owner, const ScsiHbaOps *ops, void *hba)
{
    static int number;
    ScsiBus *bus = g_new0(ScsiBus, 1);
    g_autofree char *name = NULL;

    if (owner && !has_made_up_id(owner)) {
        name = g_strdup_printf("%s.0", owner->id);
    } else {
        name = g_strdup_printf("scsi.%d", number++);
    }
    bus_init(&bus->bus, "scsi", name, owner);
    bus->bus.attach = bus_attach;
    bus->bus.address = bus_address;
    bus->ops = ops;
    bus->hba = hba;
    bus->units = g_ptr_array_new();
    return bus;
}

void scsi_bus_free(ScsiBus *bus)
{
    bus_clear(&bus->bus);
    g_ptr_array_free(bus->units, TRUE);
    g_free(bus);
}

bool scsi_bus_add_drives(ScsiBus *bus, int number, GError **error)
{
    for (int unit = 0; unit < bus->ops->targets; unit++) {
        BlockBackend *blk = block_find_drive("scsi", number, unit);
        g_autofree char *target = g_strdup_printf("%d", unit);
        Device *dev;

        if (!blk) {
            continue;
        }
        dev = device_new(device_type_find(block_is_cdrom(blk) ? "scsi-cd" : "scsi-hd"), NULL);
        device_set_pointer(dev, "drive", blk);
        if (!device_set_property(dev, "scsi-id", target, error) || !device_realize(dev, &bus->bus, error)) {
            device_free(dev);
            return false;
        }
    }
    return true;
}

/* ---- resets ---- */

void scsi_device_attention(ScsiDevice *dev, uint8_t asc, uint8_t ascq)
{
    dev->s.attention = asc << 8 | ascq;
}

static void cancel(ScsiRequest *r, void *opaque)
{
    scsi_request_cancel(r);
}

void scsi_device_reset(ScsiDevice *dev)
{
    scsi_request_for_each(dev->bus, dev, cancel, NULL);
    scsi_set_write_cache(dev, dev->write_cache_at_reset);
    dev->s.stopped = false;
    dev->s.mmc.locked = false;
    dev->s.attention = ATTENTION_RESET;
}

void scsi_bus_reset(ScsiBus *bus)
{
    for (guint i = 0; i < bus->units->len; i++) {
        scsi_device_reset(unit_at(bus, i));
    }
}

void scsi_request_for_each(ScsiBus *bus, ScsiDevice *only, void (*fn)(ScsiRequest *r, void *opaque), void *opaque)
{
    for (guint i = 0; i < bus->units->len; i++) {
        ScsiDevice *dev = unit_at(bus, i);

        if (only && dev != only) {
            continue;
        }
        for (guint n = dev->requests->len; n > 0; n--) { /* fn may end some */
            if (n <= dev->requests->len) {
                ScsiRequest *r = scsi_request_ref(dev->requests->pdata[n - 1]);

                fn(r, opaque);
                scsi_request_unref(r);
            }
        }
    }
}
